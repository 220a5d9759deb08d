//! Where jobs and specs go another way here, on purpose.

use serde_json::{Value, json};

use super::super::env::{FIELD_TYPES, IMAGE_REFERENCE, JOB_NAME, NAMES_NOTHING};
use super::super::git_ref::{HTTP_LOOPBACK, OPTION_LIKE, REFERENCE_NAMES};
use super::super::{Answer, Case, Improvement};

pub(super) const RULES: &[Improvement] = &[
    Improvement {
        id: "entry-points-are-split",
        explains: |case, answer| {
            let words = |entry: &Value| entry["command"].is_array() || entry.is_null();
            let output = answer.accepted();
            let own = &case.input["launch_spec"]["overrides"]["entry_point"];
            let job = &case.input["job"]["document"]["source"]["entrypoint"];
            (own.is_string() || job.is_string())
                && output.is_some_and(|output| {
                    words(&output["entry_point"]) && words(&output["override_entry_point"])
                })
        },
    },
    Improvement {
        id: "working-directories-stay-inside",
        explains: |case, answer| {
            let dir = &case.input["launch_spec"]["overrides"]["working_dir"];
            let Some(dir) = dir.as_str() else {
                return false;
            };
            let parts: Vec<&str> = dir
                .split('/')
                .filter(|part| !matches!(*part, "" | "."))
                .collect();
            let path = format!("/mnt/wandb/{}", parts.join("/"));
            if parts.contains(&"..") {
                answer.is_refused()
            } else {
                path != case.output["working_dir"]
                    && same_but(case, answer, "working_dir", json!(path))
            }
        },
    },
    Improvement {
        id: "python-version-of-the-spec",
        explains: |case, answer| {
            let given = &case.input["launch_spec"]["python_version"];
            let job = &case.input["job"]["document"]["runtime"];
            let silent = job.as_str().is_none_or(str::is_empty);
            given.is_string() && silent && same_but(case, answer, "python_version", given.clone())
        },
    },
    Improvement {
        id: "placeholders-start-schedulers-only",
        explains: |case, answer| {
            let spec = &case.input["launch_spec"];
            let uri = spec["uri"].as_str().unwrap_or_default();
            let command = &spec["overrides"]["entry_point"];
            let scheduler =
                command[0] == "wandb" && command[1] == "scheduler" && !command[2].is_null();
            let known = uri == "placeholder-uri-scheduler" && scheduler;
            let process = spec["resource"] == "local-process";
            uri.starts_with("placeholder") && !(known && process) && answer.is_refused()
        },
    },
    Improvement {
        id: "scheduler-arguments-lose-quotes",
        explains: |case, answer| {
            let argv = case.output["plan"]["argv"].as_array();
            let plan = argv.map(|argv| {
                let argv: Vec<Value> = argv.iter().map(unquoted).collect();
                json!({"kind": "process", "argv": argv})
            });
            case.output["source"] == "scheduler"
                && plan.is_some_and(|plan| same_but(case, answer, "plan", plan))
        },
    },
    Improvement {
        id: "notebook-commands-are-comments",
        explains: |case, answer| {
            let lines = case.output["converted"].as_array();
            let lines: Option<Vec<Value>> =
                lines.map(|lines| lines.iter().map(commented).collect());
            lines.is_some_and(|lines| same_but(case, answer, "converted", json!(lines)))
        },
    },
    Improvement {
        id: "arguments-are-texts",
        explains: |case, answer| {
            let args = case.output["override_args"].as_array();
            let text = |arg: &Value| match arg {
                Value::Number(number) => json!(number.to_string()),
                other => other.clone(),
            };
            let args = args.map(|args| args.iter().map(text).collect::<Value>());
            args.is_some_and(|args| same_but(case, answer, "override_args", args))
        },
    },
    HTTP_LOOPBACK,
    OPTION_LIKE,
    REFERENCE_NAMES,
    IMAGE_REFERENCE,
    JOB_NAME,
    NAMES_NOTHING,
    FIELD_TYPES,
];

/// Whether the answer is the original's, with another value of one field.
fn same_but(case: &Case, answer: &Answer, key: &str, value: Value) -> bool {
    let mut expected = case.output.clone();
    expected[key] = value;
    case.error.is_none() && answer.accepted() == Some(&expected)
}

fn commented(line: &Value) -> Value {
    let text = line.as_str().unwrap_or_default();
    let rest = text.trim_start();
    let command = rest.starts_with(['!', '?'])
        || rest
            .strip_prefix('%')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_alphabetic() || c == '%'));
    let indent = &text[..text.len() - rest.len()];
    match (command, indent) {
        (false, _) => line.clone(),
        (true, "") => json!(format!("# {rest}")),
        (true, indent) => json!(format!("{indent}pass  # {rest}")),
    }
}

fn unquoted(word: &Value) -> Value {
    let text = word.as_str().unwrap_or_default();
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    json!(inner('\'').or_else(|| inner('"')).unwrap_or(text))
}
