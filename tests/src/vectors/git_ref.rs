//! `git_ref`: a git remote and a reference to the commands that fetch it.

use launch_config::source::{GitFetch, GitReference, GitRemote, default_project, looks_like_git};
use serde_json::{Map, Value, json};

use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "git_ref",
    run,
    details: &["commands", "looks_like_git", "default_project"],
    improvements: &[
        HTTP_LOOPBACK,
        OPTION_LIKE,
        REFERENCE_NAMES,
        Improvement {
            id: "git-gets-normal-urls",
            explains: |case, answer| {
                let (theirs, ours) = (remote_given(&case.output), remote_given(output_of(answer)));
                let (Some(theirs), Some(ours)) = (theirs, ours) else {
                    return false;
                };
                let mut expected = case.output.clone();
                expected["commands"][1][4] = json!(ours);
                loose(theirs) == loose(ours)
                    && case.error.is_some() == answer.is_refused()
                    && holds(output_of(answer), &expected)
            },
        },
    ],
};

/// What is told of an answer, accepted or not.
fn output_of(answer: &Answer) -> &Value {
    match answer {
        Answer::Accepted(output) => output,
        Answer::Refused { details, .. } => details,
        _ => &Value::Null,
    }
}

/// The remote git was given.
fn remote_given(output: &Value) -> Option<&str> {
    output["commands"][1][4].as_str()
}

/// Whether it holds what is expected; a refusal tells less than a success.
fn holds(output: &Value, expected: &Value) -> bool {
    let told = output.as_object().into_iter().flatten();
    let mut told = told.filter(|(key, _)| expected.get(*key).is_some());
    told.all(|(key, value)| expected[key] == *value)
}

/// A URL without what its normal form may change: blanks around it, the case of its
/// letters, escapes, and the slash of an empty path.
fn loose(url: &str) -> Vec<u8> {
    let text = url.trim().to_lowercase();
    let text = text.replace([':', '/'], "");
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *byte == b'%');
        let escaped = escaped.and_then(|two| std::str::from_utf8(two).ok());
        let escaped = escaped.and_then(|two| u8::from_str_radix(two, 16).ok());
        plain.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    plain
}

/// http to this machine, which the original refuses like any http.
pub(super) const HTTP_LOOPBACK: Improvement = Improvement {
    id: "http-to-this-machine",
    explains: |case, answer| {
        let refused = case.error.as_deref() == Some("git transport not allowed");
        // What the fetch ends with is git's to say.
        let begun = answer.accepted().is_some() || remote_given(output_of(answer)).is_some();
        refused && begun && is_http_to_this_machine(remote_of(case))
    },
};

/// What git or ssh would take for an option, or would refuse on its own.
pub(super) const OPTION_LIKE: Improvement = Improvement {
    id: "git-remotes-name-a-host",
    explains: |case, answer| {
        let begun = remote_given(output_of(answer)).is_some();
        answer.is_refused() && !begun && is_unsafe(remote_of(case).trim())
    },
};

/// A reference git has no name for.
pub(super) const REFERENCE_NAMES: Improvement = Improvement {
    id: "git-references-are-names",
    explains: |case, answer| {
        let commit = &case.input["job"]["document"]["source"]["git"]["commit"];
        let reference = case.input["ref"].as_str().or(commit.as_str());
        let reference = reference.filter(|text| !text.is_empty());
        answer.is_refused() && reference.is_some_and(|text| text.parse::<GitReference>().is_err())
    },
};

/// The remote of a case of this category, or of a job.
fn remote_of(case: &Case) -> &str {
    let job = &case.input["job"]["document"]["source"]["git"]["remote"];
    case.input["remote"]
        .as_str()
        .or(job.as_str())
        .unwrap_or_default()
}

