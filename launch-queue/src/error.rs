//! What can go wrong with a queue.

use launch_config::id::{JobId, QueueName};

use crate::settings::SettingsError;

/// Why a queue refused or failed.
///
/// ```
/// use launch_queue::Error;
///
/// let error = Error::Unknown("j1".parse()?);
/// assert_eq!(error.to_string(), "there is no job `j1`");
/// assert!(!error.is_retryable());
/// assert!(error.hint().is_some());
/// # Ok::<(), launch_queue::config::id::ParseIdError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The hold is not the newest: another worker has the job, or it was put back.
    #[error("job `{job}` is held by another lease (fence {fence} is not the newest)")]
    Stale {
        /// The job.
        job: JobId,
        /// The fence that was offered.
        fence: u64,
    },
    /// The job has ended, so nothing more can be said of it.
    #[error("job `{0}` has ended")]
    Ended(JobId),
    /// No such job.
    #[error("there is no job `{0}`")]
    Unknown(JobId),
    /// The id is taken by a job of another queue or with another spec.
    #[error("job id `{0}` is taken by another job")]
    Conflict(JobId),
    /// The spec is nested so deep that nobody could read it back.
    #[error("spec is nested deeper than {max} levels")]
    SpecDepth {
        /// The deepest nesting a queue keeps.
        max: usize,
    },
    /// The settings of the queue do not allow this, or cannot be satisfied.
    #[error("queue `{queue}` refuses it")]
    Settings {
        /// The queue.
        queue: QueueName,
        /// Why.
        #[source]
        source: SettingsError,
    },
    /// The store was written by a newer version.
    #[error("queue `{store}` has schema version {found}; this version knows {known}")]
    Version {
        /// Which store.
        store: String,
        /// The version found.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The store is there, but it is no queue, or it is damaged.
    #[error("queue `{store}` is damaged, or is not a queue")]
    Damaged {
        /// Which store.
        store: String,
        /// What was found.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What the queue was to be opened with makes no sense.
    #[error("{what}")]
    Config {
        /// What is wrong, without secrets.
        what: String,
    },
    /// The store understood, and will not do it.
    #[error("queue `{store}` refuses to {action}")]
    Refused {
        /// Which store.
        store: String,
        /// What was asked.
        action: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store failed or did not answer.
    #[error("queue `{store}` failed to {action}")]
    Backend {
        /// Which store.
        store: String,
        /// What was tried.
        action: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Whether trying the same call again may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Backend { .. } => true,
            Self::Stale { .. }
            | Self::Ended(_)
            | Self::Unknown(_)
            | Self::Conflict(_)
            | Self::SpecDepth { .. }
            | Self::Settings { .. }
            | Self::Version { .. }
            | Self::Damaged { .. }
            | Self::Refused { .. }
            | Self::Config { .. } => false,
        }
    }

    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Version { .. } => Some("update launch on this machine"),
            Self::Unknown(_) => Some("`launch-agent queue items` lists the jobs of a queue"),
            Self::Conflict(_) => Some("leave the id out, and the queue makes a new one"),
            Self::SpecDepth { .. } => Some("refer to deep data by a file or an artifact"),
            Self::Damaged { .. } => Some("move the file away; a new queue is made on first use"),
            Self::Config { what } if what.to_lowercase().contains("postgres") => {
                Some("an address is `postgres://user:password@host:5432/database`")
            }
            Self::Settings { .. } => Some("`launch-agent queue list` shows what the queue allows"),
            Self::Stale { .. }
            | Self::Ended(_)
            | Self::Config { .. }
            | Self::Refused { .. }
            | Self::Backend { .. } => None,
        }
    }
}
