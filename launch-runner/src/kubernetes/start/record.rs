//! The record of a run: made first, and found by all who come later.

use kube::Error as ApiError;
use kube::api::DynamicObject;
use launch_config::id::RunKey;

use super::super::failure::code;
use super::super::manifest::{ATTEMPT_ANNOTATION, JOB_ANNOTATION, Manifest};
use super::super::run::KubernetesRun;
use super::super::stand::END_ANNOTATION;
use super::{PAUSE, Stop, create, refusal_or};

/// What has a record's name.
pub(super) enum Found {
    Ours(Box<DynamicObject>),
    Other(String),
}

/// Makes the record, or finds it.
pub(super) async fn make(run: &KubernetesRun, manifest: &Manifest) -> Result<Found, Stop> {
    let failed = |error| Stop::Failed("create the record of", error);
    for _ in 0..5 {
        match create(run, &manifest.record).await {
            Ok(record) => return Ok(Found::Ours(Box::new(record))),
            Err(error) if code(&error) == Some(409) => {}
            Err(error) => {
                return Err(refusal_or(&error, "create the record of", &manifest.record)
                    .unwrap_or_else(|| failed(error)));
            }
        }
        let Some(found) = run.record().await.map_err(failed)? else {
            continue;
        };
        if found.metadata.deletion_timestamp.is_some() {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if is_of_key(&found, &run.handle.key) {
            return Ok(Found::Ours(Box::new(found)));
        }
        let (name, namespace) = (&run.name, &run.namespace);
        return Ok(Found::Other(format!(
            "namespace `{namespace}` has a secret `{name}` that is not of this run; remove or rename it"
        )));
    }
    Err(failed(ApiError::Service("it comes and goes".into())))
}

/// Whether a record is that of a key.
pub(in crate::kubernetes) fn is_of_key(record: &DynamicObject, key: &RunKey) -> bool {
    key_of(record).as_ref() == Some(key)
}

/// The key a record names.
fn key_of(record: &DynamicObject) -> Option<RunKey> {
    let annotations = record.metadata.annotations.as_ref()?;
    let job = annotations.get(JOB_ANNOTATION)?.parse().ok()?;
    let attempt = annotations.get(ATTEMPT_ANNOTATION)?.parse().ok()?;
    Some(RunKey::new(job, attempt))
}

/// Whether the run was ended before it had an object.
pub(super) fn is_over(record: &DynamicObject) -> bool {
    let annotations = record.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(END_ANNOTATION))
}
