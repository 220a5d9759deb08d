//! Fetching a source: after this, a job's code is a directory of this machine.
//!
//! ```no_run
//! use launch_builder::event::Events;
//! use launch_builder::source::{FetchOptions, Fetched, fetch};
//! use launch_config::source::Source;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let source = Source::Git {
//!     remote: "https://example.org/team/job.git".parse()?,
//!     reference: Some("v1.2".to_owned()),
//!     subdirectory: None,
//! };
//! if let Fetched::Tree(tree) = fetch(&source, &FetchOptions::new(), &Events::silent()).await? {
//!     println!("{} at {:?} is in {}", tree.origin(), tree.revision(), tree.root().display());
//! }
//! # Ok(())
//! # }
//! ```

pub mod artifact;

mod git;
mod job;
mod scratch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use launch_config::image::ImageRef;
use launch_config::source::Source;
use tempfile::TempDir;

pub use self::job::{JobFiles, fetch_job};
use crate::error::Error;
use crate::event::Events;

/// How sources are fetched.
#[derive(Debug, Clone)]
#[must_use]
pub struct FetchOptions {
    pub(crate) timeout: Duration,
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) git: OsString,
    pub(crate) ssh_command: Option<String>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) retry_pause: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl FetchOptions {
    /// Ten minutes, the system's temporary directory, the `git` in `PATH`, the user's ssh.
    pub fn new() -> Self {
        Self {
            timeout: Duration::from_mins(10),
            scratch: None,
            git: "git".into(),
            ssh_command: None,
            cache: None,
            retry_pause: Duration::from_secs(1),
        }
    }

    /// Gives up after this long, all of git's steps together.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes checkouts in this directory, which exists.
    pub fn with_scratch(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = Some(directory.into());
        self
    }

    /// Keeps the files of artifacts in this directory, by their digests: those that are
    /// there are not fetched again, and those that broke off go on, whoever began them.
    pub fn with_cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// Waits so long, and longer each time, before a file that broke off is asked for again.
    pub fn with_retry_pause(mut self, pause: Duration) -> Self {
        self.retry_pause = pause;
        self
    }

    /// Runs this program as git.
    pub fn with_git(mut self, program: impl Into<OsString>) -> Self {
        self.git = program.into();
        self
    }

    /// Runs this command line as ssh, instead of `GIT_SSH_COMMAND` or `ssh`.
    /// `-oBatchMode=yes` is appended: an agent has nobody to ask.
    pub fn with_ssh_command(mut self, command: impl Into<String>) -> Self {
        self.ssh_command = Some(command.into());
        self
    }
}

/// What a source turned out to be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fetched {
    /// Code, in a directory of this machine.
    Tree(SourceTree),
    /// An image: there was nothing to fetch.
    Image(ImageRef),
}

/// Code in a directory of this machine. A checkout is removed when the value is dropped.
#[derive(Debug)]
pub struct SourceTree {
    root: PathBuf,
    origin: String,
    revision: Option<String>,
    _scratch: Option<TempDir>,
}

impl SourceTree {
    /// A directory as it is. Touches the disk.
    ///
    /// # Errors
    /// [`Error::NotADirectory`].
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let real = directory.canonicalize().ok().filter(|real| real.is_dir());
        let root = real.ok_or_else(|| Error::NotADirectory(directory.to_owned()))?;
        let origin = root.display().to_string();
        Ok(Self {
            root,
            origin,
            revision: None,
            _scratch: None,
        })
    }

    /// The project directory, canonical.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where it came from, for people; without secrets.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The commit, if it came from git.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }
}

/// Fetches a source.
///
/// A directory is taken as it is. A git source is resolved to one commit and checked out,
/// with its submodules, in a fresh directory. An image is answered as such.
///
/// Dropping the future kills git, its children included, and removes what was checked out.
///
/// # Errors
/// [`Error::NotADirectory`]; for git [`Error::NoGit`], [`Error::NoSuchReference`],
/// [`Error::Git`], and [`Error::Path`] for a subdirectory that is not in the repository.
pub async fn fetch(
    source: &Source,
    options: &FetchOptions,
    events: &Events,
) -> Result<Fetched, Error> {
    match source {
        Source::Directory(path) => {
            let path = path.clone();
            let tree = blocking(move || SourceTree::open(path)).await?;
            Ok(Fetched::Tree(tree))
        }
        Source::Git {
            remote,
            reference,
            subdirectory,
        } => {
            let wanted = git::Wanted {
                remote,
                reference: reference.as_deref(),
                subdirectory: subdirectory.as_deref(),
            };
            git::fetch(wanted, options, events).await.map(Fetched::Tree)
        }
        Source::Image(image) => Ok(Fetched::Image(image.clone())),
        other => Err(Error::Plan(format!(
            "`{other}` is of a kind that cannot be fetched"
        ))),
    }
}

/// Runs blocking work; a panic in it goes on here.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Only a runtime that is shutting down cancels blocking work.
        Err(error) => Err(Error::Io(std::io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_is_taken_as_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::create_dir(scratch.path().join("job")).unwrap();
        let source = Source::Directory(scratch.path().join("job/../job"));
        let fetched = fetch(&source, &FetchOptions::new(), &Events::silent())
            .await
            .unwrap();
        let Fetched::Tree(tree) = fetched else {
            panic!("{fetched:?}")
        };
        assert_eq!(
            tree.root(),
            scratch.path().canonicalize().unwrap().join("job")
        );
        assert_eq!(tree.revision(), None);
        drop(tree);
        assert!(
            scratch.path().join("job").is_dir(),
            "a user's directory is never removed"
        );
    }

    #[tokio::test]
    async fn what_is_no_directory_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::write(scratch.path().join("file"), "").unwrap();
        for name in ["file", "none"] {
            let source = Source::Directory(scratch.path().join(name));
            let error = fetch(&source, &FetchOptions::new(), &Events::silent())
                .await
                .unwrap_err();
            assert!(matches!(error, Error::NotADirectory(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn an_image_needs_no_fetching() {
        let source = Source::Image("python:3.12-slim".parse().unwrap());
        let fetched = fetch(&source, &FetchOptions::new(), &Events::silent())
            .await
            .unwrap();
        assert!(matches!(fetched, Fetched::Image(image) if image.tag() == Some("3.12-slim")));
    }
}
