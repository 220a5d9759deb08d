//! Run jobs, watch them, and find them again.
//!
//! A [`Runner`] starts what a [`RunRequest`] describes and answers a [`Run`]: something
//! that can be watched, cancelled and cleaned up, and that does not depend on us. It goes
//! on when our process dies, also by `kill -9`, and its true exit code is known to whoever
//! looks next: the same key, or the handle that was stored, finds it again.
//!
//! It is not a scheduler: it starts what it is given, at once, and retries nothing.
//!
//! # Quick start
//!
//! ```
//! # #[cfg(all(feature = "process", unix))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use futures_util::StreamExt as _;
//! use launch_runner::Runner as _;
//! use launch_runner::config::id::RunKey;
//! use launch_runner::process::ProcessRunner;
//! use launch_runner::run::{Run as _, RunEvent, RunRequest, Workload};
//!
//! # let dir = tempfile::tempdir()?;
//! # let (runs, tree) = (dir.path().join("runs"), dir.path().to_owned());
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let runner = ProcessRunner::open(runs)?;
//! let key = RunKey::new("k3x9".parse()?, 0);
//! let request = RunRequest::new(key, Workload::Tree(tree))
//!     .with_command(["sh", "-c", "echo hello $NAME; exit 3"])
//!     .with_env("NAME", "world");
//! let run = runner.submit(request).await?;
//!
//! let mut events = run.events(0);
//! while let Some(event) = events.next().await {
//!     match event {
//!         RunEvent::Log(bytes) => assert_eq!(&bytes[..], b"hello world\n"),
//!         RunEvent::Ended(end) => assert_eq!(end.message, "the program ended with code 3"),
//!         _ => {}
//!     }
//! }
//! run.clean_up().await?;
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(all(feature = "process", unix)))]
//! # fn main() {}
//! ```
//!
//! # After a crash
//!
//! Store [`Run::handle`] before you rely on it, and [`Runner::attach`] with it later. If
//! the crash came before that, [`Runner::submit`] the same request again: names derive from
//! the key, so the run is found if it exists. [`Runner::owned`] lists what is there. Call
//! [`Run::clean_up`] only when the outcome is safe elsewhere: with it, the backend forgets
//! the run, and the same key would start anew.
//!
//! # Features
//!
//! | feature | default | gives |
//! | --- | --- | --- |
//! | `process` | yes | `process`: local processes, on Unix |
//! | `docker` | yes | `docker`: containers of a Docker Engine |
//! | `kubernetes` | no | `kubernetes`: Jobs and custom resources of a cluster |
//! | `sagemaker` | no | `sagemaker`: training jobs of Amazon SageMaker |
//! | `vertex` | no | `vertex`: custom jobs of Google's Vertex AI |
//! | `conformance` | no | `conformance`: the tests every runner passes |
//!
//! # A runner of your own
//!
//! Implement [`Runner`] and [`Run`] for your backend: derive every name from
//! [`run::run_name`], put the labels of the run on everything you make, and keep the fact of
//! a cancel where the next process finds it. Then implement `conformance::Harness` and run
//! the suite; it finds what contracts only say.
//!
//! [`Run`]: run::Run
//! [`Run::clean_up`]: run::Run::clean_up
//! [`Run::handle`]: run::Run::handle

#[cfg(feature = "sagemaker")]
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "docker")]
pub mod docker;
pub mod error;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(any(feature = "sagemaker", feature = "vertex"))]
mod managed;
#[cfg(any(feature = "docker", feature = "sagemaker"))]
mod names;
#[cfg(all(feature = "process", unix))]
pub mod process;
pub mod run;
#[cfg(feature = "sagemaker")]
pub mod sagemaker;
#[cfg(feature = "vertex")]
pub mod vertex;

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
