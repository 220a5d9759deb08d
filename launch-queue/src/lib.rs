//! Job queues with leases.
//!
//! A queue keeps jobs until workers have done them. A worker **leases** a job: the job is
//! its own for a while, and longer for as long as it **renews** the lease. It **reports**
//! what it does, and at the end it **finishes** the job with an outcome, or **requeues**
//! it for another attempt. A worker that dies does none of this; its lease expires, and
//! the next worker takes the job over.
//!
//! ```text
//!                       requeue (next attempt)
//!            ┌──────────────────────────────────────┐
//!            ▼                                      │
//! enqueue ► waiting ── lease (next fence) ───────► leased ── finish ► ended
//!            │                                     │    ▲               ▲
//!            │                                     └────┘               │
//!            │                              takeover (next fence)       │
//!            └───────────────────── cancel ─────────────────────────────┘
//! ```
//!
//! The trait is [`Queue`]; its contract is short, and every adapter passes the same
//! [conformance suite](#adding-an-adapter) for it. [`QueueAdmin`] is what people need
//! besides: listings. This crate is no scheduler and runs nothing; it does not read specs
//! either, so that even a malformed one reaches a worker, which ends it with a reason.
//!
//! # Quick start
//!
//! ```
//! use std::time::Duration;
//! use launch_queue::config::outcome::{Outcome, Reason, Stage};
//! use launch_queue::job::{EnqueueRequest, LeaseRequest, Report};
//! use launch_queue::memory::MemoryQueue;
//! use launch_queue::{Queue, QueueAdmin};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let queue = MemoryQueue::new();
//! let spec = serde_json::json!({"entry_point": ["python", "train.py"]});
//! let id = queue.enqueue(EnqueueRequest::new("default".parse()?, spec)).await?;
//!
//! let ttl = Duration::from_mins(1);
//! let wish = LeaseRequest::new(vec!["default".parse()?], "worker@host".parse()?, ttl);
//! let lease = queue.lease(wish).await?.ok_or("nothing to do")?;
//! assert_eq!(lease.job.id, id);
//!
//! queue.report(&lease.hold, Report::new(Stage::Watch, "epoch 1 of 3")).await?;
//! if queue.renew(&lease.hold, ttl).await?.cancel_requested {
//!     // Stop the run, then finish with `Reason::Cancelled`.
//! }
//! queue.finish(&lease.hold, Outcome::new(Reason::Succeeded, Stage::Watch)).await?;
//!
//! let record = queue.job(&id).await?.ok_or("the queue remembers it")?;
//! assert!(record.outcome.is_some_and(|outcome| outcome.reason.is_success()));
//! # Ok(())
//! # }
//! ```
//!
//! # Holding a job
//!
//! A lease can expire while its holder still believes in it: the process was stopped, the
//! network was gone, the clock was set. Time alone therefore decides nothing. Every lease
//! of a job gets a larger number than all before, its *fence*, and every write carries it
//! in a [`Hold`]. Once another worker has the job, the old hold is refused with
//! [`Error::Stale`], and its owner must let go of the run without touching it. Until then,
//! an expired hold is still good, so a short pause costs nothing.
//!
//! A takeover keeps the attempt number, and with it the [`RunKey`](config::id::RunKey):
//! the new holder looks for the run that its predecessor may have left, and adopts it. A
//! requeue raises the attempt number: it means a new run.
//!
//! Renew at a third of the ttl, so that two renewals may fail. Count the ttl from the
//! moment the request was sent.
//!
//! # Cancelling
//!
//! A job that waits ends at once. A job that is held goes on until its holder hears of the
//! wish, with the answer to its next renewal, and finishes it. If that worker is gone, the
//! next one gets the job with [`cancel_requested`](job::Lease::cancel_requested) set, to
//! stop the run that may exist. A job that is requeued after somebody cancelled it does
//! not wait again: it ends as cancelled.
//!
//! # Adapters and features
//!
//! | feature | default | gives |
//! | --- | --- | --- |
//! | | | [`memory`]: the reference, for tests and embedders |
//! | `sqlite` | yes | `sqlite`: one file, durable, many processes on one host |
//! | `postgres` | | `postgres`: a database for many agents on many hosts |
//! | `wandb` | | `wandb`: the queues of a W&B server |
//! | `conformance` | | `conformance`: what every adapter must do |
//!
//! # Adding an adapter
//!
//! An adapter is one file named after its technology that implements [`Queue`], and
//! [`QueueAdmin`] if people may look into it. Read the contract of [`Queue`], then
//! `memory/store.rs`, which spells it out on plain values. Turn on the feature
//! `conformance` for your tests, implement `conformance::Harness`, and run
//! `conformance::run_all`. A store that keeps leases itself takes its time from
//! [`clock`], so that the suite can let leases expire without sleeping.

pub mod clock;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod column;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
mod fresh_id;
pub mod job;
pub mod memory;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod pruning;
pub mod settings;
mod spec;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "wandb")]
pub mod wandb;

use std::fmt::{Debug, Display};
use std::time::Duration;

use async_trait::async_trait;
pub use launch_config as config;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;

pub use crate::error::Error;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, JobRecord, Lease, LeaseRequest, QueueRecord, Renewal, Report,
};
use crate::settings::QueueSettings;
pub use crate::spec::MAX_SPEC_DEPTH;

