//! What a run puts into its pods.

use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::{code, list};
use crate::run::RunRequest;

type Container = Map<String, Value>;

/// Whether a mapping is the template of a pod, or a pod.
pub(super) fn is_template(map: &Map<String, Value>) -> bool {
    let containers = map.get("spec").and_then(|spec| spec.get("containers"));
    containers.is_some_and(Value::is_array)
}

/// Fills the pod of a Job, which may have no containers yet.
pub(super) fn fill_job(
    pod: &mut Map<String, Value>,
    facts: &Facts<'_>,
    path: &str,
) -> Result<(), String> {
    let path = format!("{path}.containers");
    let containers = list(pod, "containers", &path)?;
    if containers.is_empty() {
        containers.push(json!({}));
    }
    let mut containers: Vec<&mut Container> = mappings(containers, &path)?;
    for (index, container) in containers.iter_mut().enumerate() {
        container
            .entry("name")
            .or_insert_with(|| json!(format!("launch{index}")));
    }
    set_image(&mut containers, facts);
    for container in containers {
        replace_command(container, facts.request);
        let command = &facts.request.command;
        if !has_words(container, "command") && !command.is_empty() {
            container.insert("command".to_owned(), json!(arriving(command)));
        }
        add_env(container, facts.env(), &path)?;
    }
    finish(pod, facts)
}

/// Fills a pod of another kind: its image and its command are the manifest's own, except
/// for what the submitter overrides. Only the run's first container gets the run's id:
/// several would write to one W&B run.
pub(super) fn fill_custom(
    pod: &mut Map<String, Value>,
    facts: &Facts<'_>,
    first: &mut bool,
) -> Result<(), String> {
    let path = "containers";
    let containers = list(pod, "containers", path)?;
    for container in mappings(containers, path)? {
        replace_command(container, facts.request);
        let mut env = facts.env();
        if !std::mem::take(first) {
            env.retain(|variable| variable["name"] != "WANDB_RUN_ID");
        }
        add_env(container, env, path)?;
    }
    finish(pod, facts)
}

/// The image of a job that is one; else that of its code, unless the queue names images.
fn set_image(containers: &mut [&mut Container], facts: &Facts<'_>) {
    let none_has = |containers: &[&mut Container]| {
        let named =
            |container: &&mut Container| container.get("image").is_some_and(|i| !i.is_null());
        !containers.iter().any(named)
    };
    if !facts.is_image_job() && !none_has(containers) {
        return;
    }
    if let (Some(image), Some(container)) = (facts.image(), containers.first_mut()) {
        container.insert("image".to_owned(), json!(image));
    }
}

/// What the submitter overrides goes before what the queue says, in every container.
fn replace_command(container: &mut Container, request: &RunRequest) {
    if request.overrides_command && !request.command.is_empty() {
        container.insert("command".to_owned(), json!(arriving(&request.command)));
    }
    if !request.args.is_empty() {
        container.insert("args".to_owned(), json!(arriving(&request.args)));
    }
}

/// Words as a pod has to say them, so that `$$` arrives: it halves it, since two of them
/// before a bracket keep it from reading `$(NAME)` as a variable (Kubernetes API,
/// `Container.args`). References and what keeps them from being one stay as they are.
fn arriving(words: &[String]) -> Vec<String> {
    words.iter().map(|word| doubled(word)).collect()
}

fn doubled(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find("$$") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        text.push_str(before);
        text.push_str(if after.starts_with('(') { "$$" } else { "$$$$" });
        rest = after;
    }
    text + rest
}

pub(super) fn has_words(container: &Container, key: &str) -> bool {
    let words = container.get(key).and_then(Value::as_array);
    words.is_some_and(|words| !words.is_empty())
}

/// Adds variables behind those of the manifest: of two with one name, the last counts.
pub(super) fn add_env(
    container: &mut Container,
    variables: Vec<Value>,
    path: &str,
) -> Result<(), String> {
    list(container, "env", &format!("{path}.env"))?.extend(variables);
    Ok(())
}

fn finish(pod: &mut Map<String, Value>, facts: &Facts<'_>) -> Result<(), String> {
    if let Some(secret) = &facts.pull_secret {
        let secrets = list(pod, "imagePullSecrets", "imagePullSecrets")?;
        let ours = json!({"name": secret});
        if !secrets.contains(&ours) {
            secrets.push(ours);
        }
    }
    if let Some(mount) = &facts.request.code {
        code::mount(pod, mount, facts)?;
    }
    Ok(())
}

/// The items of a list that have to be mappings; null counts as an empty one.
pub(super) fn mappings<'a>(
    items: &'a mut [Value],
    path: &str,
) -> Result<Vec<&'a mut Map<String, Value>>, String> {
    let one = |(index, item): (usize, &'a mut Value)| {
        if item.is_null() {
            *item = json!({});
        }
        match item {
            Value::Object(map) => Ok(map),
            other => Err(format!("`{path}[{index}]` is a mapping, not `{other}`")),
        }
    };
    items.iter_mut().enumerate().map(one).collect()
}

/// The first variable with the API key that a pod's containers have.
pub(super) fn key_of(pod: &mut Map<String, Value>) -> Option<Value> {
    let containers = pod.get("containers").and_then(Value::as_array)?;
    let mut variables = containers
        .iter()
        .filter_map(|container| container.get("env")?.as_array())
        .flatten();
    variables
        .find(|variable| variable["name"] == super::facts::KEY_VARIABLE)
        .cloned()
}

/// The volume mounts of a container.
pub(super) fn mounts(container: &mut Container) -> Result<&mut Vec<Value>, String> {
    list(container, "volumeMounts", "containers.volumeMounts")
}

#[cfg(test)]
mod tests {
    use super::doubled;

    #[test]
    fn two_dollars_arrive_and_references_stay() {
        for (word, said) in [
            ("kill -9 $$", "kill -9 $$$$"),
            ("$$$", "$$$$$"),
            ("$(NAME) and $$(NAME)", "$(NAME) and $$(NAME)"),
            ("${HOME} $1 $", "${HOME} $1 $"),
        ] {
            assert_eq!(doubled(word), said);
        }
    }
}
