//! What was asked for: built-in values < agent file < environment < flags.

use std::path::{Path, PathBuf};

use launch_config::agent::variables::Variables;
use launch_config::agent::{
    AgentConfig, BackendKind, BuilderKind, DEFAULT_QUEUE, Flags, Layers, Resolved,
};
use launch_config::environment::{Builder, Setup};
use launch_config::id::QueueName;
use launch_config::image::ImageRef;
use launch_config::load::{self, Checked, LoadError, Problem, ProblemKind, Report};
use launch_config::registry::RegistryUri;
use serde_json::Value;

use crate::credential;
use crate::failure::Failure;
use crate::global::Global;
use crate::masking;
use crate::state::StateDir;

/// Everything resolved.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) state: StateDir,
    pub(crate) config: AgentConfig,
    /// What its `environment`, `registry` and `builder` mean together.
    pub(crate) setup: Setup,
    /// Where images are pushed to.
    destination: Option<ImageRef>,
    /// The file the configuration came from, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// `--builder`, over the file's.
    pub(crate) builder: Option<BuilderKind>,
    /// What is registered with a server, as it was written.
    #[cfg_attr(not(feature = "wandb"), expect(dead_code, reason = "nobody registers"))]
    pub(crate) registration: Value,
    /// Whether a key or an address of W&B is configured.
    has_wandb: bool,
}

/// Reads one variable of the environment; tests pass a map.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Settings {
    /// Resolves the flags that every command has, and the agent file.
    pub(crate) fn resolve(global: &Global, file: Option<&Path>) -> Result<Self, Failure> {
        Self::resolve_with(global, file, &Flags::new())
    }

    /// Resolves also the flags of an agent.
    pub(crate) fn resolve_with(
        global: &Global,
        file: Option<&Path>,
        flags: &Flags,
    ) -> Result<Self, Failure> {
        let read = read(file, flags, variable)?;
        warn(read.checked.warnings);
        let setup = read.checked.value.setup()?;
        let registration = read.checked.value.registration()["config"].take();
        let config = read.checked.value.config;
        let state = StateDir::locate(global.state_dir.as_deref(), variable).ok_or_else(|| {
            Failure::usage("no state directory: HOME is not set")
                .with_hint("give `--state-dir DIR`")
        })?;
        let variables = Variables::read(variable)?;
        let key = credential::api_key(&variables, variable);
        if let Ok(Some(found)) = &key {
            masking::secret(found.key.secret());
        }
        let has_token = variable("WANDB_IDENTITY_TOKEN_FILE").is_some();
        let has_key = has_token || key.is_ok_and(|key| key.is_some());
        Ok(Self {
            state: state.with_agents(config.journal.path.clone()),
            has_wandb: variables.base_url.is_some() || has_key,
            destination: setup.builder.pushes_to.repository().map(RegistryUri::image),
            setup,
            registration,
            config,
            file: read.file,
            builder: None,
        })
    }

    /// The queues to poll.
    pub(crate) fn queues(&self) -> Vec<QueueName> {
        if !self.config.queues.is_empty() {
            return self.config.queues.clone();
        }
        DEFAULT_QUEUE.parse().into_iter().collect()
    }

    /// The builder asked for, by flag or file.
    pub(crate) fn builder(&self) -> Option<BuilderKind> {
        let of_file = || match self.setup.builder.chosen()? {
            Builder::Docker { .. } => Some(BuilderKind::Docker),
            Builder::Kaniko(_) => Some(BuilderKind::Kaniko),
            _ => Some(BuilderKind::Noop),
        };
        self.builder.or_else(of_file)
    }

    /// Where images are pushed to; else they stay where they are built.
    pub(crate) fn destination(&self) -> Option<&ImageRef> {
        self.destination.as_ref()
    }

    /// Where the queues are: what the agent file says, else W&B if it is configured and
    /// this program can, else the embedded queue. A path alone is the embedded queue's.
    pub(crate) fn backend(&self) -> BackendKind {
        let backend = &self.config.backend;
        let is_wandb = self.has_wandb && backend.path.is_none() && cfg!(feature = "wandb");
        backend.kind.unwrap_or(if is_wandb {
            BackendKind::Wandb
        } else {
            BackendKind::Sqlite
        })
    }

    /// What should be known about a backend nobody chose.
    pub(crate) fn backend_note(&self) -> Option<String> {
        let is_other = self.backend() != BackendKind::Wandb;
        (self.has_wandb && is_other && self.config.backend.kind.is_none()).then(|| {
            "W&B is configured, but its queues are not polled: the embedded queue is \
             (`backend: {type: sqlite}` says that it is meant)"
                .to_owned()
        })
    }
}

