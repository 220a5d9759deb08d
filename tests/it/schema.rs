//! The published JSON Schema, by somebody else's validator, and the documentation of keys
//! and variables.

use std::collections::BTreeSet;

use jsonschema::Validator;
use launch_config::agent::{schema, variables};
use launch_config::load::{agent_text, mapping_text};
use launch_tests::root;
use serde_json::Value;

fn validator() -> Validator {
    jsonschema::meta::validate(&schema::agent_file()).expect("the schema is one");
    jsonschema::validator_for(&schema::agent_file()).expect("the schema compiles")
}

/// The names and texts of a directory of agent files.
fn files(directory: &str) -> Vec<(String, String)> {
    let entries = fs_err::read_dir(root().join("launch-config/tests").join(directory)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let read = paths.map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs_err::read_to_string(&path).unwrap())
    });
    read.collect()
}

/// The agent file in Helm values, else the document itself.
fn agent_file(document: Value) -> Value {
    let below = document.get("launch-agent").cloned().unwrap_or(document);
    for key in ["launchConfig", "agentConfig"] {
        match &below[key] {
            Value::Null => {}
            Value::String(text) => return mapping_text("values.yaml", text).unwrap(),
            mapping => return mapping.clone(),
        }
    }
    below
}

#[test]
fn every_sample_of_the_documentation_is_valid() {
    let validator = validator();
    let samples = files("samples");
    assert!(samples.len() >= 18);
    for (name, text) in samples {
        let value = agent_file(mapping_text("f.yaml", &text).unwrap());
        let wrong: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(wrong, Vec::<String>::new(), "{name}");
    }
}

/// The schema refuses nothing that the agent takes, and most of what it refuses: addresses,
/// policies and YAML itself are beyond a schema.
#[test]
fn what_the_schema_refuses_the_agent_refuses() {
    let validator = validator();
    let mut refused = BTreeSet::new();
    for (name, text) in files("broken") {
        let Ok(value) = mapping_text("f.yaml", &text) else {
            continue;
        };
        assert!(agent_text("f.yaml", &text).is_err(), "{name}");
        if !validator.is_valid(&value) {
            refused.insert(name);
        }
    }
    assert!(refused.len() >= 20, "only {refused:?}");
    for text in [
        "max_jobs: '7'\nmax_schedulers: null\nsecure_mode: 'on'\nverbosity: ' 1_0 '",
        "environment: null\nbuilder: {type: null, whatever: 1}\nregistry: {account_id: 1}",
        "queue: a\nstopped_run_timeout: 2.0\nbuilder: {kaniko-config: {a: [1]}}",
        "policy: {docker: null}\nbackend: {path: /x}\njournal: {}",
    ] {
        assert!(agent_text("f.yaml", text).is_ok(), "{text}");
        assert!(
            validator.is_valid(&mapping_text("f.yaml", text).unwrap()),
            "{text}"
        );
    }
}

/// Every key of the schema below a path, blocks resolved.
fn keys(schema: &Value, at: &Value, path: &str, found: &mut BTreeSet<String>) {
    let reference = at["$ref"].as_str().or_else(|| {
        let any = at["anyOf"].as_array()?;
        any.iter().find_map(|one| one["$ref"].as_str())
    });
    let at = match reference.and_then(|name| name.strip_prefix("#/$defs/")) {
        Some(name) => &schema["$defs"][name],
        None => at,
    };
    for (key, below) in at["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}{key}");
        if path != "policy" {
            keys(schema, below, &format!("{path}."), found);
        }
        found.insert(path);
    }
}

/// The first cells, in backticks, of the tables of a section.
fn documented(section: &str) -> BTreeSet<String> {
    let text = fs_err::read_to_string(root().join("docs/configuration.md")).unwrap();
    let start = text.find(section).expect("the section is there") + section.len();
    let end = text[start..]
        .find("\n## ")
        .map_or(text.len(), |end| start + end);
    let rows = text[start..end]
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect()
}

#[test]
fn the_documentation_lists_every_key_and_every_variable() {
    let schema = schema::agent_file();
    let mut known = BTreeSet::new();
    keys(&schema, &schema, "", &mut known);
    assert_eq!(documented("\n## Keys\n"), known);
    let known = variables::ALL
        .iter()
        .map(|variable| variable.name.to_owned());
    let known: BTreeSet<String> = known.collect();
    assert_eq!(documented("\n## Environment variables\n"), known);
}
