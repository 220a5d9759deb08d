//! From a request to a run that exists: once.
//!
//! In this order: the record, the secrets, the objects beside, the object itself; then all
//! of them are made to vanish with it. Every name derives from the run's key, so a step
//! whose answer was lost is met again and passed over. What is left by a submit that was
//! refused is removed; what is left by one that died is found through the record.

mod prepare;
mod record;

use std::time::Duration;

use kube::Error as ApiError;
use kube::api::{DynamicObject, PostParams};
use serde_json::Value;
use tokio::time::Instant;

use self::record::Found;
pub(super) use self::record::is_of_key;
use super::failure::{absent_is_none, answered, code, refusal, refused, words};
use super::manifest::{Kind, Manifest, Object, RUN_LABEL};
use super::run::{Identity, KubernetesRun};
use super::{NAME, end, stand};
use crate::Error;
use crate::run::Run as _;

/// How soon we look again at what others remove.
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
        let record = match record::make(run, manifest).await? {
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
        if record::is_over(&record) || had_object {
            return Ok(());
        }
        prepare::all(run, manifest).await?;
        if let Some(main) = main(run, &manifest.main).await? {
            return adopt(run, manifest, &main, &manifest.main.kind).await;
        }
    }
    let busy = "others make and remove its objects all the time";
    Err(Stop::Failed("start", ApiError::Service(busy.into())))
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
    if let Some(end) = record.as_ref().and_then(stand::noted_on) {
        end::note(run, &end).await.map_err(failed)?;
        end::stop(run, GRACE).await.map_err(failed)?;
    }
    Ok(())
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
