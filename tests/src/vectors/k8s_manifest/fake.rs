//! A cluster that takes what it is sent, but for what a case says it rejects.

use launch_runner::kubernetes::{Conflict, Manifest, Object, conflict};
use serde_json::{Value, json};

/// The requests by which a manifest's objects are made, in order.
pub(super) fn send(input: &Value, manifest: &Manifest) -> Result<Vec<Value>, String> {
    let services = manifest.services.iter().map(|beside| &beside.object);
    let objects = [&manifest.record]
        .into_iter()
        .chain(&manifest.secrets)
        .chain(services)
        .chain([&manifest.main]);
    objects.map(|object| create(input, object)).collect()
}

fn create(input: &Value, object: &Object) -> Result<Value, String> {
    let path = object.path();
    let rejects = input["cluster"]["reject"].as_array().into_iter().flatten();
    let mut rejects = rejects.filter_map(|reject| reject["path_contains"].as_str());
    if rejects.any(|part| path.contains(part)) {
        return Err(format!("the cluster refuses what is sent to {path}"));
    }
    let there = input["cluster"]["secrets"].as_array().into_iter().flatten();
    let mut there = there.filter(|secret| {
        path.ends_with("/secrets")
            && secret["name"] == object.name()
            && secret["namespace"] == object.namespace.as_str()
    });
    if let Some(secret) = there.next() {
        let theirs = json!({
            "metadata": {"labels": secret["labels"]},
            "data": secret["data"],
            "type": object.body["type"],
        });
        if conflict(&theirs, &object.body) == Conflict::Foreign {
            return Err(format!("secret `{}` is somebody else's", object.name()));
        }
    }
    Ok(json!({"verb": "POST", "path": path, "body": object.body}))
}
