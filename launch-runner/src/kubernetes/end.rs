//! Noting how a run ended, and stopping what is left of it.
//!
//! A Job cannot be told to end and be kept: deleting it takes its pods' output with it.
//! So the end is noted on the Job in the same change that forbids it to try again, and its
//! pods are given a deadline that has passed: their nodes end them as if it were their own,
//! with SIGTERM and the grace the pod asks for, and the output stays. What does not heed it
//! within our grace is deleted. Other kinds belong to controllers that would start new
//! pods; their objects are deleted.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::io::AsyncBufReadExt as _;
use kube::Error as ApiError;
use kube::api::{DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::failure::{answered, code, gone_is_fine};
use super::hub::Pod;
use super::manifest::{Kind, RUN_LABEL};
use super::run::{Identity, KubernetesRun};
use super::stand::{self, END_ANNOTATION};
use crate::run::RunEnd;

/// How soon we look again whether pods have ended.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a node may take to end what it was told to end by force.
const DEATH_TIMEOUT: Duration = Duration::from_secs(15);
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

/// Stops what is left of a run whose end is noted.
pub(super) async fn stop(run: &KubernetesRun, grace: Duration) -> Result<(), ApiError> {
    let Some(record) = run.record().await? else {
        return Ok(());
    };
    let Some(identity) = Identity::of(&record) else {
        return Ok(());
    };
    let Some(main) = run.main(&identity).await? else {
        return force(run).await;
    };
    if identity.kind.is_job() {
        return stop_job(run, &identity, grace).await;
    }
    // What it leaves behind would go with it, and the note too.
    let mut kept = json!({"metadata": {"ownerReferences": null}});
    if let Some(note) = main
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(END_ANNOTATION))
    {
        kept["metadata"]["annotations"] = json!({END_ANNOTATION: note});
    }
    annotate(run, &Kind::secret(), &run.name, kept).await?;
    let api = run.cluster.api(&identity.kind, &run.namespace);
    gone_is_fine(answered(api.delete(&identity.name, &DeleteParams::background())).await)?;
    delete_pods(run, Some(grace), |_| true).await?;
    if ended_within(run, grace + DEATH_TIMEOUT).await? {
        return Ok(());
    }
    force(run).await
}

async fn stop_job(
    run: &KubernetesRun,
    identity: &Identity,
    grace: Duration,
) -> Result<(), ApiError> {
    let deadline = Instant::now() + grace;
    let pods = run.pods().await?;
    let running: Vec<&Pod> = pods.iter().filter(|pod| pod.has_running()).collect();
    if running.is_empty() {
        make_no_pods(run, identity).await?;
        delete_pods(run, Some(Duration::ZERO), Pod::is_alive).await?;
        return if ended_within(run, DEATH_TIMEOUT).await? {
            Ok(())
        } else {
            force(run).await
        };
    }
    for pod in &running {
        let api = run.cluster.api(&Kind::new("", "v1", "Pod"), &run.namespace);
        let passed = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        let ended = answered(api.patch(&pod.name, &PatchParams::default(), &passed)).await;
        match ended {
            Err(error) if ![Some(403), Some(404), Some(422)].contains(&code(&error)) => {
                return Err(error);
            }
            // We may not, or its deadline is shorter: then it is deleted, as it would be
            // in the end.
            Err(error) if code(&error) != Some(404) => {
                delete_pods(run, Some(grace), |other| other.uid == pod.uid).await?;
            }
            _ => {}
        }
    }
    let ended = ended_within(run, deadline.saturating_duration_since(Instant::now())).await?;
    make_no_pods(run, identity).await?;
    if ended {
        return Ok(());
    }
    delete_pods(run, Some(Duration::from_secs(1)), may_act).await?;
    if ended_within(run, DEATH_TIMEOUT).await? {
        return Ok(());
    }
    force(run).await
}

/// Keeps a Job from making pods. It has no word for that before 1.21; having none at once
/// is the same.
async fn make_no_pods(run: &KubernetesRun, identity: &Identity) -> Result<(), ApiError> {
    let none = json!({"spec": {"parallelism": 0}});
    match annotate(run, &identity.kind, &identity.name, none).await {
        // It has ended, or is gone: then it makes none.
        Err(error) if matches!(code(&error), Some(404 | 409 | 422)) => Ok(()),
        other => other,
    }
}

fn may_act(pod: &Pod) -> bool {
    pod.is_alive() || pod.may_linger()
}

/// Removes pods whose nodes do not answer from the API.
async fn force(run: &KubernetesRun) -> Result<(), ApiError> {
    delete_pods(run, None, may_act).await
}

async fn delete_pods(
    run: &KubernetesRun,
    grace: Option<Duration>,
    which: impl Fn(&Pod) -> bool + Send,
) -> Result<(), ApiError> {
    let seconds = grace.map_or(0, |grace| {
        u32::try_from(grace.as_secs()).unwrap_or(u32::MAX).max(1)
    });
    let params = DeleteParams::default().grace_period(seconds);
    let api = run.cluster.api(&Kind::new("", "v1", "Pod"), &run.namespace);
    let mut pods = run.pods().await?;
    pods.retain(|pod| which(pod));
    for pod in pods {
        gone_is_fine(answered(api.delete(&pod.name, &params)).await)?;
    }
    Ok(())
}

async fn ended_within(run: &KubernetesRun, limit: Duration) -> Result<bool, ApiError> {
    let deadline = Instant::now() + limit;
    loop {
        let pods = run.pods().await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !pods.iter().any(Pod::is_alive) {
            return Ok(fall_silent(run, &pods, left).await);
        }
        if left.is_zero() {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the containers end that old nodes call over too early: their logs do then.
async fn fall_silent(run: &KubernetesRun, pods: &[Pod], limit: Duration) -> bool {
    let lingering = pods.iter().filter(|pod| pod.may_linger());
    let silence = lingering.map(|pod| async {
        let params = LogParams {
            container: Some(pod.leader.clone()),
            follow: true,
            tail_lines: Some(0),
            ..LogParams::default()
        };
        let Ok(log) = run
            .cluster
            .logs(&run.namespace)
            .log_stream(&pod.name, &params)
            .await
        else {
            return;
        };
        let mut log = std::pin::pin!(log);
        while let Ok(chunk) = log.fill_buf().await {
            let length = chunk.len();
            if length == 0 {
                return;
            }
            log.consume_unpin(length);
        }
    });
    tokio::time::timeout(limit, join_all(silence)).await.is_ok()
}

/// Selects what belongs to a run.
pub(super) fn of_run(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{RUN_LABEL}={name}"))
}
