//! What a run needs before it starts: secrets, and objects beside it.

use std::time::Duration;

use kube::Error as ApiError;
use kube::api::DeleteParams;
use tokio::time::Instant;

use super::super::conflict::{Conflict, conflict};
use super::super::failure::{absent_is_none, answered, code};
use super::super::manifest::{BESIDE_LABEL, Beside, Manifest, Object};
use super::super::ready;
use super::super::run::KubernetesRun;
use super::{Stop, create, refusal_or};

/// How soon we look again whether an object beside the run is ready.
const PAUSE: Duration = Duration::from_secs(1);

/// Makes all of it, and waits until it can be used.
pub(super) async fn all(run: &KubernetesRun, manifest: &Manifest) -> Result<(), Stop> {
    for secret in &manifest.secrets {
        self::secret(run, secret).await?;
    }
    for service in &manifest.services {
        beside(run, service).await?;
    }
    for service in &manifest.services {
        wait(run, service).await?;
    }
    Ok(())
}

/// Makes a secret; one that is there is used, replaced or refused.
async fn secret(run: &KubernetesRun, secret: &Object) -> Result<(), Stop> {
    let action = "create a secret of";
    let api = run.cluster.api(&secret.kind, &secret.namespace);
    for _ in 0..5 {
        match create(run, secret).await {
            Ok(_) => return Ok(()),
            Err(error) if code(&error) == Some(409) => {}
            Err(error) => {
                return Err(
                    refusal_or(&error, action, secret).unwrap_or(Stop::Failed(action, error))
                );
            }
        }
        let found = absent_is_none(answered(api.get(secret.name())).await);
        let Some(found) = found.map_err(|error| Stop::Failed(action, error))? else {
            continue;
        };
        let theirs = serde_json::to_value(&found).unwrap_or_default();
        match conflict(&theirs, &secret.body) {
            Conflict::Keep => return Ok(()),
            Conflict::Replace => {
                let removed = answered(api.delete(secret.name(), &DeleteParams::default())).await;
                absent_is_none(removed).map_err(|error| Stop::Failed(action, error))?;
            }
            Conflict::Foreign => {
                let (name, namespace) = (secret.name(), &secret.namespace);
                return Err(Stop::Refused(format!(
                    "namespace `{namespace}` has a secret `{name}` with another value that no \
                     agent made; remove or rename it"
                )));
            }
        }
    }
    Err(Stop::Failed(
        action,
        ApiError::Service("it comes and goes".into()),
    ))
}

/// Makes an object beside the run, or finds it.
async fn beside(run: &KubernetesRun, beside: &Beside) -> Result<(), Stop> {
    let (object, action) = (&beside.object, "create an object beside");
    match create(run, object).await {
        Ok(_) => return Ok(()),
        Err(error) if code(&error) == Some(409) => {}
        Err(error) => {
            return Err(refusal_or(&error, action, object).unwrap_or(Stop::Failed(action, error)));
        }
    }
    let api = run.cluster.api(&object.kind, &object.namespace);
    let found = absent_is_none(answered(api.get_metadata(object.name())).await);
    let found = found.map_err(|error| Stop::Failed(action, error))?;
    let label = found
        .as_ref()
        .and_then(|found| found.metadata.labels.as_ref()?.get(BESIDE_LABEL));
    if label == Some(&run.name) {
        return Ok(());
    }
    let (kind, name) = (&object.kind, object.name());
    Err(Stop::Refused(format!(
        "{kind} `{name}` is there already and not of this run"
    )))
}

/// Waits until an object beside the run can be used.
async fn wait(run: &KubernetesRun, beside: &Beside) -> Result<(), Stop> {
    let Some(limit) = beside.ready_within else {
        return Ok(());
    };
    let (object, deadline) = (&beside.object, Instant::now() + limit);
    loop {
        match ready::is_ready(&run.cluster, object).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => tracing::debug!(key = %run.handle.key, %error, "is it ready?"),
        }
        if Instant::now() >= deadline {
            let (kind, name, seconds) = (&object.kind, object.name(), limit.as_secs());
            return Err(Stop::Refused(format!(
                "{kind} `{name}` was not ready within {seconds} s"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
