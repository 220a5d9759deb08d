//! The two scripts of pods, as the facts the vectors give in their place.

use launch_config::job::EntryPoint;
use serde_json::{Value, json};

/// Puts facts in the place of every script.
pub(super) fn facts(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(facts),
        Value::Object(map) => {
            let runs_script = map
                .get("command")
                .is_some_and(|command| command[0] == "/bin/sh" && command[1] == "-c");
            if runs_script {
                for key in ["command", "args"] {
                    let words = map.get_mut(key).and_then(Value::as_array_mut);
                    words.into_iter().flatten().for_each(read);
                }
            }
            map.values_mut().for_each(facts);
        }
        _ => {}
    }
}

fn read(word: &mut Value) {
    let Some(lines) = word.as_str().and_then(|text| text.strip_prefix("set -e\n")) else {
        return;
    };
    let lines: Vec<&str> = lines.lines().collect();
    let read = if lines.iter().any(|line| line.starts_with("exec ")) {
        install(&lines)
    } else {
        fetch(&lines)
    };
    *word = read.unwrap_or_else(|line| json!({"not understood": line}));
}

/// The words of a line, as a shell splits it.
fn words(line: &str) -> Vec<String> {
    let parsed = line.parse().map(EntryPoint::into_words);
    parsed.unwrap_or_default()
}

/// Commands, of which each that fails fails the script: but for a last `|| true`, which
/// is on none that fetches.
fn fetch(lines: &[&str]) -> Result<Value, String> {
    let mut steps = Vec::new();
    let mut masked = false;
    for line in lines {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["wandb", "artifact", "get", artifact, "--root", into] => {
                steps.push(json!({"do": "download-artifact", "artifact": artifact, "into": into}));
            }
            ["git", "clone", "--", remote, into] => {
                steps.push(json!({"do": "git-clone", "remote": remote, "into": into}));
            }
            [
                "git",
                "config",
                "--global",
                "--add",
                "safe.directory",
                directory,
            ] => {
                steps.push(json!({"do": "git-trust-directory", "directory": directory}));
            }
            ["cd", to] => steps.push(json!({"do": "change-directory", "to": to})),
            ["git", "checkout", reference] => {
                steps.push(json!({"do": "git-checkout", "ref": reference}));
            }
            // All there is in a directory is what is in it, and what is hidden in it.
            ["chmod", "-R", mode, directory, "||", "true"] => {
                for files in ["*", ".*"] {
                    let path = format!("{directory}/{files}");
                    steps.push(
                        json!({"do": "chmod", "mode": mode, "recursive": true, "path": path}),
                    );
                }
            }
            _ => return Err((*line).to_owned()),
        }
        masked |= line.ends_with("|| true") && !line.starts_with("chmod");
    }
    Ok(json!({"script": "fetch-source", "steps": steps, "failure_masked": masked}))
}

fn install(lines: &[&str]) -> Result<Value, String> {
    let mut choices = Vec::new();
    let (mut otherwise, mut exec) = (Value::Null, Vec::<String>::new());
    for line in lines {
        let words = words(&line.replace("];", "] ;"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            [
                "if" | "elif",
                "[",
                "-f",
                file,
                "]",
                ";",
                "then",
                "pip",
                "install",
                "-r",
                target,
            ] => {
                choices.push(
                    json!({"if_file": file, "pip_install": "requirements-file", "target": target}),
                );
            }
            [
                "if" | "elif",
                "[",
                "-f",
                file,
                "]",
                ";",
                "then",
                "pip",
                "install",
                target,
            ] => {
                choices.push(json!({"if_file": file, "pip_install": "project", "target": target}));
            }
            ["else", "echo", ..] => otherwise = json!("continue"),
            ["fi"] => {}
            ["exec", ref command @ ..] => {
                exec = command.iter().map(|word| (*word).to_owned()).collect();
            }
            _ => return Err((*line).to_owned()),
        }
    }
    Ok(json!({
        "script": "install-then-exec",
        "first_existing": choices,
        "otherwise": otherwise,
        "exec": exec,
    }))
}
