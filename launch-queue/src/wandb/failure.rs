//! What goes wrong with the server, and what it means outside.

use std::time::Duration;

use reqwest::StatusCode;

use crate::error::Error;

/// Why a call failed, before its subject is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The queue refused, by its contract.
    #[error(transparent)]
    Contract(#[from] Error),
    /// The server understood and said no.
    #[error("the server says: {0}")]
    Refused(String),
    /// The server did not do it.
    #[error("the server answers {status}{}", colon(.said))]
    Status {
        status: StatusCode,
        said: String,
        wait: Option<Duration>,
    },
    /// There was no answer.
    #[error("{text}")]
    Connection {
        text: String,
        /// The request cannot have arrived.
        never_sent: bool,
    },
    /// Nothing was asked: the server wants to be left alone for so long.
    #[error("the server asked for a pause of {} s", .0.as_secs())]
    Resting(Duration),
    /// The answer is not what was asked for.
    #[error("the server's answer has no {0}")]
    Shape(&'static str),
    /// Nothing can be asked with what was configured.
    #[error("{0}")]
    Setup(String),
    /// A file of ours, or of the identity, cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn colon(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

impl Failure {
    /// A request without an answer. Addresses are left out: they may hold secrets.
    pub(super) fn of_request(error: reqwest::Error) -> Self {
        let never_sent = error.is_connect();
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::Connection { text, never_sent }
    }

    /// Whether the server cannot have seen the request.
    pub(super) fn never_sent(&self) -> bool {
        matches!(
            self,
            Self::Connection {
                never_sent: true,
                ..
            }
        ) || matches!(self, Self::Status { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS)
            || matches!(self, Self::Resting(_))
    }

    /// Whether the server does not know who asks.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// Whether the server understood and will say the same again.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Status { status, .. } => matches!(
                status.as_u16(),
                400 | 403 | 404 | 409 | 410 | 413 | 422 | 501
            ),
            _ => false,
        }
    }

    /// Whether the same request may fare better: all that W&B's own client tries again.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Connection { .. } | Self::Resting(_) => true,
            Self::Status { status, .. } => !matches!(
                status.as_u16(),
                400 | 401 | 403 | 404 | 409 | 410 | 413 | 422 | 501
            ),
            _ => false,
        }
    }

    /// How long the server asks to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { wait, .. } => *wait,
            Self::Resting(wait) => Some(*wait),
            _ => None,
        }
    }

    /// The error a caller sees, naming the server.
    pub(super) fn outward(self, store: &str, action: &'static str) -> Error {
        match self {
            Self::Contract(error) => error,
            Self::Setup(what) => Error::Config { what },
            failure if failure.is_refusal() => Error::Refused {
                store: store.to_owned(),
                action,
                source: Box::new(failure),
            },
            failure => Error::Backend {
                store: store.to_owned(),
                action,
                source: Box::new(failure),
            },
        }
    }
}