/// `~/.config/wandb/launch-config.yaml`, where the Python agent looks too.
fn default_file(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    env("HOME").map(|home| Path::new(&home).join(".config/wandb/launch-config.yaml"))
}

/// A file, laid under environment and flags.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) file: Option<PathBuf>,
    pub(crate) checked: Checked<Resolved>,
}

/// Logs what is odd. That a registry is not one of the clouds' is for `config check` alone:
/// most registries are not.
fn warn(mut warnings: Report) {
    let is_common = |problem: &Problem| problem.kind == ProblemKind::UnknownRegistry;
    warnings.problems.retain(|problem| !is_common(problem));
    if !warnings.problems.is_empty() {
        tracing::warn!("{warnings}");
    }
}

/// Why there are no settings.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The file cannot be read as text.
    Unreadable(LoadError),
    /// What is said cannot be used.
    Invalid(Report),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unreadable(error) => error.into(),
            ReadError::Invalid(report) => report.into(),
        }
    }
}

/// Reads the file given, else the default one if it is there.
pub(crate) fn read(
    given: Option<&Path>,
    flags: &Flags,
    env: fn(&str) -> Option<String>,
) -> Result<Read, ReadError> {
    let file = match given {
        Some(path) => Some(path.to_owned()),
        None => default_file(env).filter(|path| path.exists()),
    };
    let text = file.as_deref().map(load::read_text).transpose();
    let text = text.map_err(ReadError::Unreadable)?;
    let name = file.as_ref().map(|path| path.display().to_string());
    let mut layers = Layers::new().with_variables(&env).with_flags(flags);
    if let (Some(name), Some(text)) = (&name, &text) {
        layers = layers.with_file(name, text);
    }
    let checked = layers.resolve().map_err(ReadError::Invalid)?;
    Ok(Read { file, checked })
}

#[cfg(test)]
mod tests {
    use launch_config::agent::variables::MAX_JOBS;

    use super::*;

    #[test]
    fn the_environment_beats_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f.yaml");
        fs_err::write(&file, "entity: a\nmax_jobs: 2").unwrap();
        let env = |name: &str| (name == MAX_JOBS).then(|| "5".to_owned());
        let read = read(Some(&file), &Flags::new(), env).unwrap();
        let config = read.checked.value.config;
        assert_eq!(
            (config.entity.as_deref(), config.max_jobs),
            (Some("a"), Some(5))
        );
    }

    #[test]
    fn a_bad_variable_is_named() {
        let env = |name: &str| (name == MAX_JOBS).then(|| "many".to_owned());
        let failure = Failure::from(read(None, &Flags::new(), env).unwrap_err());
        assert!(
            failure.chain[0].starts_with("$WANDB_LAUNCH_MAX_JOBS"),
            "{failure:?}"
        );
    }

    #[test]
    fn a_missing_file_is_an_error_only_if_it_was_asked_for() {
        let given = Path::new("/no/such/launch-config.yaml");
        assert!(read(Some(given), &Flags::new(), |_| None).is_err());
        let home = |name: &str| (name == "HOME").then(|| "/no/such/home".to_owned());
        assert_eq!(read(None, &Flags::new(), home).unwrap().file, None);
    }
}
