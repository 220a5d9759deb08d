//! Runs: what is asked for, what happens, how it ends.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use launch_config::id::RunKey;
use launch_config::image::ImageRef;
use launch_config::outcome::Reason;
use launch_config::secret::Secret;
use launch_config::spec::{Service, WorkingDir};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Error;

/// What is to run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Workload {
    /// An image. Pinned where it comes from a registry; by tag or id where it is local.
    Image {
        /// Which.
        image: ImageRef,
        /// User and password for its registry, if the backend has to pull it.
        pull: Option<(String, Secret)>,
    },
    /// A directory of this machine, unpacked for this run alone; the run may write to it.
    Tree(PathBuf),
}

/// A run to start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunRequest {
    /// What the run is named after.
    pub key: RunKey,
    /// What runs.
    pub workload: Workload,
    /// The program and its first arguments; for images, empty keeps their entry point.
    pub command: Vec<String>,
    /// Arguments after the command.
    pub args: Vec<String>,
    /// Environment. All values are secrets to us: we do not know which are not.
    pub env: BTreeMap<String, Secret>,
    /// The queue's `resource_args` for this runner, already allowed by policy.
    pub resource_args: Value,
    /// Labels for people: project, queue …; the runner adds its own.
    pub labels: BTreeMap<String, String>,
    /// Whether the command is the submitter's own, which goes before any other.
    pub overrides_command: bool,
    /// Code that is not in the image, for backends that bring it there.
    pub code: Option<CodeMount>,
    /// Objects made before the run and beside it, for backends that have such.
    pub services: Vec<Service>,
    /// Logins for registries other than the image's own.
    pub logins: Vec<RegistryLogin>,
    /// Whether an image that is there by its tag is looked up again.
    pub refresh: bool,
}

/// A login for a registry or a part of one.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegistryLogin {
    /// Host, and maybe a path.
    pub address: String,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl RegistryLogin {
    /// A login of `user` for the registry at `address`.
    pub fn new(address: impl Into<String>, user: impl Into<String>, password: Secret) -> Self {
        Self {
            address: address.into(),
            user: user.into(),
            password,
        }
    }
}

/// Code of a job that runs in an image it was not built into.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodeMount {
    /// Where it comes from.
    pub source: CodeSource,
    /// The directory the command starts in.
    pub working_dir: WorkingDir,
    /// Whether the code's requirements are installed before the command starts.
    pub installs: bool,
    /// The W&B job, whose artifact holds the packages of the run it was made from.
    pub job: Option<String>,
}

impl CodeMount {
    /// Code from `source`; the command starts in its root and nothing is installed.
    pub fn new(source: CodeSource) -> Self {
        Self {
            source,
            working_dir: WorkingDir::default(),
            installs: false,
            job: None,
        }
    }

    /// Starts the command in a directory below the code.
    #[must_use]
    pub fn with_working_dir(mut self, dir: WorkingDir) -> Self {
        self.working_dir = dir;
        self
    }

    /// Installs requirements first: the code's, else those of the W&B job.
    #[must_use]
    pub fn with_install(mut self, job: Option<String>) -> Self {
        (self.installs, self.job) = (true, job);
        self
    }
}

/// Where code comes from that is brought to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeSource {
    /// A directory of this machine, for backends that share it.
    Directory(PathBuf),
    /// A W&B artifact, by its qualified name.
    Artifact(String),
    /// A commit of a git repository.
    Git {
        /// Where it is cloned from.
        remote: String,
        /// What is checked out, if not the default branch.
        commit: Option<String>,
    },
    /// A directory of a volume that the agent has put it on.
    Claim {
        /// The volume claim.
        claim: String,
        /// The directory on it.
        directory: String,
    },
}

impl RunRequest {
    /// A run of `workload` with nothing else set.
    pub fn new(key: RunKey, workload: Workload) -> Self {
        Self {
            key,
            workload,
            command: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            resource_args: Value::Null,
            labels: BTreeMap::new(),
            overrides_command: false,
            code: None,
            services: Vec::new(),
            logins: Vec::new(),
            refresh: false,
        }
    }

    /// Sets the program and its first arguments.
    #[must_use]
    pub fn with_command<S: Into<String>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the arguments after the command.
    #[must_use]
    pub fn with_args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), Secret::new(value));
        self
    }

    /// Sets the queue's arguments for this runner.
    #[must_use]
    pub fn with_resource_args(mut self, args: Value) -> Self {
        self.resource_args = args;
        self
    }

    /// Says that the command is the submitter's own.
    #[must_use]
    pub fn with_overriding_command(mut self, overrides: bool) -> Self {
        self.overrides_command = overrides;
        self
    }

    /// Sets the code that is brought to the run.
    #[must_use]
    pub fn with_code(mut self, code: CodeMount) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds objects that are made beside the run.
    #[must_use]
    pub fn with_services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.services.extend(services);
        self
    }

    /// Adds a login for a registry.
    #[must_use]
    pub fn with_login(mut self, login: RegistryLogin) -> Self {
        self.logins.push(login);
        self
    }

    /// Says whether an image that is there by its tag is looked up again: tags move.
    #[must_use]
    pub fn with_refresh(mut self, refresh: bool) -> Self {
        self.refresh = refresh;
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }
}

/// What finds a run again, in another process and after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunHandle {
    /// The runner it belongs to: `docker`, `process` …
    pub runner: String,
    /// What the run is named after.
    pub key: RunKey,
    /// The backend's own id: a container id, a directory.
    pub id: String,
}

