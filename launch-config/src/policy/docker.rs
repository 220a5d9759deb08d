//! `resource_args.local-container`: an allow-list of `docker run` options.

use serde_json::Value;

use super::grants::DockerGrants;
use super::refusal::{Found, Reason};
use super::{scalar_text, trim};

/// What every queue may set.
pub(super) const ALLOWED: &[&str] = &[
    "command",
    "cpu",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "e",
    "env",
    "gpus",
    "m",
    "memory",
    "memory-reservation",
    "memory-swap",
    "name",
    "pids-limit",
    "platform",
    "shm-size",
    "ulimit",
    "w",
    "workdir",
];

/// Which of these take a list.
const LISTS: &[&str] = &["e", "env", "ulimit"];

/// What the agent decides about every container; nobody can open it.
pub(super) const RESERVED: &[&str] = &[
    "attach",
    "cidfile",
    "detach",
    "detach-keys",
    "entrypoint",
    "env-file",
    "interactive",
    "label",
    "label-file",
    "log-driver",
    "log-opt",
    "pull",
    "quiet",
    "restart",
    "rm",
    "sig-proxy",
    "tty",
];

/// What an opened option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// One text or number.
    One,
    /// One, or a list of them.
    Many,
    /// True or false.
    Flag,
}

/// An option an administrator can open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Openable {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
}

const fn one(name: &'static str) -> Openable {
    Openable {
        name,
        takes: Takes::One,
    }
}

const fn many(name: &'static str) -> Openable {
    Openable {
        name,
        takes: Takes::Many,
    }
}

const fn flag(name: &'static str) -> Openable {
    Openable {
        name,
        takes: Takes::Flag,
    }
}

/// What an administrator can open.
pub(super) const OPENABLE: &[Openable] = &[
    many("add-host"),
    one("blkio-weight"),
    many("cap-add"),
    many("cap-drop"),
    one("cgroup-parent"),
    one("cgroupns"),
    many("device"),
    many("device-cgroup-rule"),
    many("dns"),
    many("dns-option"),
    many("dns-search"),
    one("domainname"),
    many("expose"),
    many("group-add"),
    one("hostname"),
    flag("init"),
    one("ip"),
    one("ip6"),
    one("ipc"),
    many("link"),
    one("mac-address"),
    many("mount"),
    many("network"),
    many("network-alias"),
    flag("no-healthcheck"),
    flag("oom-kill-disable"),
    one("oom-score-adj"),
    one("pid"),
    flag("privileged"),
    many("publish"),
    flag("publish-all"),
    flag("read-only"),
    one("runtime"),
    many("security-opt"),
    one("stop-signal"),
    one("stop-timeout"),
    many("storage-opt"),
    many("sysctl"),
    many("tmpfs"),
    one("user"),
    one("userns"),
    one("uts"),
    many("volume"),
    one("volume-driver"),
    many("volumes-from"),
];

/// Other names of options.
const ALIASES: &[(&str, &str)] = &[
    ("dns-opt", "dns-option"),
    ("h", "hostname"),
    ("net", "network"),
    ("net-alias", "network-alias"),
    ("p", "publish"),
    ("u", "user"),
    ("v", "volume"),
];

/// The option of this name or alias, if an administrator can open it.
pub(super) fn openable(name: &str) -> Option<&'static Openable> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let name = alias.map_or(name, |(_, name)| name);
    OPENABLE.iter().find(|option| option.name == name)
}

/// An option's name as the policy sees it: no blanks around, no dashes in front, `-` for
/// `_`, lower case.
pub(super) fn normalised(raw: &str) -> String {
    trim(raw)
        .trim_start_matches('-')
        .replace('_', "-")
        .to_lowercase()
}

/// Judges the arguments.
pub(super) fn check(args: &Value, grants: &DockerGrants, found: &mut Found) {
    let map = match args {
        Value::Object(map) => map,
        Value::Null => return,
        _ => return found.refuse("local-container", Reason::NotAMapping),
    };
    for (raw, value) in map {
        let name = normalised(raw);
        if let Err(reason) = judge(&name, value, grants) {
            found.below(raw.as_str(), |found| found.refuse(&name, reason));
        }
    }
}

fn judge(name: &str, value: &Value, grants: &DockerGrants) -> Result<(), Reason> {
    if ALLOWED.contains(&name) {
        let takes = if LISTS.contains(&name) {
            Takes::Many
        } else {
            Takes::One
        };
        return takes.texts(value).map(drop);
    }
    let option = openable(name).ok_or(Reason::DockerOption)?;
    let grant = grants.0.get(option.name).ok_or(Reason::DockerOption)?;
    let texts = option.takes.texts(value)?;
    if texts.iter().all(|text| grant.covers(text)) {
        Ok(())
    } else {
        Err(Reason::OtherValue)
    }
}

impl Takes {
    /// The values as texts, if they are of the right kind.
    fn texts(self, value: &Value) -> Result<Vec<String>, Reason> {
        match (self, value) {
            (Self::Flag, Value::Bool(flag)) => Ok(vec![flag.to_string()]),
            (Self::Flag, Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
                Ok(vec![text.clone()])
            }
            (Self::Flag, _) => Err(Reason::DockerValue),
            (Self::Many, Value::Array(items)) if items.is_empty() => Err(Reason::DockerEmptyList),
            (Self::Many, Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.iter().map(text).collect();
                texts.ok_or(Reason::DockerListItem)
            }
            (_, value) => text(value)
                .map(|text| vec![text])
                .ok_or(Reason::DockerValue),
        }
    }
}

/// A text or a number; unlike a flag, a boolean is neither.
fn text(value: &Value) -> Option<String> {
    scalar_text(value).filter(|_| !value.is_boolean())
}
