//! What is asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use launch_config::id::RunKey;
use launch_config::image::ImageRef;
use launch_config::secret::Secret;
use launch_config::spec::{Service, WorkingDir};
use serde_json::Value;

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
