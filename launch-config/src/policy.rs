//! What a run spec may ask for.
//!
//! Who may push to a queue may run code, but not as anybody and not with everything the
//! agent's machine or cluster has. One pure function, [`Policy::check`], says what a spec
//! asks for beyond that, with the place and the reason of each refusal. The default is
//! *strict*: the rules of the Python agent from 0.28.1 on. An administrator opens single
//! things in the agent file, as a whole or for one value:
//!
//! ```yaml
//! policy:
//!   docker:
//!     allow: [network, "volume=wandb-cache:/root/.cache"]
//!   kubernetes:
//!     allow: ["serviceAccountName=trainer"]
//! ```
//!
//! Docker options are an allow-list: everything else is refused. Kubernetes manifests are
//! free but for a list of keys that gain privileges, wherever they stand. Secure mode adds
//! locks that no `allow` opens. Other runners' arguments are not judged here.
//!
//! ```
//! use launch_config::policy::Policy;
//! use serde_json::json;
//!
//! let spec = json!({"resource_args": {"local-container": {"gpus": "all", "volume": "/:/host"}}});
//! let refusals = Policy::strict().check(&spec).unwrap_err();
//! assert_eq!(refusals.first().path.to_string(), "resource_args.local-container.volume");
//!
//! let open = Policy::strict().open_docker("volume")?;
//! assert!(open.check(&spec).is_ok());
//! # Ok::<(), launch_config::policy::ParseGrantError>(())
//! ```
//!
//! Macros can turn harmless text into something else: who substitutes them asks again, with
//! [`Policy::check_resource_args`], about the result.

mod docker;
mod grants;
mod kubernetes;
#[cfg(test)]
mod properties;
mod read;
mod refusal;
mod secure;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde_json::Value;

pub use grants::{DockerGrants, KubernetesGrants, ParseGrantError};
use refusal::Found;
pub use refusal::{Path, Reason, Refusal, Refusals, Step};

/// What a run spec may ask for; see the [module](self).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Policy {
    /// What is open beyond the strict rules for containers of a Docker Engine.
    pub docker: DockerGrants,
    /// What is open beyond the strict rules for Kubernetes manifests.
    pub kubernetes: KubernetesGrants,
    /// Whether secure mode's locks are on: the agent file's `secure_mode`.
    #[serde(skip)]
    pub secure_mode: bool,
}

impl Policy {
    /// The default: nothing opened, secure mode off.
    pub fn strict() -> Self {
        Self::default()
    }

    /// Opens a Docker option, as `NAME` or for one value as `NAME=VALUE`.
    ///
    /// # Errors
    /// [`ParseGrantError`] if there is no such option, or none that can be opened.
    pub fn open_docker(mut self, grant: &str) -> Result<Self, ParseGrantError> {
        self.docker.open(grant)?;
        Ok(self)
    }

    /// Opens a key of Kubernetes manifests, as `KEY` or for one value as `KEY=VALUE`.
    ///
    /// # Errors
    /// [`ParseGrantError`] if the key is not one that is refused.
    pub fn open_kubernetes(mut self, grant: &str) -> Result<Self, ParseGrantError> {
        self.kubernetes.open(grant)?;
        Ok(self)
    }

    /// Turns secure mode's locks on or off.
    #[must_use]
    pub fn with_secure_mode(mut self, on: bool) -> Self {
        self.secure_mode = on;
        self
    }

    /// Judges a run spec as a queue carries it: its resource arguments, the manifests of
    /// its additional services and, in secure mode, the locks.
    ///
    /// # Errors
    /// [`Refusals`], everything the spec must not ask for.
    pub fn check(&self, spec: &Value) -> Result<(), Refusals> {
        let mut found = Found::default();
        if let Some(args) = spec.get("resource_args") {
            found.below("resource_args", |found| self.args(args, found));
        }
        if let Some(services) = spec.get("additional_services").and_then(Value::as_array) {
            found.below("additional_services", |found| {
                self.services(services, found);
            });
        }
        if self.secure_mode {
            secure::check(spec, &mut found);
        }
        found.into_result()
    }

    /// Judges resource arguments alone; a runner does after it has substituted macros.
    /// Paths start at the runner's word.
    ///
    /// # Errors
    /// [`Refusals`], everything they must not ask for.
    pub fn check_resource_args(&self, args: &Value) -> Result<(), Refusals> {
        let mut found = Found::default();
        self.args(args, &mut found);
        found.into_result()
    }

    /// Judges one Kubernetes manifest; paths start at its keys.
    ///
    /// # Errors
    /// [`Refusals`], everything it must not hold.
    pub fn check_manifest(&self, manifest: &Value) -> Result<(), Refusals> {
        let mut found = Found::default();
        kubernetes::check(manifest, &self.kubernetes, &mut found);
        found.into_result()
    }

    fn args(&self, args: &Value, found: &mut Found) {
        let map = match args {
            Value::Object(map) => map,
            // What the Python agent takes for "no arguments".
            empty if is_empty(empty) => return,
            _ => return found.refuse("resource_args", Reason::NotAMapping),
        };
        if let Some(args) = map.get("local-container") {
            found.below("local-container", |found| {
                docker::check(args, &self.docker, found);
            });
        }
        if let Some(args) = map.get("kubernetes") {
            found.below("kubernetes", |found| {
                kubernetes::check(args, &self.kubernetes, found);
            });
        }
    }

    fn services(&self, services: &[Value], found: &mut Found) {
        for (index, service) in services.iter().enumerate() {
            let Some(manifest) = service.get("config") else {
                continue;
            };
            found.below(index, |found| {
                found.below("config", |found| {
                    kubernetes::check(manifest, &self.kubernetes, found);
                });
            });
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Blanks as the Python agent strips them: the separators U+001C to U+001F count too.
fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// A value as a grant for one value spells it; `None` for lists, mappings and nothing.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
