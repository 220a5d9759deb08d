//! From a request to the objects of a run: one pure function, [`manifest`].
//!
//! The queue's arguments are a manifest: a Job (also a part of one), a `CronJob`, or any
//! custom resource that holds pod templates somewhere. What the run needs is put into it:
//! labels, variables, the image, the command, secrets, restrictions of the containers, and
//! the code where the image has none. Nothing is asked of a cluster, and the same request
//! makes the same objects, names included.
//!
//! ```
//! use launch_runner::config::id::RunKey;
//! use launch_runner::kubernetes::{Site, manifest};
//! use launch_runner::run::{RunRequest, Workload};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let image = Workload::Image { image: "acme/train:1.4".parse()?, pull: None };
//! let request = RunRequest::new(RunKey::new("k3x9".parse()?, 0), image);
//! let manifest = manifest(&request, &Site::new("default", "agent-1"))?;
//! assert_eq!(manifest.main.name(), "launch-k3x9-0");
//! assert_eq!(manifest.main.path(), "/apis/batch/v1/namespaces/default/jobs");
//! # Ok(())
//! # }
//! ```

mod code;
mod custom;
mod facts;
mod job;
mod names;
mod object;
mod pod;
mod restrict;
mod secrets;
mod services;

use serde_json::{Map, Value};

use self::facts::Facts;
pub(crate) use self::facts::owner_digest;
pub use self::object::{Kind, Object};
pub use self::services::Beside;
use crate::run::{RunRequest, Workload};

/// The label with the run's name: on its object, its pods and its secrets.
pub const RUN_LABEL: &str = "launch.run";
/// The label with a digest of the owner's name.
pub const OWNER_LABEL: &str = "launch.owner";
/// The label of objects beside a run, with the run's name.
pub const BESIDE_LABEL: &str = "launch.beside";
/// The annotation with the job's id.
pub const JOB_ANNOTATION: &str = "launch.job";
/// The annotation with the number of the attempt.
pub const ATTEMPT_ANNOTATION: &str = "launch.attempt";
/// The annotation that says which object is the run.
pub(super) const OBJECT_ANNOTATION: &str = "launch.object";
/// The annotation that lists the objects beside the run.
pub(super) const BESIDE_ANNOTATION: &str = "launch.beside";

/// W&B's label that names the run, on its Job and the objects beside it.
const RUN_ID_LABEL: &str = "wandb.ai/run-id";
const MONITOR_LABEL: &str = "wandb.ai/monitor";
const AGENT_LABEL: &str = "wandb.ai/agent";
const CREATED_BY_LABEL: &str = "wandb.ai/created-by";
const BESIDE_RUN_LABEL: &str = "wandb.ai/auxiliary-resource";
/// The value of [`CREATED_BY_LABEL`] on what agents make.
const AGENT: &str = "launch-agent";

/// What all runs of an agent have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// Where runs go whose queue names no namespace.
    pub namespace: String,
    /// Whose runs they are; another owner leaves them alone.
    pub owner: String,
    /// The agent's name at its W&B server, for W&B's label.
    pub agent: Option<String>,
    /// The Helm release whose secret with the API key all runs share.
    pub release: Option<String>,
    /// The image that fetches code: it has `wandb`, `git` and a shell.
    pub fetch_image: String,
}

impl Site {
    /// The image of the Python agent, which can fetch what it knows.
    pub const FETCH_IMAGE: &'static str = "wandb/launch-agent:0.25.1";

    /// Runs of `owner` that go to `namespace` if their queue names no other.
    pub fn new(namespace: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            owner: owner.into(),
            agent: None,
            release: None,
            fetch_image: Self::FETCH_IMAGE.to_owned(),
        }
    }

    /// Names the agent as its W&B server does.
    #[must_use]
    pub fn with_agent(mut self, agent: impl Into<String>) -> Self {
        self.agent = Some(agent.into());
        self
    }

    /// Names the Helm release.
    #[must_use]
    pub fn with_release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Sets the image that fetches code.
    #[must_use]
    pub fn with_fetch_image(mut self, image: impl Into<String>) -> Self {
        self.fetch_image = image.into();
        self
    }
}

/// The objects of a run, in the order in which they are made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Manifest {
    /// The run's namespace.
    pub namespace: String,
    /// A secret without data that knows the run: its name derives from the run's key
    /// alone. What else the run has is found through it.
    pub record: Object,
    /// What pods read: the API key, logins for registries.
    pub secrets: Vec<Object>,
    /// The objects beside it.
    pub services: Vec<Beside>,
    /// The object that is the run.
    pub main: Object,
}

impl Manifest {
    /// Notes in the record what the cluster calls the kinds.
    pub(super) fn note_kinds(&mut self) {
        secrets::note(&mut self.record, &self.main, &self.services);
    }

    /// The name of the secret with the API key, if the run has a key.
    pub fn key_secret(&self) -> Option<&str> {
        let key = |secret: &&Object| secret.body["type"] == secrets::KEY_TYPE;
        self.secrets.iter().find(key).map(Object::name)
    }
}

/// The objects of a run. Pure.
///
/// # Errors
/// What cannot be made of the request, naming the place in the queue's arguments.
pub fn manifest(request: &RunRequest, site: &Site) -> Result<Manifest, String> {
    if let Workload::Tree(tree) = &request.workload {
        let tree = tree.display();
        return Err(format!("`{tree}` is a directory; a pod needs an image"));
    }
    let args = match &request.resource_args {
        Value::Null => Map::new(),
        Value::Object(map) => map.clone(),
        other => return Err(format!("resource arguments are a manifest, not `{other}`")),
    };
    let facts = Facts::of(request, site, &args)?;
    let main = if facts.is_job {
        job::object(args, &facts)?
    } else {
        custom::object(args, &facts)?
    };
    let services = services::all(&facts)?;
    Ok(Manifest {
        namespace: facts.namespace.clone(),
        record: secrets::record(&facts, &main, &services),
        secrets: secrets::all(&facts)
            .into_iter()
            .filter(|secret| is_read(secret.name(), &main, &services))
            .collect(),
        services,
        main,
    })
}

/// Whether a pod reads the secret of this name: an object without pods needs none.
fn is_read(name: &str, main: &Object, services: &[Beside]) -> bool {
    let services = services.iter().map(|beside| &beside.object);
    let mut values = services
        .chain([main])
        .flat_map(|object| object.body.values());
    values.any(|value| mentions(value, name))
}

fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Array(items) => items.iter().any(|item| mentions(item, name)),
        Value::Object(map) => map.values().any(|value| mentions(value, name)),
        _ => false,
    }
}

/// The mapping under `key`, made if it is not there or null.
fn child<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<&'a mut Map<String, Value>, String> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => Ok(map),
        other => Err(format!("`{path}` is a mapping, not `{other}`")),
    }
}

/// The list under `key`, made if it is not there or null.
fn list<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<&'a mut Vec<Value>, String> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(items) => Ok(items),
        other => Err(format!("`{path}` is a list, not `{other}`")),
    }
}

/// Adds labels over those that are there.
fn label(
    map: &mut Map<String, Value>,
    labels: impl IntoIterator<Item = (String, String)>,
    path: &str,
) -> Result<(), String> {
    let metadata = child(map, "metadata", &format!("{path}metadata"))?;
    let place = child(metadata, "labels", &format!("{path}metadata.labels"))?;
    place.extend(
        labels
            .into_iter()
            .map(|(name, value)| (name, Value::String(value))),
    );
    Ok(())
}
