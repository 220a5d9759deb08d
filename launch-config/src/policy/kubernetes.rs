//! Kubernetes manifests: free but for a list of keys, wherever they stand.

use serde_json::{Map, Value};

use super::grants::KubernetesGrants;
use super::refusal::{Found, Reason};
use super::{scalar_text, trim};

/// Manifests nested deeper are refused: no real one is, and the walk must end.
pub(super) const DEEPEST: usize = 256;

/// The word that opens annotations which turn a profile off.
pub(super) const UNCONFINED: &str = "unconfined";

/// When a listed key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// It is there, with any value.
    Present,
    /// Its value means yes.
    True,
    /// Its value is not blank.
    Named,
    /// Its value is `Bidirectional`.
    Bidirectional,
}

/// A key that gains privileges.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) key: &'static str,
    when: When,
    reason: Reason,
}

const fn rule(key: &'static str, when: When, reason: Reason) -> Rule {
    Rule { key, when, reason }
}

/// The keys, in the order in which those of one mapping are looked for.
pub(super) const RULES: &[Rule] = &[
    rule("securityContext", When::Present, Reason::SecurityContext),
    rule("hostPath", When::Present, Reason::HostPath),
    rule(
        "serviceAccountToken",
        When::Present,
        Reason::ServiceAccountToken,
    ),
    rule("hostPID", When::True, Reason::HostNamespace),
    rule("hostIPC", When::True, Reason::HostNamespace),
    rule("hostNetwork", When::True, Reason::HostNamespace),
    rule("shareProcessNamespace", When::True, Reason::HostNamespace),
    rule("hostUsers", When::True, Reason::HostNamespace),
    rule("serviceAccountName", When::Named, Reason::ServiceAccount),
    rule("serviceAccount", When::Named, Reason::ServiceAccount),
    rule(
        "automountServiceAccountToken",
        When::True,
        Reason::AutomountToken,
    ),
    rule("hostPort", When::True, Reason::HostPort),
    rule(
        "mountPropagation",
        When::Bidirectional,
        Reason::MountPropagation,
    ),
];

impl When {
    fn applies(self, value: &Value) -> bool {
        match self {
            Self::Present => true,
            Self::True => means_yes(value),
            Self::Named => is_named(value),
            Self::Bidirectional => value
                .as_str()
                .is_some_and(|text| trim(text) == "Bidirectional"),
        }
    }
}

fn means_yes(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => ["1", "true", "yes"].contains(&trim(text).to_lowercase().as_str()),
        _ => false,
    }
}

/// Whether it names an account: only nothing, blanks and lists of those do not.
fn is_named(value: &Value) -> bool {
    let mut values = vec![value];
    while let Some(value) = values.pop() {
        match value {
            Value::Null => {}
            Value::String(text) if trim(text).is_empty() => {}
            Value::Array(items) => values.extend(items),
            _ => return true,
        }
    }
    false
}

/// Judges a manifest: all annotations first, then the keys, each mapping before what is
/// below it.
pub(super) fn check(manifest: &Value, grants: &KubernetesGrants, found: &mut Found) {
    match manifest {
        Value::Object(_) => {}
        Value::Null => return,
        _ => return found.refuse("kubernetes", Reason::NotAMapping),
    }
    if !grants.0.contains_key(UNCONFINED) {
        walk(manifest, found, &annotations);
    }
    walk(
        manifest,
        found,
        &|map: &Map<String, Value>, found: &mut Found| keys(map, grants, found),
    );
}

/// Looks at every mapping, from the top, in the order of the document.
fn walk(value: &Value, found: &mut Found, look: &impl Fn(&Map<String, Value>, &mut Found)) {
    if found.depth() > DEEPEST {
        return found.refuse("", Reason::TooDeep);
    }
    match value {
        Value::Object(map) => {
            look(map, found);
            for (key, value) in map {
                found.below(key.as_str(), |found| walk(value, found, look));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                found.below(index, |found| walk(item, found, look));
            }
        }
        _ => {}
    }
}

fn annotations(map: &Map<String, Value>, found: &mut Found) {
    let Some(Value::Object(annotations)) = map.get("annotations") else {
        return;
    };
    for (key, value) in annotations {
        let name = key.to_lowercase();
        if (name.contains("apparmor") || name.contains("seccomp")) && says_unconfined(value) {
            found.below("annotations", |found| {
                found.below(key.as_str(), |found| found.refuse(key, Reason::Unconfined));
            });
        }
    }
}

/// Whether any text in it, keys included, says `unconfined`.
fn says_unconfined(value: &Value) -> bool {
    let says = |text: &str| text.to_lowercase().contains(UNCONFINED);
    let mut values = vec![value];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) if says(text) => return true,
            Value::Array(items) => values.extend(items),
            Value::Object(map) if map.keys().any(|key| says(key)) => return true,
            Value::Object(map) => values.extend(map.values()),
            _ => {}
        }
    }
    false
}

fn keys(map: &Map<String, Value>, grants: &KubernetesGrants, found: &mut Found) {
    for rule in RULES {
        let Some(value) = map.get(rule.key) else {
            continue;
        };
        if let Some(reason) = judge(rule, value, grants) {
            found.below(rule.key, |found| found.refuse(rule.key, reason));
        }
    }
}

fn judge(rule: &Rule, value: &Value, grants: &KubernetesGrants) -> Option<Reason> {
    if !rule.when.applies(value) {
        return None;
    }
    let Some(grant) = grants.0.get(opened_by(rule.key)) else {
        return Some(rule.reason);
    };
    let path = if rule.key == "hostPath" {
        value.get("path").unwrap_or(value)
    } else {
        value
    };
    let text = scalar_text(path).unwrap_or_default();
    (!grant.covers(&text)).then_some(Reason::OtherValue)
}

/// The word that opens a key: the two names of a service account are one thing.
pub(super) fn opened_by(key: &str) -> &str {
    if key == "serviceAccount" {
        "serviceAccountName"
    } else {
        key
    }
}

/// Whether a grant for single values makes sense: a mapping has none to compare.
pub(super) fn has_values(key: &str) -> bool {
    !["securityContext", "serviceAccountToken", UNCONFINED].contains(&key)
}
