//! What is in force, value by value, for people.

use serde_json::{Map, Value, json};

use super::{AgentConfig, DEFAULT_QUEUE, DEFAULT_STOP_TIMEOUT, Origin, Resolved};
use crate::secret::MASK;

/// One value in force.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// Its key path, such as `builder.type`.
    pub path: String,
    /// The value, secrets masked. A list is one value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

impl Resolved {
    /// Every value in force, defaults included and secrets masked, in the order of the
    /// documentation.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.walk("", &self.config.in_force(), &mut entries);
        entries
    }

    fn walk(&self, path: &str, value: &Value, entries: &mut Vec<Entry>) {
        // A fragment of a Job is one value: its keys are not ours.
        match value {
            Value::Object(map) if !path.ends_with("kaniko-config") => {
                for (key, value) in map {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.walk(&format!("{path}{dot}{key}"), value, entries);
                }
            }
            Value::Null => {}
            value => entries.push(Entry {
                path: path.to_owned(),
                value: value.clone(),
                origin: self.origin(self.written(path)),
            }),
        }
    }

    /// The path under which a value was written, where there are two words for it.
    fn written<'a>(&self, path: &'a str) -> &'a str {
        let has = |block: &str, key: &str| {
            let block = self.raw.get(block);
            block.is_some_and(|block| !block[key].is_null())
        };
        match path {
            "builder.destination" if !has("builder", "destination") => "builder.uri",
            "registry.uri" if !has("registry", "uri") => "registry.repository",
            "registry.repository" if !has("registry", "repository") => "registry.repo_name",
            path => path,
        }
    }
}

impl AgentConfig {
    /// The settings with all defaults filled in and secrets masked, as a file has them.
    pub fn in_force(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        let default = |value: &mut Value, default: Value| {
            if value.is_null() {
                *value = default;
            }
        };
        if self.queues.is_empty() {
            value["queues"] = json!([DEFAULT_QUEUE]);
        }
        default(&mut value["max_jobs"], json!(1));
        default(&mut value["max_schedulers"], json!(1));
        default(&mut value["secure_mode"], json!(false));
        default(&mut value["verbosity"], json!(0));
        default(
            &mut value["stopped_run_timeout"],
            json!(DEFAULT_STOP_TIMEOUT),
        );
        if let Some(store) = value["builder"].get_mut("build-context-store") {
            mask_query(store);
        }
        if let Some(fragment) = value["builder"].get_mut("kaniko-config") {
            mask_variables(fragment);
        }
        value
    }
}

/// Signatures of Azure stand behind the `?` of a store's address.
fn mask_query(store: &mut Value) {
    if let Some((address, _)) = store.as_str().and_then(|text| text.split_once('?')) {
        *store = json!(format!("{address}?{MASK}"));
    }
}

/// The values of a pod's variables may be passwords.
fn mask_variables(fragment: &mut Value) {
    let mask = |map: &mut Map<String, Value>| {
        if map.contains_key("name")
            && let Some(value) = map.get_mut("value")
        {
            *value = json!(MASK);
        }
    };
    match fragment {
        Value::Object(map) => {
            mask(map);
            map.values_mut().for_each(mask_variables);
        }
        Value::Array(items) => items.iter_mut().for_each(mask_variables),
        _ => {}
    }
}
