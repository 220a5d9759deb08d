//! Where builds go another way here, on purpose.
//!
//! [`promised`] turns the output of a case into the one our rules promise for it; a rule
//! explains an answer if that is the answer, and the case is one the rule is about.

use std::path::{Component, Path};

use serde_json::{Map, Value, json};

use super::super::env::IMAGE_REFERENCE;
use super::super::{Answer, Case, Improvement};
use super::link_of;

pub(super) const RULES: &[Improvement] = &[
    Improvement {
        id: "sources-stay-inside",
        explains: |case, answer| answer.is_refused() && leads_out(&case.input),
    },
    Improvement {
        id: "entry-points-are-in-their-source",
        explains: |case, answer| {
            let words = command(&case.input);
            let script = words
                .iter()
                .find(|word| is_script(word, "py") || is_script(word, "sh"));
            answer.is_refused() && script.is_some_and(|script| !has(&case.input, script))
        },
    },
    Improvement {
        id: "dockerfile-wandb-beside-the-script",
        explains: |case, answer| {
            let ours = answer.accepted().map(|output| &output["dockerfile"]);
            let script = command(&case.input)
                .into_iter()
                .find(|word| is_script(word, "py"));
            let beside = script.map(|script| beside(&script));
            case.output["dockerfile"] == "generated"
                && beside.is_some_and(|path| has(&case.input, &path) && ours == Some(&json!(path)))
        },
    },
    Improvement {
        id: "ignored-files-stay-out",
        explains: |case, answer| is_promised(case, answer) && !ignored(case, answer).is_empty(),
    },
    Improvement {
        id: "generated-dockerfiles-are-ours",
        explains: |case, answer| is_promised(case, answer) && case.output["facts"].is_object(),
    },
    Improvement {
        id: "images-are-named-after-content",
        explains: |case, answer| is_promised(case, answer) && case.output["tag"].is_string(),
    },
    IMAGE_REFERENCE,
];

/// Whether a path a job names, or a link its source brings in the place of a file that is
/// read, leads out of the source.
fn leads_out(input: &Value) -> bool {
    let source = &input["job"]["document"]["source"];
    let context = source["build_context"].as_str().unwrap_or_default();
    let named = [
        &input["launch_spec"]["overrides"]["dockerfile"],
        &source["dockerfile"],
    ];
    let named = named.into_iter().filter_map(Value::as_str);
    let named = named.map(|path| Path::new(context).join(path));
    let files = input["job"]["code"]["files"]
        .as_object()
        .into_iter()
        .flatten();
    let links =
        files.filter_map(|(name, target)| Some(Path::new(name).parent()?.join(link_of(target)?)));
    let mut all = named.chain(links).chain([Path::new(context).to_owned()]);
    all.any(|path| {
        let mut depth = 0_i32;
        path.is_absolute()
            || path.components().any(|part| {
                depth += match part {
                    Component::ParentDir => -1,
                    Component::Normal(_) => 1,
                    _ => 0,
                };
                depth < 0
            })
    })
}

