//! Containers may not gain privileges, whatever their manifest does not say.

use serde_json::{Map, Value, json};

const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Restricts every container of every pod in `body`. What a manifest says itself passed
/// the agent's policy, which by default lets nothing pass; it is left as it is.
pub(super) fn all(body: &mut Map<String, Value>) {
    for (key, value) in body {
        if LISTS.contains(&key.as_str()) {
            let items = value.as_array_mut().into_iter().flatten();
            items.filter_map(Value::as_object_mut).for_each(one);
        }
        below(value);
    }
}

fn below(value: &mut Value) {
    match value {
        Value::Object(map) => all(map),
        Value::Array(items) => items.iter_mut().for_each(below),
        _ => {}
    }
}

fn one(container: &mut Map<String, Value>) {
    let context = container.entry("securityContext").or_insert(Value::Null);
    if !context.is_object() {
        *context = json!({});
    }
    let Some(context) = context.as_object_mut() else {
        return;
    };
    let rules = [
        ("allowPrivilegeEscalation", json!(false)),
        ("capabilities", json!({})),
        ("seccompProfile", json!({"type": "RuntimeDefault"})),
    ];
    for (key, value) in rules {
        context.entry(key).or_insert(value);
    }
    if let Some(capabilities) = context["capabilities"].as_object_mut() {
        capabilities.entry("drop").or_insert(json!(["ALL"]));
    }
}
