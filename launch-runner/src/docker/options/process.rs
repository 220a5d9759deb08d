//! The program in a container, and who it is.

use bollard::models::HealthConfig;
use launch_config::secret::Secret;
use serde_json::Value;

use super::super::value;
use super::{ContainerOptions, add, filled, flag, many, one, pairs};

pub(super) const NAMES: &[&str] = &[
    "cap-add",
    "cap-drop",
    "env",
    "group-add",
    "init",
    "ipc",
    "name",
    "no-healthcheck",
    "pid",
    "platform",
    "privileged",
    "runtime",
    "security-opt",
    "stop-signal",
    "stop-timeout",
    "sysctl",
    "user",
    "userns",
    "uts",
    "workdir",
];

pub(super) fn set(
    options: &mut ContainerOptions,
    name: &str,
    given: &Value,
) -> Result<bool, String> {
    let ContainerOptions { body, host, .. } = options;
    match name {
        "env" => {
            for text in many(given)? {
                set_variable(options, &text)?;
            }
        }
        "platform" => options.platform = filled(given)?,
        "workdir" => body.working_dir = filled(given)?,
        "user" => body.user = filled(given)?,
        "group-add" => add(&mut host.group_add, many(given)?),
        "cap-add" => add(&mut host.cap_add, many(given)?),
        "cap-drop" => add(&mut host.cap_drop, many(given)?),
        "privileged" => host.privileged = Some(flag(given)?),
        "security-opt" => {
            let texts = many(given)?.into_iter().map(security);
            add(
                &mut host.security_opt,
                texts.collect::<Result<Vec<_>, _>>()?,
            );
        }
        "sysctl" => host.sysctls.get_or_insert_default().extend(pairs(given)?),
        "runtime" => host.runtime = filled(given)?,
        "ipc" => host.ipc_mode = filled(given)?,
        "pid" => host.pid_mode = filled(given)?,
        "userns" => host.userns_mode = filled(given)?,
        "uts" => host.uts_mode = filled(given)?,
        "init" => host.init = Some(flag(given)?),
        "stop-signal" => body.stop_signal = filled(given)?,
        "stop-timeout" => body.stop_timeout = Some(value::integer(&one(given)?)?),
        "no-healthcheck" if flag(given)? => {
            body.healthcheck = Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            });
        }
        "no-healthcheck" => {}
        "name" => options.name = filled(given)?.map(checked_name).transpose()?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn set_variable(options: &mut ContainerOptions, text: &str) -> Result<(), String> {
    // Neither message shows the text: what is not a name may be a secret.
    let Some((name, value)) = text.split_once('=') else {
        return Err(
            "a variable is written NAME=VALUE; the agent's own environment is not given to jobs"
                .to_owned(),
        );
    };
    if name.is_empty() {
        return Err("a variable has no name".to_owned());
    }
    options.env.insert(name.to_owned(), Secret::new(value));
    Ok(())
}

/// The engine's rule, which it tells with a pattern.
fn checked_name(name: String) -> Result<String, String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() > 1 && name.chars().all(fine) {
        return Ok(name);
    }
    Err(format!(
        "`{name}` is no name of a container: letters, digits, `_`, `.` and `-`, at least two, a \
         letter or digit first"
    ))
}

/// The client would read a profile from a file of its own machine, which is ours.
fn security(text: String) -> Result<String, String> {
    let (name, value) = text.split_once(['=', ':']).unwrap_or((&text, ""));
    let known = matches!(value, "unconfined" | "builtin") || value.starts_with('{');
    if name == "seccomp" && !known {
        return Err(format!(
            "`{text}`: a seccomp profile is `unconfined`, `builtin`, or the JSON of it"
        ));
    }
    Ok(text)
}
