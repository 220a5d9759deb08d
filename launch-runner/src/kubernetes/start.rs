//! From a request to a run that exists: once.
//!
//! In this order: the record, the secrets, the objects beside, the object itself; then all
//! of them are made to vanish with it. Every name derives from the run's key, so a step
//! whose answer was lost is met again and passed over. What is left by a submit that was
//! refused is removed; what is left by one that died is found through the record.

use std::time::Duration;

use kube::Error as ApiError;
use kube::api::{DynamicObject, PostParams};
use launch_config::id::RunKey;
use serde_json::Value;
use tokio::time::Instant;

use super::NAME;
use super::conflict::{Conflict, conflict};
use super::end;
use super::failure::{absent_is_none, answered, code, refusal, refused, words};
use super::manifest::{
    ATTEMPT_ANNOTATION, BESIDE_LABEL, Beside, JOB_ANNOTATION, Kind, Manifest, Object, RUN_LABEL,
};
use super::run::{Identity, KubernetesRun};
use crate::Error;
use crate::run::Run as _;

/// How soon we look again whether an object beside the run is ready.
const PAUSE: Duration = Duration::from_secs(1);
/// How long we try while others make and remove the same objects.
const OTHERS_PATIENCE: Duration = Duration::from_mins(1);
/// How long a node may take to end what it should not have started.
const GRACE: Duration = Duration::from_secs(10);

