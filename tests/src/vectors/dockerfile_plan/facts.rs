//! What a generated Dockerfile of ours does, in the vectors' words, read from its text.

use launch_builder::plan::{Plan, RequirementsKind};
use serde_json::{Map, Value, json};

/// Reads them. A stage without a name is the vectors' `base`.
pub(super) fn facts(text: &str, plan: &Plan) -> Value {
    let of = |word: &str| -> Vec<&str> {
        let lines = text.lines();
        lines
            .filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '))
            .collect()
    };
    let user = of("USER").last().copied().unwrap_or_default();
    let uid = user.split(':').next().unwrap_or_default().to_owned();
    let workdir = of("WORKDIR").last().copied().unwrap_or_default().to_owned();
    let entry: Value = of("ENTRYPOINT")
        .last()
        .and_then(|words| serde_json::from_str(words).ok())
        .unwrap_or_default();
    json!({
        "from": of("FROM").into_iter().filter(|from| !from.contains(" AS ")).collect::<Vec<_>>(),
        "env": env(&of("ENV")),
        "requirements": requirements(&of("RUN"), plan),
        "apt": of("RUN").iter().flat_map(|run| apt(run)).collect::<Vec<_>>(),
        "created": created(&of("RUN"), &uid),
        "owned": owned(&of("RUN"), &uid, &workdir),
        "code": of("COPY").iter().find_map(|copy| code(copy)),
        "uid": uid,
        "workdir": workdir,
        "entry_point": entry,
    })
}

fn env(lines: &[&str]) -> Map<String, Value> {
    let words = lines.iter().flat_map(|line| line.split(' '));
    words
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

/// Which list is installed, with what, and what of it is kept for the next time.
fn requirements(runs: &[&str], plan: &Plan) -> Value {
    let list = plan.requirements.as_ref().filter(|list| !list.is_empty);
    let Some(list) = list else {
        let file = plan
            .requirements
            .as_ref()
            .map(|list| list.file.display().to_string());
        return json!({"from": file, "installer": null});
    };
    let install = runs
        .iter()
        .find(|run| run.contains("--system-certs"))
        .unwrap_or(&"");
    let is_uv = install.contains("uv pip install") || install.contains("\\\"uv\\\", \\\"pip\\\"");
    let is_each = install.contains("launch-failed-packages");
    let target = install.split("--mount=type=cache,target=").nth(1);
    let target = target.and_then(|rest| rest.split([' ', ',']).next());
    let packages = (list.kind == RequirementsKind::Pyproject).then(|| list.packages.clone());
    json!({
        "from": list.file.display().to_string(),
        "installer": is_uv.then_some(if is_each { "each" } else { "list" }),
        "cache": target,
        "no_cache": install.contains("--no-cache"),
        "packages": packages,
    })
}

fn apt(run: &str) -> Vec<String> {
    let packages = run.split("--no-install-recommends ").nth(1);
    let packages = packages.and_then(|rest| rest.split(" &&").next());
    packages
        .into_iter()
        .flat_map(|rest| rest.split(' '))
        .map(str::to_owned)
        .collect()
}

/// The entry of the user in `/etc/passwd`, and whether a failure is one of the build.
fn created(runs: &[&str], uid: &str) -> Value {
    let entry = runs
        .iter()
        .find_map(|run| run.split("echo '").nth(1)?.split('\'').next());
    let fields: Vec<&str> = entry.unwrap_or_default().split(':').collect();
    match fields[..] {
        [name, _, id, gid, _, home, shell] if id == uid => {
            json!({"name": name, "gid": gid, "home": home, "shell": shell})
        }
        _ => Value::Null,
    }
}

fn owned(runs: &[&str], uid: &str, workdir: &str) -> bool {
    let made = format!("mkdir -p {workdir}/.cache && chown -R {uid}:0 {workdir}");
    runs.iter().any(|run| run.ends_with(&made))
}

/// The owner of the code that is copied whole.
fn code(copy: &str) -> Option<String> {
    let owner = copy.split("--chown=").nth(1)?;
    owner.split(':').next().map(str::to_owned)
}
