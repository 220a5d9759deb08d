//! What a submitter changes about a job.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::fields::{Fields, Problems, Unknown};
use crate::job::EntryPoint;
use crate::python_json::{dumps, dumps_map};

/// Where the code of a job is mounted in a container that was not built for it.
pub const CODE_MOUNT: &str = "/mnt/wandb";

/// What a submitter changes about a job.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Overrides {
    /// Hyperparameters: what the run reads as its config.
    pub run_config: Map<String, Value>,
    /// Arguments after the command.
    pub args: Vec<String>,
    /// The command, replacing the job's; empty if it is not replaced.
    pub entry_point: Vec<String>,
    /// The Dockerfile, below the build context.
    pub dockerfile: Option<PathBuf>,
    /// Artifacts by slot.
    pub artifacts: Map<String, Value>,
    /// Changes to JSON and YAML files of the job.
    pub files: Map<String, Value>,
    /// The directory a job with mounted code runs in.
    pub working_dir: WorkingDir,
    config_is_null: bool,
    files_are_null: bool,
}

const KEYS: &[&str] = &[
    "run_config",
    "args",
    "entry_point",
    "entrypoint",
    "dockerfile",
    "artifacts",
    "files",
    "working_dir",
];

impl Overrides {
    /// The hyperparameters as Python writes them; a `null` in the spec stays one.
    pub fn config_json(&self) -> String {
        json(self.config_is_null, &self.run_config)
    }

    /// The changes to files as Python writes them; a `null` in the spec stays one.
    pub fn files_json(&self) -> String {
        json(self.files_are_null, &self.files)
    }

    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "overrides", KEYS, Unknown::Warning, problems);
        let map = |key: &str, problems: &mut Problems| {
            block.mapping(key, problems).cloned().unwrap_or_default()
        };
        let is_null = |key: &str| {
            value
                .and_then(|block| block.get(key))
                .is_some_and(Value::is_null)
        };
        let file = block.text("dockerfile", problems);
        let dir = block.parsed("working_dir", problems);
        Self {
            run_config: map("run_config", problems),
            args: block.texts("args", problems).unwrap_or_default(),
            entry_point: entry_point(&block, problems),
            dockerfile: file.filter(|file| !file.is_empty()).map(PathBuf::from),
            artifacts: map("artifacts", problems),
            files: map("files", problems),
            working_dir: dir.unwrap_or_default(),
            config_is_null: is_null("run_config"),
            files_are_null: is_null("files"),
        }
    }
}

fn json(is_null: bool, map: &Map<String, Value>) -> String {
    if is_null && map.is_empty() {
        return dumps(&Value::Null);
    }
    dumps_map(map)
}

/// A list of words, or a text that is split as a shell would.
fn entry_point(block: &Fields<'_>, problems: &mut Problems) -> Vec<String> {
    // W&B's FAQ spells it `entrypoint`; their code reads `entry_point`.
    let key = if block.get("entry_point").is_some() {
        "entry_point"
    } else {
        "entrypoint"
    };
    match block.get(key) {
        Some(Value::String(text)) if text.trim().is_empty() => Vec::new(),
        Some(Value::String(_)) => {
            let parsed: Option<EntryPoint> = block.parsed(key, problems);
            parsed.map(EntryPoint::into_words).unwrap_or_default()
        }
        _ => block.texts(key, problems).unwrap_or_default(),
    }
}

/// A directory below the mounted code: no part of it leads out.
///
/// ```
/// use launch_config::spec::WorkingDir;
///
/// let dir: WorkingDir = "pkg//sub/".parse()?;
/// assert_eq!(dir.path(), "/mnt/wandb/pkg/sub");
/// assert!("../..".parse::<WorkingDir>().is_err());
/// # Ok::<(), launch_config::spec::ParseWorkingDirError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct WorkingDir(String);

/// Why a text is not a directory below the mounted code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("working directory {0:?} leads out of the job's code")]
pub struct ParseWorkingDirError(String);

impl WorkingDir {
    /// The whole path in the container.
    pub fn path(&self) -> String {
        if self.0.is_empty() {
            CODE_MOUNT.to_owned()
        } else {
            format!("{CODE_MOUNT}/{}", self.0)
        }
    }
}

impl fmt::Display for WorkingDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkingDir {
    type Err = ParseWorkingDirError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"..") || text.contains(char::is_control) {
            return Err(ParseWorkingDirError(text.to_owned()));
        }
        Ok(Self(parts.join("/")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_working_directory_stays_below_the_code() {
        let path = |text: &str| text.parse::<WorkingDir>().map(|dir| dir.path());
        assert_eq!(path("").unwrap(), "/mnt/wandb");
        assert_eq!(path("/etc").unwrap(), "/mnt/wandb/etc");
        assert_eq!(path("./a/./b").unwrap(), "/mnt/wandb/a/b");
        for text in ["..", "a/../..", "a\0"] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_and_display_agree(text in "[a./]{0,12}|.{0,12}") {
            if let Ok(dir) = text.parse::<WorkingDir>() {
                prop_assert!(!dir.path().contains("/../"));
                prop_assert_eq!(dir.to_string().parse(), Ok(dir));
            }
        }
    }
}
