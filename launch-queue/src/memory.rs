//! A queue in memory: the readable specification of the contract.

mod store;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;

use self::store::Store;
use crate::clock::Clock;
use crate::error::Error;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, JobRecord, Lease, LeaseRequest, QueueRecord, Renewal, Report,
};
use crate::settings::QueueSettings;
use crate::{Queue, QueueAdmin};

/// A queue that lives as long as this value: for tests, and for embedders whose jobs need
/// not outlive the process.
///
/// Where the words of [`Queue`] leave a doubt, this adapter decides. It is written to be
/// read, not to be fast: a lease looks at every job.
///
/// ```
/// use launch_queue::memory::MemoryQueue;
/// use launch_queue::{Queue, job::EnqueueRequest};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let queue = MemoryQueue::new();
/// let id = queue.enqueue(EnqueueRequest::new("default".parse()?, "a spec".into())).await?;
/// assert_eq!(id.as_str().len(), 16);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct MemoryQueue {
    clock: Clock,
    store: Mutex<Store>,
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the time elsewhere.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// No call panics between two writes, so a poisoned store is a consistent one.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryQueue")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn enqueue(&self, request: EnqueueRequest) -> Result<JobId, Error> {
        self.store().enqueue(request, self.clock.now_ms())
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, Error> {
        Ok(self.store().lease(request, self.clock.now_ms()))
    }

    async fn renew(&self, hold: &Hold, ttl: Duration) -> Result<Renewal, Error> {
        self.store().renew(hold, ttl, self.clock.now_ms())
    }

    async fn report(&self, hold: &Hold, report: Report) -> Result<(), Error> {
        self.store().report(hold, report)
    }

    async fn finish(&self, hold: &Hold, outcome: Outcome) -> Result<(), Error> {
        self.store().finish(hold, outcome, self.clock.now_ms())
    }

    async fn requeue(&self, hold: &Hold, wait: Duration) -> Result<(), Error> {
        self.store().requeue(hold, wait, self.clock.now_ms())
    }

    async fn cancel(&self, job: &JobId) -> Result<Cancelled, Error> {
        self.store().cancel(job, self.clock.now_ms())
    }
}

#[async_trait]
impl QueueAdmin for MemoryQueue {
    async fn create(&self, queue: &QueueName) -> Result<(), Error> {
        self.store().create(queue);
        Ok(())
    }

    async fn configure(&self, queue: &QueueName, settings: QueueSettings) -> Result<(), Error> {
        self.store().configure(queue, settings)
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, Error> {
        Ok(self.store().queues())
    }

    async fn jobs(&self, queue: &QueueName, limit: usize) -> Result<Vec<JobRecord>, Error> {
        Ok(self.store().jobs(queue, limit))
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobRecord>, Error> {
        Ok(self.store().job(job))
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<JobRecord>, Error> {
        Ok(self.store().held_by(worker))
    }
}
