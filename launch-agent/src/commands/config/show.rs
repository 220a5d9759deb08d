//! `config show`: every value in force, and where it came from.

use std::path::Path;

use launch_config::agent::variables::{ALL, Variables};
use launch_config::agent::{Entry, Flags};
use launch_config::load::to_yaml;
use launch_config::secret::MASK;
use serde_json::{Map, Value, json};

use crate::credential::{self, Credential, DEFAULT_SERVER};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::printer::Printer;
use crate::settings::{self, variable};
use crate::state::StateDir;

/// Comments start here, unless the line is longer.
const COLUMN: usize = 48;

pub(super) fn run(
    given: Option<&Path>,
    global: &Global,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let read = settings::read(given, &Flags::new(), variable)?;
    let variables = Variables::read(variable)?;
    let key = credential::api_key(&variables, variable)?;
    let state = StateDir::locate(global.state_dir.as_deref(), variable);
    let resolved = &read.checked.value;
    let entries = resolved.entries();
    let named = resolved.config.backend.base_url.as_ref();
    let server = named
        .or(variables.base_url.as_ref())
        .map(ToString::to_string);
    let server = server.unwrap_or_else(|| DEFAULT_SERVER.to_owned());
    let answer = json!({
        "file": read.file,
        "state_dir": state.as_ref().map(StateDir::path),
        "config": resolved.config.in_force(),
        "origins": origins(&entries),
        "server": server,
        "api_key": key.as_ref().map(|key| json!({"value": key.key.to_string(), "origin": key.origin})),
        "variables": set_variables(),
    });
    printer.answer(&answer, || {
        let file = read.file.as_deref().map(Path::display);
        let file = file.map_or("none".to_owned(), |file| file.to_string());
        let state = state.map_or("none".to_owned(), |state| {
            state.path().display().to_string()
        });
        format!(
            "# file: {file}\n# state: {state}\n# server: {server}\n# key of W&B: {}\n{}{}",
            key_line(key.as_ref()),
            yaml(&entries),
            variables_text()
        )
    })?;
    Ok(Exit::Done)
}

fn key_line(key: Option<&Credential>) -> String {
    match key {
        Some(key) => format!("{} ({})", key.key, key.origin),
        None => "none".to_owned(),
    }
}

fn origins(entries: &[Entry]) -> Map<String, Value> {
    let origin = |entry: &Entry| {
        let mut value = serde_json::to_value(&entry.origin).unwrap_or_default();
        value["shown"] = json!(entry.origin.to_string());
        (entry.path.clone(), value)
    };
    entries.iter().map(origin).collect()
}

/// The variables that are set, secrets masked.
fn set_variables() -> Map<String, Value> {
    let set = ALL.iter().filter_map(|known| {
        let value = variable(known.name)?;
        let value = if known.is_secret {
            MASK.to_owned()
        } else {
            value
        };
        Some((known.name.to_owned(), json!(value)))
    });
    set.collect()
}

fn variables_text() -> String {
    let line = |(name, value): (&String, &Value)| {
        format!("# ${name}={}\n", value.as_str().unwrap_or_default())
    };
    set_variables().iter().map(line).collect()
}

/// The values as a file that would say the same, the origin of each in a comment.
fn yaml(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut open: Vec<&str> = Vec::new();
    for entry in entries {
        let mut steps: Vec<&str> = entry.path.split('.').collect();
        let key = steps.pop().unwrap_or_default();
        let same = open.iter().zip(&steps).take_while(|(a, b)| a == b).count();
        for (level, step) in steps.iter().enumerate().skip(same) {
            text += &format!("{}{step}:\n", "  ".repeat(level));
        }
        open = steps;
        let value = match &entry.value {
            // In brackets, so that it stays one line; JSON is YAML.
            Value::Array(_) | Value::Object(_) => entry.value.to_string(),
            scalar => to_yaml(scalar).trim_end().to_owned(),
        };
        let line = format!("{}{key}: {value}", "  ".repeat(open.len()));
        text += &format!("{line:<COLUMN$} # {}\n", entry.origin);
    }
    text
}
