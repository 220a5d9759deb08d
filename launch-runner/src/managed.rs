//! What runs of managed services have in common: a service is asked again and again where a
//! run stands, and tells its output in pages.

mod http;
mod watch;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use launch_config::id::RunKey;

pub(crate) use self::http::{Http, Reply, patiently};
pub(crate) use self::watch::{Pace, events, slice};
use crate::Error;
use crate::run::{RunEnd, RunState};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a service did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It did not answer, or is busy: the same may work later.
    Away(Source),
    /// We have no credentials it takes.
    Credentials(Source),
    /// There is no such thing.
    Absent,
    /// There is such a thing already.
    Exists(String),
    /// It will not, in its own words.
    Refused(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(source) | Self::Credentials(source) => write!(f, "{source}"),
            Self::Absent => f.write_str("there is no such thing"),
            Self::Exists(what) | Self::Refused(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Away(source) | Self::Credentials(source) => source.source(),
            Self::Absent | Self::Exists(_) | Self::Refused(_) => None,
        }
    }
}

impl Fault {
    /// The error of a failed call about one run.
    pub(crate) fn about(self, runner: &'static str, action: &'static str, key: &RunKey) -> Error {
        let key = key.clone();
        match self {
            Self::Absent => Error::Lost(key),
            Self::Credentials(_) => self.unavailable(runner),
            other => Error::Backend {
                runner,
                action,
                key,
                source: Box::new(other),
            },
        }
    }

    /// The error of a service that cannot be used.
    pub(crate) fn unavailable(self, runner: &'static str) -> Error {
        let missing = match &self {
            Self::Credentials(_) => "credentials it takes",
            Self::Away(_) => "an answer of the service",
            _ => "the permission to use it",
        };
        Error::Unavailable {
            runner,
            missing: missing.to_owned(),
            source: Some(Box::new(self)),
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) stand: Stand,
    /// What a person should know.
    pub(crate) note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stand {
    Alive(RunState),
    Ended(RunEnd),
}

impl Look {
    pub(crate) fn alive(state: RunState) -> Self {
        Self {
            stand: Stand::Alive(state),
            note: None,
        }
    }

    pub(crate) fn ended(end: RunEnd) -> Self {
        Self {
            stand: Stand::Ended(end),
            note: None,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.stand, Stand::Ended(_))
    }
}

/// A run of a managed service.
#[async_trait]
pub(crate) trait Managed: Clone + Send + Sync + 'static {
    /// The service, as people call it.
    const SERVICE: &'static str;
    /// How far its output was read; the default is its start.
    type Cursor: Default + Send + 'static;

    /// Asks where it stands.
    async fn look(&self) -> Result<Look, Fault>;

    /// Reads the next output, if there is some now. Whoever starts anew reads the same
    /// bytes. `ended` says that no more is written.
    async fn read(&self, cursor: &mut Self::Cursor, ended: bool) -> Result<Option<Bytes>, Fault>;
}
