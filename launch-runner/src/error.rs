//! What can go wrong with a runner.

use launch_config::id::RunKey;
use launch_config::image::ImageRef;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a runner refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The backend is not there or would not take a run.
    #[error("{runner} is not available: {missing}")]
    Unavailable {
        /// The runner.
        runner: &'static str,
        /// What is missing.
        missing: String,
        /// Why, if an error said so.
        #[source]
        source: Option<Source>,
    },
    /// The request asks for something this runner does not do.
    #[error("{runner} refuses run `{key}`: {why}")]
    Refused {
        /// The runner.
        runner: &'static str,
        /// The run.
        key: RunKey,
        /// What it refuses, and what it would take.
        why: String,
    },
    /// The image cannot be had.
    #[error("image `{image}` cannot be had")]
    Image {
        /// Which.
        image: Box<ImageRef>,
        /// Why.
        #[source]
        source: Source,
    },
    /// Nothing is left of the run.
    #[error("nothing is left of run `{0}`")]
    Lost(RunKey),
    /// The handle is not one of this runner's.
    #[error("the handle of run `{key}` belongs to runner `{runner}`")]
    Handle {
        /// The run.
        key: RunKey,
        /// The runner the handle names.
        runner: String,
    },
    /// The backend failed or did not answer.
    #[error("{runner} failed to {action} run `{key}`")]
    Backend {
        /// The runner.
        runner: &'static str,
        /// What was tried.
        action: &'static str,
        /// The run.
        key: RunKey,
        /// Why.
        #[source]
        source: Source,
    },
}

impl Error {
    /// Whether trying the same call again may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Backend { .. } => true,
            Self::Refused { .. } | Self::Image { .. } | Self::Lost(_) | Self::Handle { .. } => {
                false
            }
        }
    }

    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable { .. } => Some("`launch-agent doctor` says what answers"),
            Self::Image { .. } => {
                Some("check the name and the credentials; `docker pull` shows the same error")
            }
            Self::Refused { .. } | Self::Lost(_) | Self::Handle { .. } | Self::Backend { .. } => {
                None
            }
        }
    }
}
