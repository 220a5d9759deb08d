//! An object as it is sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The kind of an object, and where the API has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: String,
    /// The version within the group.
    pub version: String,
    /// The kind.
    pub kind: String,
    /// The kind in the paths of the API: as the cluster says, else guessed.
    pub plural: String,
}

impl Kind {
    /// The kind `kind` of `group`, with a guess at its plural.
    pub(crate) fn new(group: &str, version: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            plural: plural(group, kind),
        }
    }

    /// The kind an `apiVersion` and a `kind` name.
    pub(crate) fn of(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Self::new(group, version, kind)
    }

    pub(crate) fn secret() -> Self {
        Self::new("", "v1", "Secret")
    }

    /// Whether it is a Job of the cluster itself, which carries its own verdict.
    pub(crate) fn is_job(&self) -> bool {
        self.group == "batch" && self.kind == "Job"
    }

    /// `group/version`, or the version alone in the core.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            return self.version.clone();
        }
        format!("{}/{}", self.group, self.version)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.group.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.group)
    }
}

/// The cluster's own kinds have the plurals of English; for others, W&B's agents append
/// an `s`, and so do we where the cluster does not say.
fn plural(group: &str, kind: &str) -> String {
    let kind = kind.to_lowercase();
    let own = !group.contains('.') || group.ends_with(".k8s.io") && !group.ends_with("x-k8s.io");
    if own && kind == "endpoints" {
        return kind;
    }
    let vowel = |c: char| "aeiou".contains(c);
    if own
        && let Some(stem) = kind.strip_suffix('y')
        && !stem.ends_with(vowel)
    {
        return format!("{stem}ies");
    }
    if own && ["s", "x", "ch", "sh"].iter().any(|end| kind.ends_with(end)) {
        return format!("{kind}es");
    }
    format!("{kind}s")
}

/// An object as it is sent. Never prints what it holds: that may be a secret.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Where it goes.
    pub namespace: String,
    /// The whole object.
    pub body: Map<String, Value>,
}

impl Object {
    /// Its name.
    pub fn name(&self) -> &str {
        let name = self.body.get("metadata").and_then(|data| data.get("name"));
        name.and_then(Value::as_str).unwrap_or_default()
    }

    /// The path of its collection in the API.
    pub fn path(&self) -> String {
        let Kind { plural, .. } = &self.kind;
        let (api, namespace) = (self.kind.api_version(), &self.namespace);
        let root = if self.kind.group.is_empty() {
            "api"
        } else {
            "apis"
        };
        format!("/{root}/{api}/namespaces/{namespace}/{plural}")
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("kind", &self.kind)
            .field("namespace", &self.namespace)
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_guessed_as_the_api_has_them() {
        for (group, kind, wanted) in [
            ("batch", "Job", "jobs"),
            ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
            ("networking.k8s.io", "Ingress", "ingresses"),
            ("", "Endpoints", "endpoints"),
            ("apps", "Gateway", "gateways"),
            ("x.io", "TrainingPolicy", "trainingpolicys"),
            ("jobset.x-k8s.io", "JobSet", "jobsets"),
        ] {
            assert_eq!(Kind::new(group, "v1", kind).plural, wanted);
        }
    }
}
