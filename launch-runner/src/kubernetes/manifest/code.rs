//! Code that is brought to a pod, for images it was not built into.
//!
//! Either a volume claim has it already, or an init container fetches it into a volume of
//! the pod. A fetch that fails fails the pod: nothing starts without its code.

use launch_config::spec::CODE_MOUNT;
use serde_json::{Map, Value, json};

use super::facts::Facts;
use super::list;
use super::pod::{has_words, key_of, mappings, mounts};
use crate::run::{CodeMount, CodeSource};

const VOLUME: &str = "wandb-source-code-volume";
const INIT: &str = "wandb-source-code-init";
/// Where the artifact of the W&B job goes, whose requirements are the last resort.
const JOB_DIRECTORY: &str = "/mnt/wandb/.job";

/// Mounts the code into every container of a pod.
pub(super) fn mount(
    pod: &mut Map<String, Value>,
    code: &CodeMount,
    facts: &Facts<'_>,
) -> Result<(), String> {
    let (volume, directory) = match &code.source {
        CodeSource::Claim { claim, directory } => (
            json!({"name": VOLUME, "persistentVolumeClaim": {"claimName": claim}}),
            Some(directory),
        ),
        CodeSource::Directory(_) => {
            return Err("a pod does not see a directory of the agent's machine".to_owned());
        }
        _ => (json!({"name": VOLUME, "emptyDir": {}}), None),
    };
    list(pod, "volumes", "volumes")?.push(volume);
    let containers = list(pod, "containers", "containers")?;
    for container in mappings(containers, "containers")? {
        let mut place = json!({"name": VOLUME, "mountPath": CODE_MOUNT});
        if let Some(directory) = directory {
            place["subPath"] = json!(directory);
        }
        mounts(container)?.push(place);
        container.insert("workingDir".to_owned(), json!(code.working_dir.path()));
        if code.installs {
            install_first(container, code);
        }
    }
    if directory.is_none() {
        let init = init_container(pod, code, facts);
        list(pod, "initContainers", "initContainers")?.push(init);
    }
    Ok(())
}

fn init_container(pod: &mut Map<String, Value>, code: &CodeMount, facts: &Facts<'_>) -> Value {
    let server = facts.variable("WANDB_BASE_URL");
    let server = server.map(|url| json!({"name": "WANDB_BASE_URL", "value": url}));
    let env: Vec<Value> = server.into_iter().chain(key_of(pod)).collect();
    json!({
        "name": INIT,
        "image": facts.site.fetch_image,
        "volumeMounts": [{"name": VOLUME, "mountPath": CODE_MOUNT}],
        "env": env,
        "command": ["/bin/sh", "-c", fetch_script(code)],
    })
}

/// One command a line; the first that fails ends it. Only the last may fail: files that
/// are already writable for the container's user need nothing.
fn fetch_script(code: &CodeMount) -> String {
    let mut lines = vec!["set -e".to_owned()];
    match &code.source {
        CodeSource::Artifact(name) => lines.push(download(name, CODE_MOUNT)),
        CodeSource::Git { remote, commit } => {
            lines.push(format!("git clone -- {} {CODE_MOUNT}", quoted(remote)));
            lines.push(format!(
                "git config --global --add safe.directory {CODE_MOUNT}"
            ));
            lines.push(format!("cd {CODE_MOUNT}"));
            let commit = commit.iter();
            lines.extend(commit.map(|commit| format!("git checkout {}", quoted(commit))));
        }
        CodeSource::Claim { .. } | CodeSource::Directory(_) => {}
    }
    let job = code.job.iter().filter(|_| code.installs);
    lines.extend(job.map(|job| download(job, JOB_DIRECTORY)));
    lines.push(format!("chmod -R a+w {CODE_MOUNT} || true"));
    lines.join("\n")
}

fn download(artifact: &str, directory: &str) -> String {
    format!("wandb artifact get {} --root {directory}", quoted(artifact))
}

/// Puts the installation of what the code needs before a container's command. One without
/// a command starts its image's program, which knows nothing of our code.
fn install_first(container: &mut Map<String, Value>, code: &CodeMount) {
    if !has_words(container, "command") && !has_words(container, "args") {
        return;
    }
    let words = |key: &str| container.get(key).and_then(Value::as_array).into_iter();
    let command = words("command").chain(words("args")).flatten();
    let command: Vec<String> = command.filter_map(Value::as_str).map(quoted).collect();
    let script = install_script(&code.working_dir.path(), &command.join(" "));
    container.insert("command".to_owned(), json!(["/bin/sh", "-c"]));
    container.insert("args".to_owned(), json!([script]));
}

fn install_script(directory: &str, command: &str) -> String {
    let at = |file: &str| quoted(&format!("{directory}/{file}"));
    let (listed, project) = (at("requirements.txt"), at("pyproject.toml"));
    let directory = quoted(directory);
    let frozen = format!("{JOB_DIRECTORY}/requirements.frozen.txt");
    format!(
        "set -e\n\
         if [ -f {listed} ]; then pip install -r {listed}\n\
         elif [ -f {project} ]; then pip install {directory}\n\
         elif [ -f {frozen} ]; then pip install -r {frozen}\n\
         else echo 'nothing to install'\n\
         fi\n\
         exec {command}"
    )
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_are() {
        for (word, wanted) in [
            ("a-b/c", "a-b/c"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), wanted);
        }
    }

    #[test]
    fn a_fetch_that_fails_fails_the_pod() {
        let code = CodeMount::new(CodeSource::Artifact("a/b/c:v1; rm -rf /".to_owned()));
        let script = fetch_script(&code);
        assert!(
            script.starts_with("set -e\nwandb artifact get 'a/b/c:v1; rm -rf /'"),
            "{script}"
        );
    }
}
