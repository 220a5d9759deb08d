//! What was asked for: built-in values < agent file < environment < flags.

use std::path::{Path, PathBuf};

use launch_config::agent::{AgentConfig, BuilderKind, DEFAULT_QUEUE};
use launch_config::id::QueueName;
use launch_config::load::{self, Checked};

use crate::failure::Failure;
use crate::global::Global;
use crate::state::StateDir;

/// The user or team, from the environment.
pub(crate) const ENTITY: &str = "WANDB_ENTITY";
/// How many jobs at once, from the environment.
pub(crate) const MAX_JOBS: &str = "WANDB_LAUNCH_MAX_JOBS";

/// Everything resolved.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) state: StateDir,
    pub(crate) config: AgentConfig,
    /// The file the configuration came from, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// `--builder`, over the file's.
    pub(crate) builder: Option<BuilderKind>,
}

/// Reads one variable of the environment; tests pass a map.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Settings {
    /// Resolves the flags that every command has, and the agent file.
    pub(crate) fn resolve(global: &Global, file: Option<&Path>) -> Result<Self, Failure> {
        let (file, checked) = read_file(file, variable)?;
        for line in checked
            .warnings
            .problems
            .iter()
            .map(|_| &checked.warnings)
            .take(1)
        {
            tracing::warn!("{line}");
        }
        let state = StateDir::locate(global.state_dir.as_deref(), variable).ok_or_else(|| {
            Failure::usage("no state directory: HOME is not set")
                .with_hint("give `--state-dir DIR`")
        })?;
        let config = from_environment(checked.value, variable)?;
        Ok(Self {
            state,
            config,
            file,
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
        self.builder.or(self.config.builder.kind)
    }
}

/// `~/.config/wandb/launch-config.yaml`, where the Python agent looks too.
fn default_file(env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    env("HOME").map(|home| Path::new(&home).join(".config/wandb/launch-config.yaml"))
}

/// Reads the file given, else the default one if it is there.
pub(crate) fn read_file(
    given: Option<&Path>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<(Option<PathBuf>, Checked<AgentConfig>), Failure> {
    let path = match given {
        Some(path) => Some(path.to_owned()),
        None => default_file(env).filter(|path| path.exists()),
    };
    let checked = match &path {
        Some(path) => load::agent_file(path)?,
        None => load::agent_text("built-in", "")?,
    };
    Ok((path, checked))
}

fn from_environment(
    mut config: AgentConfig,
    env: impl Fn(&str) -> Option<String>,
) -> Result<AgentConfig, Failure> {
    if let Some(entity) = env(ENTITY) {
        config.entity = Some(entity);
    }
    if let Some(text) = env(MAX_JOBS) {
        let number = text
            .trim()
            .parse()
            .ok()
            .filter(|number| *number >= -1 && *number != 0);
        let wrong = || {
            Failure::usage(format!(
                "{MAX_JOBS}: expected a number of jobs or -1, found `{text}`"
            ))
        };
        config.max_jobs = Some(number.ok_or_else(wrong)?);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_beats_the_file() {
        let file = load::agent_text("f", "entity: a\nmax_jobs: 2")
            .unwrap()
            .value;
        let env = |name: &str| (name == MAX_JOBS).then(|| "5".to_owned());
        let config = from_environment(file, env).unwrap();
        assert_eq!(
            (config.entity.as_deref(), config.max_jobs),
            (Some("a"), Some(5))
        );
    }

    #[test]
    fn a_bad_variable_is_named() {
        let env = |name: &str| (name == MAX_JOBS).then(|| "many".to_owned());
        let failure = from_environment(AgentConfig::default(), env).unwrap_err();
        assert!(
            failure.chain[0].starts_with("WANDB_LAUNCH_MAX_JOBS"),
            "{failure:?}"
        );
    }
}
