//! Objects made before a run and beside it: a database, a service in front of it.

use std::time::Duration;

use launch_config::spec::KubernetesArgs;
use serde_json::{Map, Value, json};

use super::facts::{Facts, key_variable};
use super::names::label_safe;
use super::object::{Kind, Object};
use super::pod::{add_env, is_template, mappings};
use super::{
    AGENT, BESIDE_LABEL, BESIDE_RUN_LABEL, CREATED_BY_LABEL, OWNER_LABEL, RUN_ID_LABEL, label,
    restrict,
};

/// An object beside a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Beside {
    /// The object.
    pub object: Object,
    /// How long it may take to be ready, if it has to be before the run starts.
    pub ready_within: Option<Duration>,
}

/// All of them; services without a manifest are none.
pub(super) fn all(facts: &Facts<'_>) -> Result<Vec<Beside>, String> {
    let services = facts.request.services.iter().enumerate();
    services
        .filter(|(_, service)| !service.config.is_empty())
        .map(|(index, service)| {
            let path = format!("additional_services[{index}].config");
            one(&service.config, facts).map_err(|why| format!("`{path}`: {why}"))
        })
        .collect()
}

fn one(config: &Map<String, Value>, facts: &Facts<'_>) -> Result<Beside, String> {
    let mut body = config.clone();
    let text = |key: &str| {
        let text = config.get(key).and_then(Value::as_str);
        text.ok_or_else(|| format!("`{key}` says what it is, and is not there"))
    };
    let kind = Kind::of(text("apiVersion")?, text("kind")?);
    let args = KubernetesArgs::of(&Value::Object(config.clone()));
    let aux = facts.beside()?;
    let owner = facts
        .owned()
        .into_iter()
        .find(|(name, _)| name == OWNER_LABEL);
    let labels = [
        (RUN_ID_LABEL.to_owned(), facts.run_id.clone()),
        (CREATED_BY_LABEL.to_owned(), AGENT.to_owned()),
        (BESIDE_RUN_LABEL.to_owned(), aux.clone()),
        (BESIDE_LABEL.to_owned(), facts.name.clone()),
    ];
    label(&mut body, labels.into_iter().chain(owner), "")?;
    let is_pod = kind.kind == "Pod" && kind.group.is_empty();
    fill(&mut body, facts, &aux, is_pod)?;
    names(&mut body)?;
    restrict::all(&mut body);
    let own = config
        .get("metadata")
        .and_then(|data| data.get("namespace"));
    let own = own.and_then(Value::as_str).filter(|text| !text.is_empty());
    let object = Object {
        kind,
        namespace: own.unwrap_or(&facts.namespace).to_owned(),
        body,
    };
    let ready_within = args
        .wait_for_ready
        .then(|| Duration::from_secs(args.wait_timeout));
    Ok(Beside {
        object,
        ready_within,
    })
}

/// Labels pods and gives their containers the run's configuration.
fn fill(
    map: &mut Map<String, Value>,
    facts: &Facts<'_>,
    aux: &str,
    is_pod: bool,
) -> Result<(), String> {
    if is_template(map) {
        if !is_pod {
            label(
                map,
                [(BESIDE_RUN_LABEL.to_owned(), aux.to_owned())],
                "template.",
            )?;
        }
        let containers = map
            .get_mut("spec")
            .and_then(|spec| spec.get_mut("containers"))
            .and_then(Value::as_array_mut);
        if let Some(containers) = containers {
            for container in mappings(containers, "containers")? {
                add_env(container, variables(facts), "containers")?;
            }
        }
    }
    map.values_mut()
        .try_for_each(|value| fill_below(value, facts, aux))
}

fn fill_below(value: &mut Value, facts: &Facts<'_>, aux: &str) -> Result<(), String> {
    match value {
        Value::Object(map) => fill(map, facts, aux, false),
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| fill_below(item, facts, aux)),
        _ => Ok(()),
    }
}

fn variables(facts: &Facts<'_>) -> Vec<Value> {
    let config = facts.variable("WANDB_CONFIG").unwrap_or("{}");
    let config = json!({"name": "WANDB_CONFIG", "value": config});
    let key = facts.key_secret.as_deref().map(key_variable);
    std::iter::once(config).chain(key).collect()
}

/// Makes names safe, of the object itself and of what it declares: containers, ports,
/// volumes. Names of variables and of data are the program's, and stay.
fn names(map: &mut Map<String, Value>) -> Result<(), String> {
    const KEPT: [&str; 11] = [
        "env",
        "envFrom",
        "data",
        "stringData",
        "binaryData",
        "labels",
        "annotations",
        "matchLabels",
        "selector",
        "nodeSelector",
        "podSelector",
    ];
    for (key, value) in map {
        match value {
            Value::String(text) if key == "name" => {
                let safe = label_safe(text);
                *text =
                    safe.ok_or_else(|| format!("`{text}` has nothing a name can be made of"))?;
            }
            value if !KEPT.contains(&key.as_str()) => names_below(value)?,
            _ => {}
        }
    }
    Ok(())
}

fn names_below(value: &mut Value) -> Result<(), String> {
    match value {
        Value::Object(map) => names(map),
        Value::Array(items) => items.iter_mut().try_for_each(names_below),
        _ => Ok(()),
    }
}
