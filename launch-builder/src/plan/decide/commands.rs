//! What runs.

use std::path::Path;

use super::super::{BuildSpec, EntryPoint};
use crate::error::Error;
use crate::source::SourceTree;

/// What a source is to run, as far as somebody said.
#[derive(Debug, Clone, Default)]
pub(super) struct Commands {
    given: Option<EntryPoint>,
    pub(super) job: Option<EntryPoint>,
}

impl Commands {
    pub(super) fn of(spec: &BuildSpec) -> Self {
        let some = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
        Self {
            given: some(&spec.entry_point).map(|words| EntryPoint::given(&words)),
            job: some(&spec.job_entry_point).map(|words| EntryPoint::of_job(&words)),
        }
    }

    /// The command that says where a Dockerfile may be: the job's, which its author knew.
    pub(super) fn decisive(&self) -> Option<&EntryPoint> {
        self.job.as_ref().or(self.given.as_ref())
    }

    /// The same, with the decisive command moved to its Dockerfile.
    pub(super) fn moved(self, entry: EntryPoint) -> Self {
        match self.decisive() {
            None => self,
            Some(_) if self.job.is_some() => Self {
                job: Some(entry),
                ..self
            },
            Some(_) => Self {
                given: Some(entry),
                ..self
            },
        }
    }

    /// The same, or what was found in the source.
    pub(super) fn or(self, found: Option<Result<EntryPoint, Error>>) -> Result<Self, Error> {
        let given = found.transpose()?.or(self.given);
        Ok(Self { given, ..self })
    }

    /// What runs: what somebody wants now goes before what was recorded.
    pub(super) fn effective(&self) -> Option<&EntryPoint> {
        self.given.as_ref().or(self.job.as_ref())
    }
}

/// Decides what a source runs, for a runner that needs no image.
///
/// # Errors
/// [`Error::Plan`] if nothing was given and the source does not say, [`Error::Path`] if the
/// script is not in the source.
pub fn entry_point(tree: &SourceTree, given: &[String]) -> Result<EntryPoint, Error> {
    entry_in(tree.root(), given)
}

/// The command of a spec, or the one the source says; its script is in the source.
pub(in super::super) fn command(tree: &SourceTree, spec: &BuildSpec) -> Result<EntryPoint, Error> {
    let commands = Commands::of(spec);
    let entry = match commands.effective() {
        Some(entry) => entry.clone(),
        None => EntryPoint::find(tree.root())?,
    };
    entry.check(tree.root())?;
    Ok(entry)
}

fn entry_in(root: &Path, given: &[String]) -> Result<EntryPoint, Error> {
    if given.is_empty() {
        return EntryPoint::find(root);
    }
    let entry = EntryPoint::given(given);
    entry.check(root)?;
    Ok(entry)
}
