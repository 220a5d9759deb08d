//! The JSON Schema of the agent file, for editors and other validators.
//!
//! It is generated from the types of [`super`], their documentation included. A schema
//! cannot say everything: cross-checks, addresses and YAML's hazards are for
//! `launch-agent config check`. What it refuses, that refuses too.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{AgentConfig, KEYS};

/// Where the schema is published.
pub const ID: &str = "https://launch-rs.github.io/launch/agent-file.schema.json";

/// The schema of the agent file, in draft 2020-12.
///
/// ```
/// let schema = launch_config::agent::schema::agent_file();
/// assert_eq!(schema["properties"]["max_jobs"]["default"], 1);
/// ```
pub fn agent_file() -> Value {
    let mut schema = schemars::schema_for!(AgentConfig).to_value();
    schema["$id"] = json!(ID);
    schema["title"] = json!("launch-config.yaml");
    let properties = &mut schema["properties"];
    properties["queue"] = json!({
        "description": "One more queue to poll.",
        "type": ["string", "null"],
    });
    for (key, default) in [("max_jobs", 1), ("max_schedulers", 1), ("verbosity", 0)] {
        properties[key]["default"] = json!(default);
    }
    properties["stopped_run_timeout"]["default"] = json!(super::DEFAULT_STOP_TIMEOUT);
    // What stands in a file under two names, or as a number.
    schema["$defs"]["BuilderConfig"]["properties"]["uri"] = json!({
        "description": "Another word for `destination`.",
        "type": ["string", "null"],
    });
    schema["$defs"]["RegistryConfig"]["properties"]["account_id"]["type"] =
        json!(["string", "integer", "null"]);
    debug_assert!(KEYS.iter().all(|key| !schema["properties"][*key].is_null()));
    schema
}

macro_rules! described {
    ($(#[$doc:meta])* $name:ident, $schema:tt) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

described!(
    /// A whole number, or a text or a boolean that the Python agent's schema takes for one.
    Whole,
    {"anyOf": [
        {"type": "integer"},
        {"type": "string", "pattern": "^\\s*[+-]?[0-9]+(_[0-9]+)*(\\.0+)?\\s*$"},
        {"type": "boolean"},
    ]}
);
described!(
    /// The same from -1 on.
    Limit,
    {"anyOf": [
        {"type": "integer", "minimum": -1},
        {"type": "string", "pattern": "^\\s*(-0*1|[+-]?0+|[+]?[0-9]+(_[0-9]+)*)(\\.0+)?\\s*$"},
        {"type": "boolean"},
    ]}
);
described!(
    /// True or false, or a word or number that the Python agent's schema takes for one.
    Flag,
    {"anyOf": [
        {"type": "boolean"},
        {"enum": [0, 1]},
        {"type": "string", "pattern": "^([01]|[oO][nN]|[oO][fF][fF]|[tT]([rR][uU][eE])?|[fF]([aA][lL][sS][eE])?|[yY]([eE][sS])?|[nN][oO]?)$"},
    ]}
);
described!(
    /// The name of a queue.
    Queue,
    {"type": "string", "minLength": 1, "maxLength": 128}
);
described!(
    /// The name of an image.
    Image,
    {"type": "string", "minLength": 1}
);
described!(
    /// A platform images are built for.
    Platform,
    {"enum": ["linux/amd64", "linux/arm64"]}
);
described!(
    /// The `policy` block.
    PolicyBlock,
    {
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "docker": {
                "description": "Docker options to open, each `NAME` or `NAME=VALUE`.",
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {"allow": {"type": ["array", "null"], "items": {"type": "string"}}},
            },
            "kubernetes": {
                "description": "Keys of manifests to open, each `NAME` or `NAME=VALUE`.",
                "type": ["object", "null"],
                "additionalProperties": false,
                "properties": {"allow": {"type": ["array", "null"], "items": {"type": "string"}}},
            },
        },
    }
);
