//! Run jobs, watch them, and find them again.
//!
//! (guide to be written)

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "docker")]
pub mod docker;
pub mod error;
#[cfg(all(feature = "process", unix))]
pub mod process;
pub mod run;

use std::fmt::{Debug, Display};

use async_trait::async_trait;
pub use launch_config as config;
use launch_config::id::RunKey;

pub use crate::error::Error;
use crate::run::{Run, RunHandle, RunRequest};

/// A place where runs happen.
///
/// # Contract
///
/// - **Idempotent**: `submit` with a key that was submitted before answers the run that
///   exists, whatever state it is in (also ended), and starts nothing. This holds across
///   crashes of the caller at any moment: names derive from the key, never from chance.
/// - **Found again**: `attach` with a handle from a process that is gone answers the same
///   run, or [`Error::Lost`] once nothing is left of it.
/// - **Independent**: a run outlives the process that submitted it.
/// - **Owned**: everything made carries labels that name the run and its owner.
/// - **Cancel-safe**: dropping a future of `submit` leaves the run submitted or not;
///   submitting again with the same key answers which.
#[async_trait]
pub trait Runner: Debug + Display + Send + Sync + 'static {
    /// Asks the backend whether it would take a run now. Cheap; for start-up and `doctor`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with what is missing.
    async fn check(&self) -> Result<(), Error>;

    /// Starts a run, or finds the one with this key.
    ///
    /// # Errors
    /// [`Error::Refused`] if the request asks for what this runner does not do,
    /// [`Error::Image`] if the image cannot be had, [`Error::Unavailable`],
    /// [`Error::Backend`].
    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error>;

    /// Finds a run by the handle an earlier process kept.
    ///
    /// # Errors
    /// [`Error::Lost`] if it is gone, [`Error::Handle`] if the handle is not this
    /// runner's, [`Error::Unavailable`], [`Error::Backend`].
    async fn attach(&self, handle: &RunHandle) -> Result<Box<dyn Run>, Error>;

    /// The keys of all runs of this owner that the backend still holds something of,
    /// running or ended: what a start-up compares with its journal.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Backend`].
    async fn owned(&self) -> Result<Vec<RunKey>, Error>;
}
