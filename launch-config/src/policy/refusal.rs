//! Refusals: where, what and why.

use std::fmt;

/// More refusals of one spec are not collected.
const MOST: usize = 100;
/// Longer keys are cut in messages, in characters.
const LONGEST: usize = 100;

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a list, from 0.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// Where in a document an entry stands. Displays as `spec.containers[0].ports`; a key that
/// is no plain word is quoted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Path(Vec<Step>);

impl Path {
    /// Its steps, from the top.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if !is_plain(key) => write!(f, "[{:?}]", short(key))?,
                Step::Key(key) if position == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    !key.is_empty() && key.len() <= LONGEST && key.chars().all(plain)
}

/// The start of a key that is longer than a message should be.
fn short(key: &str) -> String {
    key.chars().take(LONGEST).collect()
}

/// Why an entry is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Arguments are a mapping.
    NotAMapping,
    /// The Docker option is not on the list.
    DockerOption,
    /// The Docker option takes a text or a number.
    DockerValue,
    /// The Docker option's list is empty.
    DockerEmptyList,
    /// The Docker option's list holds something else than texts and numbers.
    DockerListItem,
    /// The option or key is open for other values only.
    OtherValue,
    /// The agent sets the security context itself.
    SecurityContext,
    /// A directory of the node.
    HostPath,
    /// A token of the cluster's API.
    ServiceAccountToken,
    /// Sharing namespaces with the node or between containers.
    HostNamespace,
    /// Running as another service account.
    ServiceAccount,
    /// Mounting a token of the cluster's API.
    AutomountToken,
    /// A port of the node.
    HostPort,
    /// Mounts that reach the node.
    MountPropagation,
    /// An annotation that turns `AppArmor` or seccomp off.
    Unconfined,
    /// The manifest is nested deeper than any real one.
    TooDeep,
    /// Secure mode locks the key of the pod's spec.
    LockedPodKey,
    /// Secure mode locks the command of containers.
    LockedCommand,
    /// Secure mode locks the entry point.
    LockedEntryPoint,
    /// Secure mode cannot look into a value of this shape.
    LockedShape,
}

impl Reason {
    /// The reason in words, to follow the entry's name.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotAMapping => "is not a mapping",
            Self::DockerOption => "is not an option a queue may set",
            Self::DockerValue => "takes one text or number",
            Self::DockerEmptyList => "needs a value",
            Self::DockerListItem => "takes texts and numbers only",
            Self::OtherValue => "is open for other values only",
            Self::SecurityContext => "is set by the agent and cannot be changed",
            Self::HostPath => "would mount a directory of the node",
            Self::ServiceAccountToken | Self::AutomountToken => {
                "would give the run a token of the cluster's API"
            }
            Self::HostNamespace => "would share namespaces beyond the container",
            Self::ServiceAccount => "would run as another service account",
            Self::HostPort => "would take a port of the node",
            Self::MountPropagation => "would let mounts reach the node",
            Self::Unconfined => "would turn the AppArmor or seccomp profile off",
            Self::TooDeep => "is nested too deep",
            Self::LockedPodKey | Self::LockedCommand | Self::LockedEntryPoint => {
                "is locked by the agent's secure mode"
            }
            Self::LockedShape => "has a shape that the agent's secure mode cannot check",
        }
    }
}

/// One entry a spec must not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {}", .reason.words())]
#[non_exhaustive]
pub struct Refusal {
    /// Where it stands.
    pub path: Path,
    /// What was asked for, as the policy names it: a Docker option without dashes in front
    /// and in lower case, else the key.
    pub option: String,
    /// Why it is refused.
    pub reason: Reason,
}

impl Refusal {
    /// What to do about it, if an administrator can.
    pub fn hint(&self) -> Option<String> {
        let hint = |runner: &str, word: &str| {
            Some(format!(
                "an administrator of the agent can open it: `policy.{runner}.allow: [{word}]`"
            ))
        };
        match self.reason {
            Reason::DockerOption => hint("docker", super::docker::openable(&self.option)?.name),
            Reason::Unconfined => hint("kubernetes", super::kubernetes::UNCONFINED),
            Reason::SecurityContext
            | Reason::HostPath
            | Reason::ServiceAccountToken
            | Reason::HostNamespace
            | Reason::ServiceAccount
            | Reason::AutomountToken
            | Reason::HostPort
            | Reason::MountPropagation => hint("kubernetes", &self.option),
            _ => None,
        }
    }
}

/// Everything a spec must not ask for: at least one refusal, at most 100.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusals(Vec<Refusal>);

impl Refusals {
    /// The first, in the order the Python agent looks.
    ///
    /// # Panics
    /// Never: only a check that refused something makes this value.
    pub fn first(&self) -> &Refusal {
        self.0.first().expect("made from one refusal at least")
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Refusal> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Refusals {
    type Item = &'a Refusal;
    type IntoIter = std::slice::Iter<'a, Refusal>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, refusal) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{refusal}")?;
        }
        Ok(())
    }
}

/// Refusals so far, and where the check is.
#[derive(Debug, Default)]
pub(super) struct Found {
    at: Vec<Step>,
    refusals: Vec<Refusal>,
}

impl Found {
    /// Runs a check one step below.
    pub(super) fn below(&mut self, step: impl Into<Step>, check: impl FnOnce(&mut Self)) {
        self.at.push(step.into());
        check(self);
        self.at.pop();
    }

    /// Refuses the entry the check is at.
    pub(super) fn refuse(&mut self, option: &str, reason: Reason) {
        if self.refusals.len() < MOST {
            self.refusals.push(Refusal {
                path: Path(self.at.clone()),
                option: option.to_owned(),
                reason,
            });
        }
    }

    /// How deep the check is.
    pub(super) fn depth(&self) -> usize {
        self.at.len()
    }

    pub(super) fn into_result(self) -> Result<(), Refusals> {
        if self.refusals.is_empty() {
            Ok(())
        } else {
            Err(Refusals(self.refusals))
        }
    }
}
