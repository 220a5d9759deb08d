//! Where a job's code or image is.
//!
//! A git remote is an https or ssh URL, or `user@host:path`; plain http only to this
//! machine, where nobody stands between. [`GitRemote`] and [`GitReference`] hold nothing
//! that git would take for an option, so both can stand on a command line;
//! [`GitFetch`] writes that command line.
//!
//! ```
//! use launch_config::source::{GitReference, GitRemote};
//!
//! let remote: GitRemote = "git@host.example:team/iris.git".parse()?;
//! assert_eq!(remote.short_name(), "iris");
//! assert!("ext::sh -c id".parse::<GitRemote>().is_err());
//! assert!("--orphan".parse::<GitReference>().is_err());
//! # Ok::<(), launch_config::source::ParseRemoteError>(())
//! ```

mod fetch;
mod guess;
mod reference;
mod remote;

use std::fmt;
use std::path::PathBuf;

pub use fetch::{Chosen, GitFetch, NoBranch};
pub use guess::{default_project, looks_like_git};
pub use reference::{GitReference, ParseReferenceError};
pub use remote::{GitRemote, ParseRemoteError};

use crate::image::ImageRef;

/// Where a job's code or image is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A git repository.
    Git {
        /// Where it is.
        remote: GitRemote,
        /// Branch, tag or commit; the remote's default branch if not given. A spec that
        /// was read holds only what [`GitReference`] accepts.
        reference: Option<String>,
        /// The directory below its root that is the project.
        subdirectory: Option<PathBuf>,
    },
    /// An image: there is no code to fetch.
    Image(ImageRef),
    /// A sweep scheduler: a command of W&B's own program, with no code to fetch.
    Scheduler,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Git {
                remote,
                reference: Some(reference),
                ..
            } => {
                write!(f, "{remote} at {reference}")
            }
            Self::Git { remote, .. } => remote.fmt(f),
            Self::Image(image) => image.fmt(f),
            Self::Scheduler => f.write_str("a sweep scheduler"),
        }
    }
}
