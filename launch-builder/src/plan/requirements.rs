//! What a job wants installed.

mod list;
mod pyproject;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Serialize;

use self::list::is_local;
pub(super) use self::pyproject::Pyproject;
use crate::confine;
use crate::error::Error;

const FILE: &str = "requirements.txt";
const PYPROJECT: &str = "pyproject.toml";
const FROZEN: &str = "requirements.frozen.txt";
const WHAT: &str = "requirements file";
/// The package without which a job reports nothing.
const WANDB: &str = "wandb";

/// What to install, and what of the source installing it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Requirements {
    /// The file that decided, relative to the project.
    pub file: PathBuf,
    /// What sort of list it is.
    pub kind: RequirementsKind,
    /// The packages, for a list that pip cannot read by itself.
    pub packages: Vec<String>,
    /// The files pip reads: the list and those it includes.
    pub files: Vec<PathBuf>,
    /// The list names parts of the source itself (`-e .`, a wheel), so that installing
    /// comes after the copying and is repeated with every change.
    pub needs_source: bool,
    /// There is nothing in the list: it says that nothing is to be installed.
    pub is_empty: bool,
    /// The list says something of `wandb`.
    #[serde(skip)]
    pub(super) names_wandb: bool,
}

/// What sort of list requirements are, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RequirementsKind {
    /// A `requirements.txt`.
    File,
    /// The `[project]` table of a `pyproject.toml`.
    Pyproject,
    /// A `requirements.frozen.txt`: everything that was installed, dependencies included.
    Frozen,
}

/// Whether the source has a list that goes before everything else.
pub(super) fn has_file(root: &Path) -> Result<bool, Error> {
    Ok(confine::find(root, Path::new(FILE), WHAT)?.is_some())
}

/// Finds what to install: `requirements.txt`, else the dependencies in `pyproject.toml`,
/// else `requirements.frozen.txt`. A list that is there but empty is an answer too.
pub(super) fn find(
    root: &Path,
    pyproject: Option<&Pyproject>,
) -> Result<Option<Requirements>, Error> {
    if let Some(list) = list::read(root, FILE, RequirementsKind::File)? {
        return Ok(Some(list));
    }
    match pyproject.map_or(&[][..], Pyproject::dependencies) {
        [] => list::read(root, FROZEN, RequirementsKind::Frozen),
        dependencies => from_dependencies(dependencies).map(Some),
    }
}

fn from_dependencies(dependencies: &[String]) -> Result<Requirements, Error> {
    let strange = |text: &&String| text.trim().is_empty() || text.contains(char::is_control);
    if let Some(text) = dependencies.iter().find(strange) {
        return Err(Error::Plan(format!(
            "`{PYPROJECT}` has a dependency {text:?}, which is none"
        )));
    }
    Ok(Requirements {
        file: PYPROJECT.into(),
        kind: RequirementsKind::Pyproject,
        packages: dependencies.to_vec(),
        files: Vec::new(),
        needs_source: dependencies.iter().any(|text| is_local(text)),
        is_empty: false,
        names_wandb: dependencies.iter().any(|text| text.contains(WANDB)),
    })
}
