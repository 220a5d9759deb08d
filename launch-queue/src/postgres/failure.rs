//! What goes wrong inside this adapter, and what it means outside.

use tokio_postgres::error::SqlState;

use super::schema::VERSION;
use crate::column::ColumnError;
use crate::error::Error;

/// Why a call failed, before its subject is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The queue refused, by its contract.
    #[error(transparent)]
    Refused(#[from] Error),
    /// The server failed or refused.
    #[error("{}", said(.0))]
    Server(tokio_postgres::Error),
    /// No connection could be had.
    #[error("{0}")]
    Connection(String),
    /// A column holds what this adapter never writes.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The system's random numbers failed, or a file could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The tables are of a later day.
    #[error("schema version {0}")]
    Newer(u32),
}

/// What the server said, in its own words and without its source's repetition.
fn said(error: &tokio_postgres::Error) -> String {
    let Some(error) = error.as_db_error() else {
        return error.to_string();
    };
    format!("{} (SQLSTATE {})", error.message(), error.code().code())
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<deadpool_postgres::PoolError> for Failure {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::{PoolError, TimeoutType};
        match error {
            PoolError::Backend(error) => Self::Server(error),
            PoolError::Timeout(TimeoutType::Wait) => {
                Self::Connection("no connection became free in time".to_owned())
            }
            PoolError::Timeout(_) => Self::Connection("connecting took too long".to_owned()),
            other => Self::Connection(other.to_string()),
        }
    }
}

impl Failure {
    /// Whether the server said this.
    pub(super) fn is_state(&self, state: &SqlState) -> bool {
        matches!(self, Self::Server(error) if error.code() == Some(state))
    }

    /// The error a caller sees, naming the server.
    pub(super) fn outward(self, store: &str, action: &'static str) -> Error {
        let store = store.to_owned();
        match self {
            Self::Refused(error) => error,
            Self::Newer(found) => Error::Version {
                store,
                found,
                known: VERSION,
            },
            failure if failure.is_damage() => Error::Damaged {
                store,
                source: Box::new(failure),
            },
            failure => Error::Backend {
                store,
                action,
                source: Box::new(failure),
            },
        }
    }

    fn is_damage(&self) -> bool {
        let is_foreign = [
            &SqlState::UNDEFINED_TABLE,
            &SqlState::UNDEFINED_COLUMN,
            &SqlState::UNDEFINED_FUNCTION,
            &SqlState::DATA_CORRUPTED,
        ];
        matches!(self, Self::Column(_)) || is_foreign.into_iter().any(|state| self.is_state(state))
    }
}