/// The command that runs, the one of the spec first.
fn command(input: &Value) -> Vec<String> {
    let own = &input["launch_spec"]["overrides"]["entry_point"];
    let job = &input["job"]["document"]["source"]["entrypoint"];
    let words = own
        .as_array()
        .filter(|words| !words.is_empty())
        .or(job.as_array());
    let words = words.into_iter().flatten();
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has(input: &Value, path: &str) -> bool {
    let files = &input["job"]["code"]["files"];
    files.get(path.trim_start_matches("./")).is_some()
}

fn beside(script: &str) -> String {
    let directory = script
        .rsplit_once('/')
        .map(|(directory, _)| format!("{directory}/"));
    format!("{}Dockerfile.wandb", directory.unwrap_or_default())
}

/// The files of the original's context that ours leaves out, if it may: what an ignore file
/// names, and git's own.
fn ignored(case: &Case, answer: &Answer) -> Vec<String> {
    let ours = answer
        .accepted()
        .map(|output| strings(&output["context_files"]));
    let ours = ours.unwrap_or_default();
    let expected = files(case);
    let missing = expected.into_iter().filter(|name| !ours.contains(name));
    let all = strings(&case.output["context_files"]);
    let has_rules = all
        .iter()
        .any(|name| name.trim_start_matches("src/") == ".dockerignore");
    let is_git = |name: &String| name.split('/').any(|part| part == ".git");
    missing.filter(|name| has_rules || is_git(name)).collect()
}

fn strings(list: &Value) -> Vec<String> {
    let words = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    words.map(str::to_owned).collect()
}

/// The original's context without what it adds to the code of a generated image.
fn files(case: &Case) -> Vec<String> {
    let mut files = strings(&case.output["context_files"]);
    let facts = &case.output["facts"];
    if facts.is_object() {
        files.retain(|name| name != "_wandb_bootstrap.py");
        let derived = !facts["derived_requirements"].is_null();
        files.retain(|name| name != "src/requirements.txt" || !derived);
        let own = has(&case.input, "runtime.txt");
        files.retain(|name| name != "src/runtime.txt" || own);
    }
    files
}

fn is_promised(case: &Case, answer: &Answer) -> bool {
    let ours = answer.accepted();
    ours.is_some_and(|ours| case.error.is_none() && promised(case, answer, ours) == *ours)
}

fn promised(case: &Case, answer: &Answer, ours: &Value) -> Value {
    let mut output = case.output.clone();
    let left_out = ignored(case, answer);
    let mut files = files(case);
    files.retain(|name| !left_out.contains(name));
    output["context_files"] = json!(files);
    let mut warnings = strings(&output["warnings"]);
    warnings.retain(|name| !matches!(name.as_str(), "buildx missing" | "toml reader missing"));
    if is_read_by_us(case) {
        warnings.retain(|name| name != "wandb not in frozen");
        warnings.extend(strings(&ours["warnings"]));
    }
    output["warnings"] = json!(warnings);
    let is_digest = |tag: &str| tag.len() == 64 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    if output["tag"].is_string() && ours["tag"].as_str().is_some_and(is_digest) {
        output["tag"] = ours["tag"].clone();
    }
    if output["facts"].is_object() {
        output["facts"] = facts(case);
    }
    output["job_entry_point"] = interpreted(&output["job_entry_point"]);
    output
}

/// A `pyproject.toml` that the original cannot read without an optional package.
fn is_read_by_us(case: &Case) -> bool {
    let is_read = case.input["tomli"] == false;
    is_read && has(&case.input, "pyproject.toml") && !has(&case.input, "requirements.txt")
}

/// What our generated Dockerfile does where the original's does what its facts say.
fn facts(case: &Case) -> Value {
    let theirs = &case.output["facts"];
    let stage = theirs["stages"][1]["from"].as_str().unwrap_or_default();
    let version = theirs["stages"][0]["from"].as_str().unwrap_or_default();
    let version = match &case.input["job"]["document"]["runtime"] {
        Value::String(text) if !text.is_empty() => version.trim_start_matches("python:"),
        _ => "3.12",
    };
    let accelerated = !strings(&theirs["system_packages"]).is_empty();
    let mut env = Map::new();
    let mut set = |name: &str, value: &str| env.insert(name.to_owned(), json!(value));
    set("PYTHONUNBUFFERED", "1");
    set("SHELL", "/bin/bash");
    if accelerated {
        set("VIRTUAL_ENV", "/opt/launch");
        set("PATH", "/opt/launch/bin:$PATH");
    }
    let spec = &case.input["launch_spec"];
    let given = spec["docker"]["user_id"].as_u64();
    let uid = if spec["resource"] == "sagemaker" {
        0
    } else {
        given.unwrap_or(1000)
    };
    if uid != 0 {
        set("HOME", "/home/launch");
        set("USER", "launch");
    }
    let packages = [
        format!("python{version}"),
        format!("python{version}-venv"),
        "ca-certificates".to_owned(),
    ];
    let own = format!("python:{version}-slim");
    let user = json!({"name": "launch", "gid": "0", "home": "/home/launch", "shell": "/bin/bash"});
    json!({
        "from": [if accelerated { stage } else { &own }],
        "env": env,
        "requirements": requirements(case),
        "apt": if accelerated { json!(packages) } else { json!([]) },
        "created": user,
        "owned": true,
        "code": uid.to_string(),
        "uid": uid.to_string(),
        "workdir": "/home/launch",
        "entry_point": interpreted(&theirs["entry_point"]),
    })
}

fn requirements(case: &Case) -> Value {
    let theirs = &case.output["facts"]["requirements"];
    let derived = &case.output["facts"]["derived_requirements"];
    let from = theirs["from"][0]
        .as_str()
        .unwrap_or_default()
        .trim_start_matches("src/");
    let pyproject = (is_read_by_us(case) && from != "requirements.txt")
        .then(|| pyproject(case))
        .flatten();
    let packages = if derived.is_null() {
        pyproject.unwrap_or_default()
    } else {
        derived.clone()
    };
    let from = if packages.is_null() {
        from
    } else {
        "pyproject.toml"
    };
    let text = match from {
        "requirements.frozen.txt" => case.input["job"]["files"].get(from),
        _ => case.input["job"]["code"]["files"].get(from),
    };
    let lines = text.and_then(Value::as_str).map(str::lines);
    let is_listed = |line: &str| !line.trim().is_empty() && !line.trim().starts_with('#');
    if from.is_empty() || packages.is_null() && lines.is_some_and(|mut lines| !lines.any(is_listed))
    {
        let from = if from.is_empty() {
            Value::Null
        } else {
            json!(from)
        };
        return json!({"from": from, "installer": null});
    }
    let is_cached = theirs["cache_mount"].is_object();
    json!({
        "from": from,
        "installer": if from.contains("frozen") { "each" } else { "list" },
        "cache": is_cached.then_some("/root/.cache/uv"),
        "no_cache": !is_cached,
        "packages": packages,
    })
}

/// The dependencies of a small `pyproject.toml`, on one line.
fn pyproject(case: &Case) -> Option<Value> {
    let text = case.input["job"]["code"]["files"]["pyproject.toml"].as_str()?;
    let list = text
        .split("dependencies")
        .nth(1)?
        .trim_start_matches([' ', '=']);
    let list = &list[..=list.find(']')?];
    let words: Value = serde_json::from_str(list).ok()?;
    Some(words).filter(|words| words.as_array().is_some_and(|words| !words.is_empty()))
}

/// Whether a word of a command is a file of this kind, by its name as it is written.
fn is_script(word: &str, kind: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(_, end)| end == kind)
}

/// A script that stands alone gets what runs it: no image finds it on its path.
fn interpreted(command: &Value) -> Value {
    let words = strings(command);
    let interpreter: &[&str] = match words.first() {
        Some(script) if is_script(script, "py") => &["python", "-u"],
        Some(script) if is_script(script, "sh") => &["bash"],
        _ => return command.clone(),
    };
    let all = interpreter
        .iter()
        .copied()
        .chain(words.iter().map(String::as_str));
    json!(all.collect::<Vec<_>>())
}