fn is_http_to_this_machine(remote: &str) -> bool {
    let remote = remote.trim();
    let rest = remote
        .get(..7)
        .filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let host = rest.map(|_| remote[7..].split('/').next().unwrap_or_default());
    let host = host.map(|host| host.rsplit('@').next().unwrap_or_default());
    host.is_some_and(|host| {
        ["localhost", "127.", "[::1]"]
            .iter()
            .any(|own| host.starts_with(own))
            || host
                .split(':')
                .next()
                .is_some_and(|name| name.ends_with(".localhost"))
    })
}

/// No host, a part that starts with a dash, a control character, or no URL at all.
fn is_unsafe(remote: &str) -> bool {
    let Some((_, rest)) = remote.split_once("://") else {
        let (login, path) = remote.split_once(':').unwrap_or((remote, ""));
        let host = login.split_once('@').map_or("", |(_, host)| host);
        return host.starts_with('-') || path.starts_with('-') || has_control(remote);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let port = host.rsplit_once(':').map(|(_, port)| port);
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    name.is_empty()
        || authority.starts_with('-')
        || name.starts_with('-')
        || name.contains(char::is_whitespace)
        || port.is_some_and(|port| !is_port(port) && !port.ends_with(']'))
        || has_control(remote)
}

fn has_control(text: &str) -> bool {
    text.contains(char::is_control)
}

fn run(input: &Value) -> Answer {
    let text = input["remote"].as_str().unwrap_or_default();
    let mut output = Map::new();
    output.insert("looks_like_git".to_owned(), json!(looks_like_git(text)));
    output.extend(default_project(text).map(|name| ("default_project".to_owned(), json!(name))));
    let reference = input["ref"].as_str().filter(|text| !text.is_empty());
    let parsed = text
        .parse::<GitRemote>()
        .map_err(|error| error.to_string())
        .and_then(|remote| {
            let reference = reference.map(str::parse::<GitReference>).transpose();
            Ok((remote, reference.map_err(|error| error.to_string())?))
        });
    let mut git = Git {
        repository: &input["repository"],
        commands: Vec::new(),
    };
    let fetched = parsed.and_then(|(remote, reference)| {
        let fetch = GitFetch::new(&remote, reference.as_ref());
        let name = git.fetch(&fetch).map_err(str::to_owned)?;
        Ok((name, reference.is_none()))
    });
    output.insert("commands".to_owned(), json!(git.commands));
    let (name, is_default) = match fetched {
        Ok(fetched) => fetched,
        Err(message) => return Answer::refused_with(Value::Object(output), &message),
    };
    output.insert(
        "default_branch".to_owned(),
        json!(is_default.then_some(&name)),
    );
    output.insert("ref".to_owned(), json!(name));
    output.insert("commit".to_owned(), input["repository"]["head"].clone());
    Answer::Accepted(Value::Object(output))
}

/// The fake git program of the vectors: it knows branches, and fails where it is told to.
struct Git<'a> {
    repository: &'a Value,
    commands: Vec<Vec<String>>,
}

impl Git<'_> {
    fn fetch(&mut self, fetch: &GitFetch<'_>) -> Result<String, &'static str> {
        for command in fetch.prepare("<DIR>") {
            self.run(command)?;
        }
        let chosen = fetch.choose(|branch| {
            self.commands.push(GitFetch::probe(branch));
            let branches = self.repository["branches"].as_array();
            branches.is_some_and(|branches| branches.iter().any(|one| one == branch))
        });
        let chosen = chosen.map_err(|_| "no default branch")?;
        self.run(fetch.checkout(chosen))?;
        for command in fetch.finish() {
            self.run(command)?;
        }
        Ok(chosen.name().to_owned())
    }

    fn run(&mut self, command: Vec<String>) -> Result<(), &'static str> {
        let told = self.repository["fail"].as_array();
        let mut told = told.into_iter().flatten().filter_map(Value::as_str);
        let fails = told.any(|name| command.iter().any(|word| word == name));
        self.commands.push(command);
        if fails { Err("git failed") } else { Ok(()) }
    }
}
