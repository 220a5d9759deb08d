//! `docker_argv`: a queue item to the container it runs in.
//!
//! The original makes a command line; ours is a request to the engine. Compared is the
//! container that results: the command line of a case is read as Docker reads it
//! (`argv.rs`), and the request is put into the same words. Where the original's client
//! runs (`work_dir`) has no meaning for a request. Of the builds, that one happened and
//! whether it was pushed is compared.

mod argv;

use launch_config::job::Next;
use launch_config::spec::Resource;
use launch_runner::docker::{Host, container};
use launch_runner::run::run_name;
use serde_json::{Map, Value, json};

use super::queue_item::{QueueItem, in_their_words};
use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "docker_argv",
    run,
    details: &[],
    improvements: RULES,
};

/// What of an output is compared.
pub(super) fn meaning(output: &Value) -> Value {
    let builds = |op: &str| {
        let built = output["built"].as_array().into_iter().flatten();
        built.into_iter().any(|step| step["op"] == op)
    };
    let container = read(output, |_, word| word);
    let container = container.unwrap_or_else(|why| json!({ "docker refuses": why }));
    json!({"container": container, "builds": builds("build"), "pushes": builds("push")})
}

/// The container of a case's command line, each word as `take` has it; it is told the word
/// before.
fn read(output: &Value, take: impl Fn(&str, String) -> String) -> Result<Value, String> {
    let argv = output["argv"].as_array().ok_or("no command line")?;
    let mut words: Vec<String> = Vec::new();
    for word in argv {
        let word = word.as_str().ok_or("a word that is no text")?;
        let before = words.last().map_or("", String::as_str);
        words.push(take(before, word.to_owned()));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    argv::container(&words)
}

fn run(input: &Value) -> Answer {
    match answer(input) {
        Ok(output) => Answer::Accepted(in_their_words(&output)),
        Err(message) => Answer::refused(&message),
    }
}

fn answer(input: &Value) -> Result<Value, String> {
    let item = QueueItem::of(input, Resource::LocalContainer)?;
    let mut request = item.request(input)?;
    let host = match input["platform"].as_str() {
        Some("darwin") => Host::Mac,
        Some("win32") => Host::Windows,
        _ => Host::Linux,
    };
    if let Some(command) = item.built_command(input) {
        request = request.with_command(command);
    }
    let own_name = run_name(&request.key);
    let made = container(&request, host)?;
    let builds = matches!(item.project.next, Next::Build { .. }) && input["image_exists"] != true;
    let config = &input["agent_config"];
    let pushes = builds
        && !(config["builder"]["destination"].is_null() && config["registry"]["uri"].is_null());
    Ok(json!({"container": facts(&made, &own_name), "builds": builds, "pushes": pushes}))
}

/// The request in the words of the command line's reader.
fn facts(made: &Value, own_name: &str) -> Value {
    let (body, host) = (&made["body"], &made["body"]["HostConfig"]);
    let texts = |value: &Value| -> Vec<Value> { value.as_array().cloned().unwrap_or_default() };
    let runs = match body.get("Entrypoint") {
        Some(entry) => {
            let words: Vec<Value> = texts(entry)
                .into_iter()
                .chain(texts(&body["Cmd"]))
                .collect();
            json!({ "program": words })
        }
        None => json!({"arguments": texts(&body["Cmd"])}),
    };
    let env: Map<String, Value> = texts(&body["Env"])
        .iter()
        .filter_map(|pair| pair.as_str()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect();
    let mut options: Map<String, Value> = OPTIONS
        .iter()
        .map(|(name, key)| ((*name).to_owned(), host[*key].clone()))
        .collect();
    let rest = [
        (
            "ulimit",
            list(
                &host["Ulimits"],
                |limit| json!({"name": limit["Name"], "soft": limit["Soft"], "hard": limit["Hard"]}),
            ),
        ),
        ("gpus", list(&host["DeviceRequests"], gpus)),
        ("workdir", body["WorkingDir"].clone()),
        ("platform", made["platform"].clone()),
        (
            "name",
            if made["name"] == own_name {
                Value::Null
            } else {
                made["name"].clone()
            },
        ),
    ];
    options.extend(rest.map(|(name, value)| (name.to_owned(), value)));
    options.retain(|_, value| !value.is_null());
    json!({"image": body["Image"], "runs": runs, "env": env, "options": options})
}

const OPTIONS: [(&str, &str); 15] = [
    ("add-host", "ExtraHosts"),
    ("cpu-period", "CpuPeriod"),
    ("cpu-quota", "CpuQuota"),
    ("cpu-shares", "CpuShares"),
    ("cpus", "NanoCpus"),
    ("cpuset-cpus", "CpusetCpus"),
    ("cpuset-mems", "CpusetMems"),
    ("memory", "Memory"),
    ("memory-reservation", "MemoryReservation"),
    ("memory-swap", "MemorySwap"),
    ("network", "NetworkMode"),
    ("pids-limit", "PidsLimit"),
    ("shm-size", "ShmSize"),
    ("volume", "Binds"),
    ("privileged", "Privileged"),
];

fn list(value: &Value, item: impl Fn(&Value) -> Value) -> Value {
    let items = value
        .as_array()
        .map(|items| items.iter().map(item).collect());
    items.unwrap_or(Value::Null)
}

fn gpus(request: &Value) -> Value {
    let capabilities = request["Capabilities"][0].as_array().cloned();
    let mut capabilities = capabilities.unwrap_or_default();
    capabilities.sort_by_key(Value::to_string);
    json!({
        "count": request["Count"], "devices": request["DeviceIDs"],
        "driver": request["Driver"], "capabilities": capabilities,
    })
}

const RULES: &[Improvement] = &[
    Improvement {
        id: "images-are-references",
        explains: super::env::IMAGE_REFERENCE.explains,
    },
    Improvement {
        id: "fields-have-their-types",
        explains: super::env::FIELD_TYPES.explains,
    },
    Improvement {
        id: "job-names-are-complete",
        explains: super::env::JOB_NAME.explains,
    },
    Improvement {
        id: "arguments-are-texts",
        explains: |case, answer| {
            let args = case.input["launch_spec"]["overrides"]["args"].as_array();
            let odd = |arg: &Value| !(arg.is_string() || arg.is_number());
            answer.is_refused() && args.is_some_and(|args| args.iter().any(odd))
        },
    },
    Improvement {
        id: "override-entry-points-count",
        explains: override_counts,
    },
    Improvement {
        id: "docker-options-are-normalised",
        explains: |case, answer| {
            let name = |_: &str, word: String| match word.strip_prefix('-') {
                Some(_) => long(&word),
                None => word,
            };
            is_same(read(&case.output, name), answer)
        },
    },
    Improvement {
        id: "gpu-lists-need-no-quotes",
        explains: |case, answer| {
            let quoted = |before: &str, word: String| {
                let list = before == "--gpus" && word.starts_with("device=");
                if list { format!("\"{word}\"") } else { word }
            };
            is_same(read(&case.output, quoted), answer)
        },
    },
    Improvement {
        id: "bare-variables-are-not-forwarded",
        explains: |case, answer| {
            let args = &case.input["launch_spec"]["resource_args"]["local-container"];
            let bare = |value: &Value| value.as_str().is_some_and(|text| !text.contains('='));
            let given = |value: &Value| match value {
                Value::Array(items) => items.iter().any(bare),
                other => bare(other),
            };
            let env = ["env", "e"].iter().any(|name| given(&args[name]));
            env && answer.is_refused()
        },
    },
    Improvement {
        id: "docker-refuses-it-too",
        explains: |case, answer| {
            case.error.is_none()
                && read(&case.output, |_, word| word).is_err()
                && answer.is_refused()
        },
    },
];

fn is_same(theirs: Result<Value, String>, answer: &Answer) -> bool {
    let ours = answer.accepted().map(|output| &output["container"]);
    theirs.is_ok() && theirs.ok().as_ref() == ours
}

/// An option's name as Docker has it: two dashes, small letters, no `_`.
fn long(word: &str) -> String {
    let name = word
        .trim_start_matches('-')
        .trim()
        .replace('_', "-")
        .to_lowercase();
    match name.as_str() {
        "e" | "m" | "w" => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

/// The container of the case, with the program the submitter asked for.
fn override_counts(case: &Case, answer: &Answer) -> bool {
    let overrides = &case.input["launch_spec"]["overrides"];
    let words = |key: &str| overrides[key].as_array().cloned().unwrap_or_default();
    let entry = words("entry_point");
    let Ok(mut wanted) = read(&case.output, |_, word| word) else {
        return false;
    };
    let program: Vec<Value> = entry.iter().cloned().chain(words("args")).collect();
    wanted["runs"] = json!({ "program": program });
    !entry.is_empty() && is_same(Ok(wanted), answer)
}