/// A queue of jobs, each held by at most one worker at a time.
///
/// # Contract
///
/// - **Durable**: when `enqueue` or `finish` has returned, a crash loses nothing of it.
/// - **One holder**: between two leases of one job lies its expiry or its requeue. Each
///   lease of a job gets a larger fence than all before.
/// - **Fenced**: `renew`, `report`, `finish` and `requeue` refuse a hold whose fence is not
///   the job's newest, with [`Error::Stale`], and change nothing. An expired hold that
///   nobody took over is still the newest, and renewing it is allowed. A hold that put its
///   job back is stale from then on, even if nobody leases the job again.
/// - **Final**: the first `finish` decides. Repeating it with the same hold answers `Ok`
///   and changes nothing, so a lost reply is repaired by asking again. The other writes
///   answer [`Error::Ended`] to the hold that ended the job.
/// - **Atomic**: `requeue` puts the job back, with id and priority, and the next attempt
///   number, in one step; there is no moment at which it is neither held nor waiting.
/// - **Cancel-safe**: dropping a future leaves the call done or not done, never half.
#[async_trait]
pub trait Queue: Debug + Display + Send + Sync + 'static {
    /// Puts a job into a queue and answers its id.
    ///
    /// Given an id, it can be repeated: the same id with the same queue and spec is the
    /// same job, even if that has ended.
    ///
    /// The [settings](settings::QueueSettings) of the queue are put into the spec here, so
    /// workers never see a template.
    ///
    /// # Errors
    /// [`Error::Settings`] if the queue does not allow what the request asks for,
    /// [`Error::Conflict`] if the id belongs to a job of another queue or spec,
    /// [`Error::SpecDepth`] if the spec could not be read back, [`Error::Backend`] if the
    /// store does not answer.
    async fn enqueue(&self, request: EnqueueRequest) -> Result<JobId, Error>;

    /// Takes the most urgent job there is, of those that wait and those whose lease has
    /// expired; [`LeaseRequest`] says in which order. A paused queue gives none.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, Error>;

    /// Holds the job for another `ttl` from now.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::Ended`], [`Error::Unknown`], [`Error::Backend`].
    async fn renew(&self, hold: &Hold, ttl: Duration) -> Result<Renewal, Error>;

    /// Says something of the job. Reports of one hold keep their order.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::Ended`], [`Error::Unknown`], [`Error::Backend`].
    async fn report(&self, hold: &Hold, report: Report) -> Result<(), Error>;

    /// Ends the job.
    ///
    /// # Errors
    /// [`Error::Stale`] if another holder has it or ended it, [`Error::Unknown`],
    /// [`Error::Backend`].
    async fn finish(&self, hold: &Hold, outcome: Outcome) -> Result<(), Error>;

    /// Puts the job back for another attempt, not to be leased before `wait` has passed.
    ///
    /// If somebody asked for it to stop while it was held, it ends as cancelled instead.
    ///
    /// # Errors
    /// [`Error::Stale`], [`Error::Ended`], [`Error::Unknown`], [`Error::Backend`].
    async fn requeue(&self, hold: &Hold, wait: Duration) -> Result<(), Error>;

    /// Asks for the job to end: at once if it waits, through its holder if it is held.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Backend`].
    async fn cancel(&self, job: &JobId) -> Result<Cancelled, Error>;
}

/// What people ask of a queue: making queues, looking at jobs.
#[async_trait]
pub trait QueueAdmin: Queue {
    /// Makes a queue; making it twice is making it once.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn create(&self, queue: &QueueName) -> Result<(), Error>;

    /// Sets what an administrator says of a queue, making it if there is none. Jobs that
    /// were submitted before keep what they were given.
    ///
    /// # Errors
    /// [`Error::Settings`] if no submission could satisfy them, [`Error::Backend`] if the
    /// store does not answer.
    async fn configure(&self, queue: &QueueName, settings: QueueSettings) -> Result<(), Error>;

    /// All queues, by name, with their settings.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn queues(&self) -> Result<Vec<QueueRecord>, Error>;

    /// The newest `limit` jobs of a queue, newest first, without their reports.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn jobs(&self, queue: &QueueName, limit: usize) -> Result<Vec<JobRecord>, Error>;

    /// One job with its reports.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn job(&self, job: &JobId) -> Result<Option<JobRecord>, Error>;

    /// The jobs whose newest lease is this worker's, expired or not, oldest first, without
    /// their reports: what a starting agent asks of a dead one. With
    /// [`JobRecord::hold`](job::JobRecord::hold) it goes on where that one stopped.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn held(&self, worker: &WorkerName) -> Result<Vec<JobRecord>, Error>;

    /// Those of `jobs` that are held and that somebody asked to stop, in any order. An agent
    /// asks every second for all it has in flight, so that a wish is heard before the next
    /// renewal; an adapter answers with one question to its store, or it need not be one
    /// that can: this looks at each job alone.
    ///
    /// # Errors
    /// [`Error::Backend`] if the store does not answer.
    async fn cancel_requested(&self, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
        let mut asked = Vec::new();
        for id in jobs {
            let record = self.job(id).await?;
            let is_asked = record.is_some_and(|record| {
                record.state == job::JobState::Leased && record.cancel_requested
            });
            if is_asked {
                asked.push(id.clone());
            }
        }
        Ok(asked)
    }
}
