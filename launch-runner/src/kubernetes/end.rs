//! Noting how a run ended, and stopping what is left of it.
//!
//! A Job cannot be told to end and be kept: deleting it takes its pods' output with it.
//! So the end is noted on the Job in the same change that forbids it to try again, and its
//! pods are given a deadline that has passed: their nodes end them as if it were their own,
//! with SIGTERM and the grace the pod asks for, and the output stays. What does not heed it
//! within our grace is deleted. Other kinds belong to controllers that would start new
//! pods; their objects are deleted.

mod stop;

use kube::Error as ApiError;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

pub(super) use self::stop::{halt, stop};
use super::failure::{answered, code};
use super::manifest::{Kind, RUN_LABEL};
use super::run::{Identity, KubernetesRun};
use super::stand::{self, END_ANNOTATION};
use crate::run::RunEnd;

/// How often a change is tried that others get in the way of.
const TRIES: usize = 20;

/// What became of the wish to end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noted {
    /// It had ended, or nothing is there.
    Over,
    /// The end is noted now, or was.
    Noted,
}

/// Notes an end where every later watcher finds it, unless the run has one.
pub(super) async fn note(run: &KubernetesRun, end: &RunEnd) -> Result<Noted, ApiError> {
    let Some(record) = run.record().await? else {
        return Ok(Noted::Over);
    };
    let identity = Identity::of(&record);
    let main = match &identity {
        Some(identity) => run.main(identity).await?,
        None => None,
    };
    let (Some(identity), Some(main)) = (identity, main) else {
        annotate(
            run,
            &Kind::secret(),
            &run.name,
            json!({"metadata": noted(end)}),
        )
        .await?;
        return Ok(Noted::Noted);
    };
    note_on_main(run, &identity, main, end).await
}

async fn note_on_main(
    run: &KubernetesRun,
    identity: &Identity,
    mut main: DynamicObject,
    end: &RunEnd,
) -> Result<Noted, ApiError> {
    for _ in 0..TRIES {
        let object = json!({"metadata": {"annotations": main.metadata.annotations}, "spec": main.data["spec"], "status": main.data["status"]});
        if stand::noted(&object).is_some() {
            return Ok(Noted::Noted);
        }
        if run.verdict(identity, &main).await?.is_some() {
            return Ok(Noted::Over);
        }
        // Only if nothing has changed since: it may end by itself at the same time.
        let mut change = json!({"metadata": noted(end)});
        change["metadata"]["resourceVersion"] = json!(main.metadata.resource_version);
        if identity.kind.is_job() {
            change["spec"] = json!({"backoffLimit": 0});
        }
        match annotate(run, &identity.kind, &identity.name, change).await {
            Ok(()) => return Ok(Noted::Noted),
            Err(error) if code(&error) == Some(409) => {}
            Err(error) if code(&error) == Some(404) => return Ok(Noted::Over),
            Err(error) => return Err(error),
        }
        let Some(again) = run.main(identity).await? else {
            return Ok(Noted::Over);
        };
        main = again;
    }
    Err(ApiError::Service("its object changes all the time".into()))
}

fn noted(end: &RunEnd) -> Value {
    json!({"annotations": {END_ANNOTATION: stand::note(end)}})
}

async fn annotate(
    run: &KubernetesRun,
    kind: &Kind,
    name: &str,
    change: Value,
) -> Result<(), ApiError> {
    let api = run.cluster.api(kind, &run.namespace);
    let patch = Patch::Merge(change);
    answered(api.patch(name, &PatchParams::default(), &patch))
        .await
        .map(drop)
}

/// Selects what belongs to a run.
pub(super) fn of_run(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{RUN_LABEL}={name}"))
}
