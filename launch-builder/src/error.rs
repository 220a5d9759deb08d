//! What can go wrong on the way to an image.

use std::path::PathBuf;

use launch_config::source::GitRemote;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a source, a plan or a build failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is not there or not a directory.
    #[error("source `{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// git is not on this machine.
    #[error("git is not installed")]
    NoGit(#[source] std::io::Error),
    /// The remote has no such branch, tag or commit.
    #[error("`{remote}` has no branch, tag or commit `{reference}`")]
    NoSuchReference {
        /// The repository.
        remote: Box<GitRemote>,
        /// What was asked for.
        reference: String,
    },
    /// git failed otherwise.
    #[error("git cannot {action} `{remote}`: {said}")]
    Git {
        /// The repository.
        remote: Box<GitRemote>,
        /// What was tried.
        action: &'static str,
        /// What git said, without secrets, reduced to its useful lines.
        said: String,
    },
    /// An artifact cannot be fetched, or is not what its manifest says.
    #[error("artifact `{artifact}`: {what}")]
    Artifact {
        /// The artifact.
        artifact: String,
        /// What is wrong with it.
        what: String,
        /// Whether another try may succeed.
        is_retryable: bool,
        /// Why, if the store said so.
        #[source]
        source: Option<Source>,
    },
    /// The manifest of an artifact cannot be used.
    #[error("the manifest of the artifact {0}")]
    Manifest(String),
    /// The patch of a job does not fit its source.
    #[error("the job's patch cannot be applied")]
    Patch(#[source] launch_config::job::patch::PatchError),
    /// A path of the spec leads out of the source, or is not there.
    #[error("{what} `{}` {why}", .path.display())]
    Path {
        /// What the path is for: `Dockerfile`, `build context`.
        what: &'static str,
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An ignore file has a rule that is none.
    #[error("`{}` line {line}: `{rule}` is not a pattern", .file.display())]
    Ignore {
        /// The ignore file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The rule.
        rule: String,
    },
    /// A file of a source cannot be read.
    #[error("cannot read `{}`", .path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a source was written to, replaced or removed while it was read.
    #[error("`{}` changed while it was read", .0.display())]
    Changed(PathBuf),
    /// An entry cannot be written to a working copy.
    #[error("cannot write `{}`", .path.display())]
    Write {
        /// The entry, relative to the copy.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An archive has an entry that is not unpacked.
    #[error("archive entry `{entry}` {why}")]
    Archive {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The plan cannot be made: what is missing, and where it was looked for.
    #[error("{0}")]
    Plan(String),
    /// The builder's backend is not there.
    #[error("{builder} is not available: {missing}")]
    Unavailable {
        /// The builder.
        builder: &'static str,
        /// What is missing.
        missing: String,
        /// Why, if an error said so.
        #[source]
        source: Option<Source>,
    },
    /// The builder's settings, or what was asked of it, could never work.
    #[error("builder `{builder}`: {problem}")]
    Settings {
        /// The builder.
        builder: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The store of build contexts did not do what it was asked to.
    #[error("cannot {action} the context store {store}")]
    Store {
        /// The store.
        store: String,
        /// What was tried.
        action: &'static str,
        /// Why.
        source: Source,
    },
    /// The build failed.
    #[error("{builder} cannot build `{image}`: {said}")]
    Build {
        /// The builder.
        builder: &'static str,
        /// The image.
        image: String,
        /// The backend's own sentence.
        said: String,
        /// The last lines of the log.
        log_tail: Vec<String>,
    },
    /// There is source code and no builder for it.
    #[error("`{0}` has to be built, and the builder is `noop`")]
    NothingToBuildWith(String),
    /// A file could not be read or written.
    #[error("cannot read or write a file")]
    Io(#[from] std::io::Error),
}

impl Error {
    /// Whether trying the same call again may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Artifact { is_retryable, .. } => *is_retryable,
            Self::Git { .. }
            | Self::Unavailable { .. }
            | Self::Store { .. }
            | Self::Changed(_)
            | Self::Io(_) => true,
            Self::NotADirectory(_)
            | Self::NoGit(_)
            | Self::NoSuchReference { .. }
            | Self::Manifest(_)
            | Self::Patch(_)
            | Self::Path { .. }
            | Self::Ignore { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Archive { .. }
            | Self::Plan(_)
            | Self::Settings { .. }
            | Self::Build { .. }
            | Self::NothingToBuildWith(_) => false,
        }
    }

    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoGit(_) => Some("install git (`apt-get install git`)"),
            Self::NoSuchReference { .. } => Some("`git ls-remote URL` lists what there is"),
            Self::Git { .. } => {
                Some("`git ls-remote URL` in the same environment shows the same error")
            }
            Self::Settings { .. } => Some("see the block `builder` of the agent file"),
            Self::Store { .. } => Some("see `build-context-store` and the credentials for it"),
            Self::Unavailable { .. } => Some("`launch-agent doctor` says what answers"),
            Self::NothingToBuildWith(_) => {
                Some("use `--builder docker`, or `--resource local-process` which needs no image")
            }
            Self::Ignore { .. } => {
                Some("the rules are Docker's: see `.dockerignore` in Docker's reference")
            }
            Self::Changed(_) => Some("nothing may write to the source meanwhile; ignore what does"),
            Self::Artifact { .. } => Some("the artifact's page in W&B says whether it is there"),
            Self::NotADirectory(_)
            | Self::Manifest(_)
            | Self::Patch(_)
            | Self::Path { .. }
            | Self::Read { .. }
            | Self::Write { .. }
            | Self::Archive { .. }
            | Self::Plan(_)
            | Self::Build { .. }
            | Self::Io(_) => None,
        }
    }
}
