//! Jobs of the cluster, and the `CronJob`s that make them.

use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::names::{label_safe, prefixed};
use super::object::{Kind, Object};
use super::{RUN_ID_LABEL, child, label, pod, restrict};

/// How long a Job that has ended stays, in seconds, if nobody says. We remove it as soon
/// as its outcome is safe; until then it is the only place that has it, also for an agent
/// that was down when it ended.
const STAYS: u64 = 24 * 60 * 60;
/// The same for the Jobs of a `CronJob`, which nobody removes.
const STAYS_REPEATED: u64 = 60;

pub(super) fn object(mut body: Map<String, Value>, facts: &Facts<'_>) -> Result<Object, String> {
    default(&mut body, "apiVersion", json!("batch/v1"));
    default(&mut body, "kind", json!("Job"));
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let kind = Kind::of(&text("apiVersion"), &text("kind"));
    name(&mut body, facts, "")?;
    let metadata = child(&mut body, "metadata", "metadata")?;
    metadata.insert("namespace".to_owned(), json!(facts.namespace));
    let run_id = [(RUN_ID_LABEL.to_owned(), facts.run_id.clone())];
    let labels = run_id
        .into_iter()
        .chain(facts.watched())
        .chain(facts.owned());
    label(&mut body, labels, "")?;
    let spec = child(&mut body, "spec", "spec")?;
    if kind.kind == "CronJob" {
        let template = child(spec, "jobTemplate", "spec.jobTemplate")?;
        let path = "spec.jobTemplate.spec";
        fill(child(template, "spec", path)?, facts, path, STAYS_REPEATED)?;
    } else {
        fill(spec, facts, "spec", STAYS)?;
    }
    restrict::all(&mut body);
    let namespace = facts.namespace.clone();
    Ok(Object {
        kind,
        namespace,
        body,
    })
}

/// The name the queue gave; else one that derives from the run's key, so that sending the
/// object again is known for what it is. The queue's `generateName` is its beginning.
pub(super) fn name(
    body: &mut Map<String, Value>,
    facts: &Facts<'_>,
    custom: &str,
) -> Result<(), String> {
    let of_run = facts.name.strip_prefix("launch-").unwrap_or(&facts.name);
    let word = |name| label_safe(facts.variable(name).unwrap_or_default()).unwrap_or_default();
    let launch = format!("launch-{}-{}", word("WANDB_ENTITY"), word("WANDB_PROJECT"));
    let metadata = child(body, "metadata", "metadata")?;
    let filled =
        |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|t| !t.is_empty());
    if filled(metadata.get("name")) {
        return Ok(());
    }
    let prefix = metadata.shift_remove("generateName");
    let prefix = prefix.as_ref().and_then(Value::as_str);
    let name = prefixed(prefix.unwrap_or(&format!("{launch}{custom}")), of_run);
    metadata.insert("name".to_owned(), json!(name));
    Ok(())
}

fn fill(
    spec: &mut Map<String, Value>,
    facts: &Facts<'_>,
    path: &str,
    stays: u64,
) -> Result<(), String> {
    default(spec, "backoffLimit", json!(0));
    default(spec, "ttlSecondsAfterFinished", json!(stays));
    let path = format!("{path}.template");
    let template = child(spec, "template", &path)?;
    let labels = facts.watched().into_iter().chain(facts.owned());
    label(template, labels, &format!("{path}."))?;
    let path = format!("{path}.spec");
    let pod = child(template, "spec", &path)?;
    default(pod, "restartPolicy", json!("Never"));
    pod::fill_job(pod, facts, &path)
}

fn default(map: &mut Map<String, Value>, key: &str, value: Value) {
    let place = map.entry(key).or_insert(Value::Null);
    if place.is_null() {
        *place = value;
    }
}
