//! Template variables: what a queue's configuration leaves open for submitters.
//!
//! A queue's administrator writes `{{name}}` in the configuration and says, by a part of
//! JSON Schema, what may stand there: `type` (`string`, `integer`, `number`), `enum`,
//! `minimum`, `maximum`, `default`. [`Template::check`] judges the values of a submission,
//! all at once; [`Values::fill`] puts them in place.
//!
//! ```
//! use launch_config::template::Template;
//! use serde_json::json;
//!
//! let template = Template::of(&json!({
//!     "gpus": {"schema": {"type": "integer", "minimum": 1, "maximum": 8, "default": 1}},
//!     "pool": {"schema": {"type": "string", "enum": ["spot", "reserved"]}},
//! }))?;
//! let values = template.check(&json!({"pool": "spot", "gpus": "4"}))?;
//! let config = json!({"gpus": "{{gpus}}", "selector": "pool-{{pool}}"});
//! assert_eq!(values.fill(&config), json!({"gpus": 4, "selector": "pool-spot"}));
//!
//! assert!(template.check(&json!({"pool": "free", "gpus": 9})).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod schema;
mod values;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use schema::{Kind, Schema, SchemaError};
pub use values::{Refused, Values};

use crate::fields::nearest;

/// The template variables of a queue, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template(BTreeMap<String, Schema>);

impl Template {
    /// Reads the definitions of a queue, in either form: `{name: {"schema": {…}}}` as they
    /// are made, or `[{"name": …, "schema": …}]` as W&B's server answers, where the schema
    /// may be JSON text.
    ///
    /// # Errors
    /// [`SchemaError`], of the first variable that cannot be used.
    pub fn of(definitions: &Value) -> Result<Self, SchemaError> {
        let entries: Vec<(String, &Value)> = match definitions {
            Value::Null => Vec::new(),
            Value::Object(map) => map.iter().map(|(n, item)| (n.clone(), item)).collect(),
            Value::Array(list) => list
                .iter()
                .map(|item| (item["name"].as_str().unwrap_or_default().to_owned(), item))
                .collect(),
            _ => return Err(SchemaError::new("", "the definitions are no mapping")),
        };
        let schema = |(name, item): (String, &Value)| {
            Schema::of(&name, &item["schema"]).map(|schema| (name, schema))
        };
        entries
            .into_iter()
            .map(schema)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The variable of this name.
    pub fn get(&self, name: &str) -> Option<&Schema> {
        self.0.get(name)
    }

    /// The variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Schema)> {
        self.0.iter().map(|(name, schema)| (name.as_str(), schema))
    }

    /// Judges the values of a submission and adds the defaults of those that are missing.
    /// Texts are read as numbers where a number is wanted: command lines have only texts.
    ///
    /// # Errors
    /// [`Refused`] with everything that is wrong: unknown names, values of another type or
    /// outside the bounds, and variables that have neither value nor default.
    pub fn check(&self, values: &Value) -> Result<Values, Refused> {
        let empty = Map::new();
        let given = match values {
            Value::Null => &empty,
            Value::Object(map) => map,
            _ => return Err(Refused::one("expected a mapping of template variables")),
        };
        let mut wrong: Vec<String> = self.unknown(given);
        let mut checked = Map::new();
        for (name, schema) in &self.0 {
            let value = given.get(name).or(schema.default.as_ref());
            match value.map(|value| schema.check(value)) {
                Some(Ok(value)) => {
                    checked.insert(name.clone(), value);
                }
                Some(Err(why)) => wrong.push(format!("`{name}`: {why}")),
                None => wrong.push(format!("`{name}`: expected {schema}, found nothing")),
            }
        }
        if wrong.is_empty() {
            Ok(Values::new(checked))
        } else {
            Err(Refused { problems: wrong })
        }
    }

    fn unknown(&self, given: &Map<String, Value>) -> Vec<String> {
        let names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        let unknown = given.keys().filter(|name| !self.0.contains_key(*name));
        let told = unknown.map(|name| {
            let near = nearest(name, &names).map(|near| format!("; did you mean `{near}`?"));
            let near = near.unwrap_or_default();
            format!("the queue has no template variable `{name}`{near}")
        });
        told.collect()
    }
}
