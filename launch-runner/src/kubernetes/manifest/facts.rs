//! What is put into every object of a run.

use std::collections::BTreeMap;

use launch_config::secret::Secret;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::names::{is_label_value, is_object_name, label_safe};
use super::{
    AGENT_LABEL, ATTEMPT_ANNOTATION, JOB_ANNOTATION, MONITOR_LABEL, OWNER_LABEL, RUN_LABEL, Site,
};
use crate::run::{RunRequest, Workload, run_name};

/// The variable that is never put into a manifest as it is.
pub(super) const KEY_VARIABLE: &str = "WANDB_API_KEY";
/// The variable that says that the job is an image.
const IMAGE_VARIABLE: &str = "WANDB_DOCKER";

/// What is known of a run before its objects are made.
pub(super) struct Facts<'a> {
    pub(super) request: &'a RunRequest,
    pub(super) site: &'a Site,
    pub(super) namespace: String,
    /// Whether the cluster's own `batch` objects carry the run.
    pub(super) is_job: bool,
    /// The name of everything of this run.
    pub(super) name: String,
    /// The W&B run's id, where a label or name can hold it.
    pub(super) run_id: String,
    pub(super) key_secret: Option<String>,
    pub(super) pull_secret: Option<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(
        request: &'a RunRequest,
        site: &'a Site,
        args: &Map<String, Value>,
    ) -> Result<Self, String> {
        let name = run_name(&request.key);
        let run_id = variable(&request.env, "WANDB_RUN_ID").unwrap_or_default();
        let fits = is_label_value(run_id) && !run_id.is_empty();
        let run_id = if fits {
            run_id.to_owned()
        } else {
            name.clone()
        };
        let named = |prefix: &str| {
            let named = format!("{prefix}-{run_id}");
            if is_object_name(&named) {
                named
            } else {
                format!("{prefix}-{name}")
            }
        };
        let has_key = variable(&request.env, KEY_VARIABLE).is_some_and(|key| !key.is_empty());
        let key_secret = has_key.then(|| match &site.release {
            Some(release) => format!("wandb-api-key-{release}"),
            None => named("wandb-api-key"),
        });
        let has_login = !request.logins.is_empty() || image_login(request).is_some();
        let pull_secret = has_login.then(|| named("regcred"));
        Ok(Self {
            namespace: namespace(args, site),
            is_job: is_job(args)?,
            request,
            site,
            name,
            run_id,
            key_secret,
            pull_secret,
        })
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        variable(&self.request.env, name)
    }

    /// Whether the job is an image of its own, which goes before the queue's.
    pub(super) fn is_image_job(&self) -> bool {
        self.variable(IMAGE_VARIABLE).is_some()
    }

    /// The image that runs.
    pub(super) fn image(&self) -> Option<String> {
        match &self.request.workload {
            Workload::Image { image, .. } => Some(image.to_string()),
            Workload::Tree(_) => None,
        }
    }

    /// The variables of the run, as containers have them.
    pub(super) fn env(&self) -> Vec<Value> {
        let variables = self.request.env.iter();
        variables
            .map(|(name, value)| match &self.key_secret {
                Some(secret) if name == KEY_VARIABLE => key_variable(secret),
                _ => json!({"name": name, "value": value.expose()}),
            })
            .collect()
    }

    /// W&B's labels of what its agents watch.
    pub(super) fn watched(&self) -> Vec<(String, String)> {
        let agent = self
            .site
            .agent
            .clone()
            .map(|agent| (AGENT_LABEL.to_owned(), agent));
        let monitor = (MONITOR_LABEL.to_owned(), "true".to_owned());
        std::iter::once(monitor).chain(agent).collect()
    }

    /// The labels of everything that is part of the run.
    pub(super) fn owned(&self) -> [(String, String); 2] {
        [
            (RUN_LABEL.to_owned(), self.name.clone()),
            (OWNER_LABEL.to_owned(), owner_digest(&self.site.owner)),
        ]
    }

    /// The annotations that hold the run's key, which no label could.
    pub(super) fn key_annotations(&self) -> Map<String, Value> {
        let key = &self.request.key;
        Map::from_iter([
            (JOB_ANNOTATION.to_owned(), json!(key.job.as_str())),
            (
                ATTEMPT_ANNOTATION.to_owned(),
                json!(key.attempt.to_string()),
            ),
        ])
    }

    /// W&B's label of the objects beside a run.
    pub(super) fn beside(&self) -> Result<String, String> {
        let word = |name| self.variable(name).unwrap_or_default();
        let (entity, project) = (word("WANDB_ENTITY"), word("WANDB_PROJECT"));
        let run_id = self.variable("WANDB_RUN_ID").unwrap_or(&self.run_id);
        label_safe(&format!("aux-{entity}-{project}-{run_id}"))
            .ok_or_else(|| "the run has no name for a label".to_owned())
    }
}

/// A variable whose value is in the secret with the API key.
pub(super) fn key_variable(secret: &str) -> Value {
    json!({
        "name": KEY_VARIABLE,
        "valueFrom": {"secretKeyRef": {"name": secret, "key": "password"}},
    })
}

/// User and password for the image's own registry.
pub(super) fn image_login(request: &RunRequest) -> Option<(&str, &str, &Secret)> {
    match &request.workload {
        Workload::Image {
            image,
            pull: Some((user, password)),
        } => Some((image.host(), user, password)),
        _ => None,
    }
}

/// A digest of an owner's name that a label can hold.
pub(crate) fn owner_digest(owner: &str) -> String {
    let digest = Sha256::digest(owner.as_bytes());
    digest
        .iter()
        .take(10)
        .fold("x".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn variable<'a>(env: &'a BTreeMap<String, Secret>, name: &str) -> Option<&'a str> {
    env.get(name).map(Secret::expose)
}

/// `metadata.namespace`, else the older `namespace`, else the agent's.
fn namespace(args: &Map<String, Value>, site: &Site) -> String {
    let own = args.get("metadata").and_then(|data| data.get("namespace"));
    let filled = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    filled(own)
        .or_else(|| filled(args.get("namespace")))
        .unwrap_or_else(|| site.namespace.clone())
}

fn is_job(args: &Map<String, Value>) -> Result<bool, String> {
    match args.get("apiVersion") {
        None | Some(Value::Null) => Ok(true),
        Some(Value::String(version)) => Ok(version.is_empty() || version.starts_with("batch/")),
        Some(other) => Err(format!("`apiVersion` is a text, not `{other}`")),
    }
}
