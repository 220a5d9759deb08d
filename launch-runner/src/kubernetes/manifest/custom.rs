//! Custom resources, and every other kind that holds pod templates somewhere.

use serde_json::{Map, Value};

use super::facts::Facts;
use super::object::{Kind, Object};
use super::{job, label, pod, restrict};

pub(super) fn object(mut body: Map<String, Value>, facts: &Facts<'_>) -> Result<Object, String> {
    let kind = kind(&body);
    job::name(&mut body, facts, "")?;
    let labels = facts.watched().into_iter().chain(facts.owned());
    label(&mut body, labels, "")?;
    let mut first = true;
    let mut whole = Value::Object(body);
    templates(&mut whole, &mut |template| {
        let labels = facts.watched().into_iter().chain(facts.owned());
        label(template, labels, "template.")?;
        let Some(pod) = template.get_mut("spec").and_then(Value::as_object_mut) else {
            return Ok(());
        };
        pod::fill_custom(pod, facts, &mut first)
    })?;
    let Value::Object(mut body) = whole else {
        return Err("a manifest stays one".to_owned());
    };
    restrict::all(&mut body);
    let namespace = facts.namespace.clone();
    Ok(Object {
        kind,
        namespace,
        body,
    })
}

/// The keys `group`, `version` and `kind` say where the API has it, over its own words.
fn kind(body: &Map<String, Value>) -> Kind {
    let text = |key: &str| {
        body.get(key)
            .and_then(Value::as_str)
            .filter(|t| !t.is_empty())
    };
    let api_version = text("apiVersion").unwrap_or_default();
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let version = text("version").unwrap_or(version);
    Kind::new(
        text("group").unwrap_or(group),
        version,
        text("kind").unwrap_or(version),
    )
}

/// What fills a template in.
type Fill<'a> = dyn FnMut(&mut Map<String, Value>) -> Result<(), String> + 'a;

/// Every mapping whose `spec` has `containers`, at any depth.
fn templates(value: &mut Value, fill: &mut Fill<'_>) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            if pod::is_template(map) {
                fill(map)?;
            }
            map.values_mut()
                .try_for_each(|value| templates(value, fill))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| templates(item, fill)),
        _ => Ok(()),
    }
}
