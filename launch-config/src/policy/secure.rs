//! Secure mode: locks on the pod's spec and on the entry point, which nothing opens.

use serde_json::Value;

use super::is_empty;
use super::refusal::{Found, Reason};

/// Keys of a pod's spec that are locked by their presence, whatever their value.
const POD_KEYS: &[&str] = &["hostPID", "hostIPC", "hostNetwork", "initContainers"];

/// Where a Job has its pod's spec.
const POD: &[&str] = &["resource_args", "kubernetes", "spec", "template", "spec"];

/// The two spellings of the override; the Python agent ignores the second.
const ENTRY_POINTS: &[&str] = &["entry_point", "entrypoint"];

/// Applies the locks.
pub(super) fn check(spec: &Value, found: &mut Found) {
    descend(spec, POD, found);
    if let Some(overrides) = spec.get("overrides") {
        found.below("overrides", |found| entry_point(overrides, found));
    }
}

/// Goes down to the pod's spec. What is neither absent nor a mapping on the way is refused:
/// a lock that cannot look is closed.
fn descend(value: &Value, path: &[&'static str], found: &mut Found) {
    let Some((key, rest)) = path.split_first() else {
        return pod(value, found);
    };
    let Some(next) = value.get(key) else { return };
    found.below(*key, |found| {
        if *key == "resource_args" && is_empty(next) {
            return;
        }
        // The pod's spec itself may be a list of names, see `pod`.
        if !next.is_object() && !rest.is_empty() {
            return found.refuse(key, Reason::LockedShape);
        }
        descend(next, rest, found);
    });
}

fn pod(spec: &Value, found: &mut Found) {
    for key in POD_KEYS.iter().filter(|key| names(spec, key)) {
        found.below(*key, |found| found.refuse(key, Reason::LockedPodKey));
    }
    if !spec.is_object() {
        return found.refuse("spec", Reason::LockedShape);
    }
    if let Some(list) = spec.get("containers") {
        found.below("containers", |found| containers(list, found));
    }
}

fn containers(list: &Value, found: &mut Found) {
    let Value::Array(containers) = list else {
        return found.refuse("containers", Reason::LockedShape);
    };
    for (index, container) in containers.iter().enumerate() {
        found.below(index, |found| {
            if names(container, "command") {
                found.below("command", |found| {
                    found.refuse("command", Reason::LockedCommand);
                });
            } else if !container.is_object() {
                found.refuse("containers", Reason::LockedShape);
            }
        });
    }
}

fn entry_point(overrides: &Value, found: &mut Found) {
    let Value::Object(map) = overrides else {
        if !is_empty(overrides) {
            found.refuse("overrides", Reason::LockedShape);
        }
        return;
    };
    for key in ENTRY_POINTS {
        if map.get(*key).is_some_and(|value| !is_empty(value)) {
            found.below(*key, |found| {
                found.refuse("entrypoint", Reason::LockedEntryPoint);
            });
        }
    }
}

/// Whether a mapping, a list or a text has this name in it: a list of names is as locked
/// as a mapping with them.
fn names(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(map) => map.contains_key(name),
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(name)),
        Value::String(text) => text.contains(name),
        _ => false,
    }
}