impl RunHandle {
    /// A handle as a runner makes it.
    pub fn new(runner: impl Into<String>, key: RunKey, id: impl Into<String>) -> Self {
        Self {
            runner: runner.into(),
            key,
            id: id.into(),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunState {
    /// The backend knows it and has not started it.
    Starting,
    /// Its program runs.
    Running,
    /// It was asked to stop.
    Stopping,
    /// It has ended. Final.
    Ended,
}

impl RunState {
    /// Whether a run may go from `self` to `next`. The only list of legal moves.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Starting => next != Self::Starting,
            Self::Running => matches!(next, Self::Stopping | Self::Ended),
            Self::Stopping => next == Self::Ended,
            Self::Ended => false,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunEnd {
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// A sentence about it; empty on success.
    pub message: String,
}

impl RunEnd {
    /// An end with a sentence about it.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// The end of a program that left `code`, told as a shell tells it: codes above 128
    /// are signals.
    ///
    /// ```
    /// use launch_runner::run::RunEnd;
    ///
    /// assert_eq!(RunEnd::of_exit_code(3).message, "the program ended with code 3");
    /// assert_eq!(
    ///     RunEnd::of_exit_code(137).message,
    ///     "the program was ended by signal 9 (SIGKILL)"
    /// );
    /// ```
    pub fn of_exit_code(code: i32) -> Self {
        let message = match (code, signal_name(code - 128)) {
            (0, _) => String::new(),
            (_, Some(name)) => {
                format!("the program was ended by signal {} ({name})", code - 128)
            }
            (_, None) => format!("the program ended with code {code}"),
        };
        Self::new(Reason::of_exit_code(code), message)
    }

    /// The end of a run that somebody cancelled.
    pub fn cancelled() -> Self {
        Self::new(Reason::Cancelled, "the run was cancelled")
    }

    /// The end of a run of which nobody knows how it ended; `why` says what is missing.
    pub fn lost(why: impl Into<String>) -> Self {
        Self::new(Reason::Lost, why)
    }
}

/// Names of the signals that end programs. Numbers that differ between systems (above
/// 15, SIGBUS, SIGUSR) are left out: without a name, the code is told as it is.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEvent {
    /// It moved to another state.
    State(RunState),
    /// Something a person should know: the image is slow to pull, memory is short.
    Warning(String),
    /// It wrote output (stdout and stderr as they came). Bytes as written: cut anywhere,
    /// and not always UTF-8.
    Log(Bytes),
    /// It ended. The last event, exactly once.
    Ended(RunEnd),
}

/// One run.
///
/// # Contract
///
/// - `events` ends with exactly one [`RunEvent::Ended`], after all output that is still to
///   be had; also when the run ended before anyone watched. If the backend stops answering,
///   it keeps trying; it does not end the stream for that.
/// - `events` may be called again, also by several watchers; each gets everything from
///   `log_offset` bytes of output on.
/// - `cancel` asks nicely, waits for `grace`, then forces; when it returns `Ok`, the run has
///   ended or will have within moments. Cancelling an ended run is `Ok`.
/// - A run ended by `cancel` ends as [`Reason::Cancelled`], whatever code its program left,
///   also for watchers that attach later.
/// - `clean_up` removes what is left of an ended run; afterwards `attach` answers
///   [`Error::Lost`]. Repeating it is `Ok`. Call it when the outcome is safe elsewhere.
#[async_trait]
pub trait Run: Debug + Send + Sync + 'static {
    /// What finds this run again.
    fn handle(&self) -> &RunHandle;

    /// What happens to it, output included, from `log_offset` bytes of output on.
    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent>;

    /// The output from `offset` on, as far as it is there: at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Backend`].
    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error>;

    /// Ends it: nicely for `grace`, then by force.
    ///
    /// # Errors
    /// [`Error::Backend`] if the backend does not answer; call again.
    async fn cancel(&self, grace: Duration) -> Result<(), Error>;

    /// Removes what is left of it.
    ///
    /// # Errors
    /// [`Error::Backend`] if something is left.
    async fn clean_up(&self) -> Result<(), Error>;
}

/// The name of everything that belongs to a run: `launch-<id>-<attempt>`.
///
/// Fit for containers, Kubernetes objects and directories: at most 52 characters of
/// `[a-z0-9-]`. An id that is not already that is replaced by the first 20 hex digits of
/// its SHA-256, so two ids never share a name by being cleaned to the same one.
///
/// ```
/// use launch_config::id::RunKey;
/// use launch_runner::run::run_name;
///
/// # let id = |text: &str| text.parse().unwrap();
/// assert_eq!(run_name(&RunKey::new(id("k3x9"), 0)), "launch-k3x9-0");
/// assert!(run_name(&RunKey::new(id("UnVuUXVldWU="), 2)).ends_with("-2"));
/// ```
pub fn run_name(key: &RunKey) -> String {
    let id = key.job.as_str();
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if id.len() <= 32 && id.bytes().all(fine) && !id.ends_with('-') && !id.starts_with('-') {
        return format!("launch-{id}-{}", key.attempt);
    }
    let hash = Sha256::digest(id.as_bytes());
    let number = hash
        .iter()
        .take(10)
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("launch-x{number:020x}-{}", key.attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_follows_the_end() {
        use RunState::{Ended, Running, Starting, Stopping};
        for next in [Starting, Running, Stopping, Ended] {
            assert!(!Ended.may_become(next));
            assert!(!next.may_become(next));
        }
        assert!(Starting.may_become(Ended) && !Stopping.may_become(Running));
    }

    #[test]
    fn ids_that_differ_only_in_case_have_different_names() {
        let name = |id: &str| run_name(&RunKey::new(id.parse().unwrap(), 0));
        assert_ne!(name("aB"), name("ab"));
        assert!(name(&"x".repeat(128)).len() <= 52);
    }
}