/// Why a submit did not come to its end.
enum Stop {
    /// The cluster or its content is against it.
    Refused(String),
    /// The cluster failed; the same call may succeed.
    Failed(&'static str, ApiError),
}

/// Finds the objects of a run, or makes them.
pub(super) async fn submit(run: &KubernetesRun, mut manifest: Manifest) -> Result<(), Error> {
    resolve(run, &mut manifest).await;
    match make(run, &manifest).await {
        Ok(()) => Ok(()),
        Err(Stop::Failed(action, error)) => Err(run.failed(action, &error)),
        Err(Stop::Refused(why)) => {
            if let Err(error) = run.clean_up().await {
                tracing::warn!(key = %run.handle.key, %error, "something is left of a refused run");
            }
            Err(refused(&run.handle.key, why))
        }
    }
}

/// Asks the cluster for the plurals of kinds that are not its own, and notes them.
async fn resolve(run: &KubernetesRun, manifest: &mut Manifest) {
    let services = manifest
        .services
        .iter_mut()
        .map(|beside| &mut beside.object);
    for object in services.chain([&mut manifest.main]) {
        object.kind = run.cluster.resolve(&object.kind).await;
    }
    manifest.note_kinds();
}

async fn make(run: &KubernetesRun, manifest: &Manifest) -> Result<(), Stop> {
    let deadline = Instant::now() + OTHERS_PATIENCE;
    while Instant::now() < deadline {
        let record = match record(run, manifest).await? {
            Found::Ours(record) => record,
            Found::Other(why) => return Err(Stop::Refused(why)),
        };
        // An earlier submit may have named it otherwise; what it made counts.
        let identity = Identity::of(&record).unwrap_or(Identity {
            kind: manifest.main.kind.clone(),
            name: manifest.main.name().to_owned(),
        });
        if let Some(main) = run
            .main(&identity)
            .await
            .map_err(|e| Stop::Failed("find", e))?
        {
            return adopt(run, manifest, &main, &identity.kind).await;
        }
        // Ended before it had an object; or its object was removed, and the record is
        // about to follow it.
        let had_object = record.metadata.owner_references.is_some();
        if is_over(&record) || had_object {
            return Ok(());
        }
        for secret in &manifest.secrets {
            self::secret(run, secret).await?;
        }
        for service in &manifest.services {
            beside(run, service).await?;
        }
        for service in &manifest.services {
            ready(run, service).await?;
        }
        if let Some(main) = main(run, &manifest.main).await? {
            return adopt(run, manifest, &main, &manifest.main.kind).await;
        }
    }
    let busy = "others make and remove its objects all the time";
    Err(Stop::Failed("start", ApiError::Service(busy.into())))
}

enum Found {
    Ours(Box<DynamicObject>),
    Other(String),
}

/// Makes the record, or finds it.
async fn record(run: &KubernetesRun, manifest: &Manifest) -> Result<Found, Stop> {
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
pub(super) fn is_of_key(record: &DynamicObject, key: &RunKey) -> bool {
    key_of(record).as_ref() == Some(key)
}

/// The key a record names.
pub(super) fn key_of(record: &DynamicObject) -> Option<RunKey> {
    let annotations = record.metadata.annotations.as_ref()?;
    let job = annotations.get(JOB_ANNOTATION)?.parse().ok()?;
    let attempt = annotations.get(ATTEMPT_ANNOTATION)?.parse().ok()?;
    Some(RunKey::new(job, attempt))
}

/// Whether the run was ended before it had an object.
fn is_over(record: &DynamicObject) -> bool {
    let annotations = record.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(super::stand::END_ANNOTATION))
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
                let removed =
                    answered(api.delete(secret.name(), &kube::api::DeleteParams::default())).await;
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
async fn ready(run: &KubernetesRun, beside: &Beside) -> Result<(), Stop> {
    let Some(limit) = beside.ready_within else {
        return Ok(());
    };
    let (object, deadline) = (&beside.object, Instant::now() + limit);
    loop {
        match super::ready::is_ready(&run.cluster, object).await {
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

/// Makes the object that is the run. `None`: another did, or somebody has its name.
async fn main(run: &KubernetesRun, object: &Object) -> Result<Option<DynamicObject>, Stop> {
    match create(run, object).await {
        Ok(main) => return Ok(Some(main)),
        Err(error) if code(&error) == Some(409) => {}
        Err(error) => {
            return Err(
                refusal_or(&error, "create", object).unwrap_or(Stop::Failed("create", error))
            );
        }
    }
    let api = run.cluster.api(&object.kind, &object.namespace);
    let found = absent_is_none(answered(api.get_metadata(object.name())).await);
    let found = found.map_err(|error| Stop::Failed("find", error))?;
    let Some(found) = found else { return Ok(None) };
    let label = found
        .metadata
        .labels
        .as_ref()
        .and_then(|all| all.get(RUN_LABEL));
    if label == Some(&run.name) {
        if found.metadata.deletion_timestamp.is_some() {
            tokio::time::sleep(PAUSE).await;
        }
        return Ok(None);
    }
    let (kind, name) = (&object.kind, object.name());
    Err(Stop::Refused(format!(
        "{kind} `{name}` is there already and not of this run: give the queue's manifest a name \
         with `${{run_id}}`, or none"
    )))
}

/// Makes everything vanish with the run's object; ends the run if it was cancelled on the
/// way.
async fn adopt(
    run: &KubernetesRun,
    manifest: &Manifest,
    main: &DynamicObject,
    kind: &Kind,
) -> Result<(), Stop> {
    let failed = |error| Stop::Failed("adopt the objects of", error);
    let owned = |object: &&Object| object.body["metadata"]["labels"].get(RUN_LABEL).is_some();
    let secrets = manifest.secrets.iter().filter(owned);
    let services = manifest.services.iter().map(|beside| &beside.object);
    for object in secrets.chain(services).chain([&manifest.record]) {
        run.adopt(&object.kind, &object.namespace, object.name(), main, kind)
            .await
            .map_err(failed)?;
    }
    let record = run.record().await.map_err(failed)?;
    if let Some(end) = record.as_ref().and_then(noted) {
        end::note(run, &end).await.map_err(failed)?;
        end::stop(run, GRACE).await.map_err(failed)?;
    }
    Ok(())
}

fn noted(record: &DynamicObject) -> Option<crate::run::RunEnd> {
    let note = record
        .metadata
        .annotations
        .as_ref()?
        .get(super::stand::END_ANNOTATION)?;
    serde_json::from_str(note).ok()
}

async fn create(run: &KubernetesRun, object: &Object) -> Result<DynamicObject, ApiError> {
    let path = object.path();
    let body = Value::Object(object.body.clone()).to_string().into_bytes();
    let request = kube::core::Request::new(path).create(&PostParams::default(), body);
    let request = request.map_err(ApiError::BuildRequest)?;
    answered(run.cluster.client.request(request)).await
}

fn refusal_or(error: &ApiError, action: &str, object: &Object) -> Option<Stop> {
    let why = refusal(error)?;
    let (kind, name, namespace) = (&object.kind, object.name(), &object.namespace);
    tracing::debug!(runner = NAME, action, error = words(error), "refused");
    let why = match code(error) {
        Some(404) if !why.contains("namespaces") => {
            let version = object.kind.api_version();
            format!("the cluster has no {} of `{version}`", object.kind.kind)
        }
        _ => format!("the cluster refuses {kind} `{name}` in namespace `{namespace}`: {why}"),
    };
    Some(Stop::Refused(why))
}
