//! What goes wrong inside this adapter, and what it means outside.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::column::ColumnError;
use crate::error::Error;

/// Why a call failed, before its subject is known.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The queue refused, by its contract.
    #[error(transparent)]
    Refused(#[from] Error),
    /// SQLite failed. Its error is not a source: its text repeats that of its own source.
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    /// A column holds what this adapter never writes.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The file system failed, or the system's random numbers did.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is a database of somebody else.
    #[error("it is a database of another program")]
    Foreign,
    /// The file's schema is of a later day.
    #[error("schema version {0}")]
    Newer(u32),
    /// The file system has no shared memory.
    #[error("the file system does not support a write-ahead log (journal mode is `{0}`)")]
    NoWal(String),
    /// The transaction a write was part of could not be kept.
    #[error("it could not be kept: {0}")]
    Unkept(String),
    /// The connection's thread is gone: it panicked.
    #[error("the queue's thread has stopped")]
    Stopped,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// Whether another process was in the way for too long.
    pub(super) fn is_busy(&self) -> bool {
        matches!(
            self.sqlite_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    /// The error a caller sees, naming the file.
    pub(super) fn outward(self, path: &Path, action: &'static str) -> Error {
        let store = path.display().to_string();
        match self {
            Self::Refused(error) => error,
            Self::Newer(found) => Error::Version {
                store,
                found,
                known: super::schema::VERSION,
            },
            failure if failure.is_damage() => Error::Damaged {
                store,
                source: failure.boxed(),
            },
            failure => Error::Backend {
                store,
                action,
                source: failure.boxed(),
            },
        }
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::Foreign | Self::Column(_))
            || matches!(
                self.sqlite_code(),
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
            )
    }

    fn sqlite_code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }

    fn boxed(self) -> Box<dyn std::error::Error + Send + Sync> {
        Box::new(self)
    }
}
