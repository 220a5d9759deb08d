//! `resource_args.local-container`: options of `docker run`, with the meaning they have
//! there (Docker's CLI reference, `docker container run`).
//!
//! A name may be spelled with leading dashes, `_` for `-`, and in any case. What everybody
//! may set and what an administrator has to open is the policy's business (see
//! `launch_config::policy`); here every option of both lists is understood. Options about
//! how the client behaves (`rm`, `detach`, `cidfile` …) are not: the agent decides these.

mod device;
mod limit;
mod network;
mod port;
mod process;
mod storage;

use std::collections::BTreeMap;

use bollard::models::{ContainerCreateBody, EndpointSettings, HostConfig};
use launch_config::secret::Secret;
use serde_json::Value;

pub(super) use self::network::reach_local_server;
use crate::names::distance;

/// Names of options that are also known by another.
const ALIASES: [(&str, &str); 11] = [
    ("dns-opt", "dns-option"),
    ("e", "env"),
    ("h", "hostname"),
    ("m", "memory"),
    ("net", "network"),
    ("net-alias", "network-alias"),
    ("p", "publish"),
    ("publish-all-ports", "publish-all"),
    ("u", "user"),
    ("v", "volume"),
    ("w", "workdir"),
];

/// Sets one option if it is of this family; whether it is.
type Family = fn(&mut ContainerOptions, &str, &Value) -> Result<bool, String>;

const FAMILIES: [(Family, &[&str]); 5] = [
    (limit::set, limit::NAMES),
    (process::set, process::NAMES),
    (device::set, device::NAMES),
    (network::set, network::NAMES),
    (storage::set, storage::NAMES),
];

/// What the options of a queue ask of the engine.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ContainerOptions {
    /// What the container is.
    pub(super) body: ContainerCreateBody,
    /// What it gets of its host.
    pub(super) host: HostConfig,
    /// Its networks by name, where more is said about them.
    pub(super) endpoints: BTreeMap<String, EndpointSettings>,
    /// Variables; they win over those of the run.
    pub(super) env: BTreeMap<String, Secret>,
    /// `linux/amd64` and the like.
    pub(super) platform: Option<String>,
    /// The container's name.
    pub(super) name: Option<String>,
}

impl ContainerOptions {
    /// Reads the options; the error says which is wrong and what would be taken.
    pub(super) fn of(args: &Value) -> Result<Self, String> {
        let mut options = Self::default();
        let map = match args {
            Value::Null => return Ok(options),
            Value::Object(map) => map,
            other => return Err(format!("resource arguments are a map, not `{other}`")),
        };
        for (raw, value) in map {
            options
                .set(raw, value)
                .map_err(|why| format!("resource argument `{raw}`: {why}"))?;
        }
        network::finish(&mut options);
        Ok(options)
    }

    fn set(&mut self, raw: &str, value: &Value) -> Result<(), String> {
        let name = canonical(raw);
        for (set, _) in FAMILIES {
            if set(self, &name, value)? {
                return Ok(());
            }
        }
        Err(unknown(&name))
    }
}

/// The long name of an option as it may be written.
fn canonical(raw: &str) -> String {
    let name = raw
        .trim()
        .trim_start_matches('-')
        .replace('_', "-")
        .to_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, name)| (*name).to_owned())
}

/// One value, as text.
fn one(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(_) => Err("takes one value, not a list".to_owned()),
        _ => Err("its value is a string or a number".to_owned()),
    }
}

/// One value, if there is something in it.
fn filled(value: &Value) -> Result<Option<String>, String> {
    one(value).map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// One value or a list of them; blanks are part of a value.
fn many(value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("its values are strings or numbers".to_owned()),
    };
    match value {
        Value::Array(list) if list.is_empty() => Err("its list is empty".to_owned()),
        Value::Array(list) => list.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}

/// A switch.
fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        _ => Err("it is a switch: true or false".to_owned()),
    }
}

/// `name=value` pairs.
fn pairs(value: &Value) -> Result<Vec<(String, String)>, String> {
    let pair = |text: String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not written NAME=VALUE")),
    };
    many(value)?.into_iter().map(pair).collect()
}

/// Adds to a list that may not be there yet.
fn add<T>(list: &mut Option<Vec<T>>, items: impl IntoIterator<Item = T>) {
    list.get_or_insert_default().extend(items);
}

fn unknown(name: &str) -> String {
    let known = || FAMILIES.iter().flat_map(|(_, names)| names.iter());
    let near = known()
        .map(|known| (distance(name, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, known)| format!("; did you mean `{known}`?"))
        .unwrap_or_default();
    let mut names: Vec<&str> = known().copied().collect();
    names.sort_unstable();
    format!(
        "no option of `docker run` that a job can have{near} (there are: {})",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests;
