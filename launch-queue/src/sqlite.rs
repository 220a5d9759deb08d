//! The embedded queue: one SQLite file, several processes on one host.

mod admin;
mod connection;
mod enqueue;
mod failure;
mod file;
mod hold;
mod lease;
mod listen;
mod prune;
mod record;
mod schema;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;
use rusqlite::Transaction;
use tokio::sync::watch;

use self::connection::ConnectionThread;
use self::failure::Failure;
use self::listen::Listener;
use self::record::NewJob;
use crate::clock::Clock;
use crate::error::Error;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, JobRecord, Lease, LeaseRequest, QueueRecord, Renewal, Report,
};
use crate::pruning::{PRUNE_AT_ONCE, Pruning};
use crate::settings::QueueSettings;
use crate::{Queue, QueueAdmin};

/// A queue in one SQLite file.
///
/// - **Durable**: every write is on the disk, not only in the system's cache, before its
///   call returns (write-ahead log, `synchronous = FULL`).
/// - **Shared**: any number of processes on one host may open the file, and any number of
///   threads use this value. Not for network file systems, which lack the shared memory
///   that the write-ahead log needs.
/// - **Quick**: writes that wait for each other share one wait for the disk.
/// - **Steady**: the cost of a lease does not grow with the jobs that wait, are held or
///   have ended; each job's not-before time and each expiry is worked off once.
/// - **Bounded**: ended jobs are forgotten after [`SqliteOptions::retention`].
/// - **Prompt**: [`SqliteQueue::arrivals`] says when something may have arrived, where the
///   system tells of writes to a file. It is a hint: poll as well.
/// - **Private**: specs can hold secrets, so a new file is its owner's alone (mode 0600,
///   and 0700 for directories that had to be made).
///
/// Calls run one after another on a thread of their own, so they need no async runtime of
/// a certain kind, and dropping a future either withdraws the call before it began or
/// lets it complete.
///
/// ```
/// use launch_queue::sqlite::SqliteQueue;
/// use launch_queue::{Queue, job::EnqueueRequest};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let home = tempfile::tempdir()?;
/// # let state = home.path();
/// let queue = SqliteQueue::open(state.join("queue.db")).await?;
/// queue.enqueue(EnqueueRequest::new("default".parse()?, "a spec".into())).await?;
/// # Ok(())
/// # }
/// ```
pub struct SqliteQueue {
    path: PathBuf,
    clock: Clock,
    pruning: Pruning,
    connection: ConnectionThread,
    listener: OnceLock<Option<Listener>>,
}

/// How to open a [`SqliteQueue`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// Where it reads the time. All processes that share a file must read the same clock.
    pub clock: Clock,
    /// How long a call waits for another process that is writing: 15 s.
    pub busy_timeout: Duration,
    /// How long ended jobs are kept: 30 days.
    pub retention: Duration,
    /// How many of them are kept at most, at least one: without a limit. What ended in the
    /// same millisecond as the last of them is kept, too.
    pub most_ended: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            busy_timeout: Duration::from_secs(15),
            retention: Duration::from_hours(30 * 24),
            most_ended: None,
        }
    }
}

impl SqliteOptions {
    /// Reads the time elsewhere.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Sets how long a call waits for another process that is writing.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Sets how long ended jobs are kept.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets how many ended jobs are kept at most.
    #[must_use]
    pub fn with_most_ended(mut self, jobs: Option<u64>) -> Self {
        self.most_ended = jobs;
        self
    }
}

impl SqliteQueue {
    /// Opens the queue at `path`, making file and directory on first use.
    ///
    /// # Errors
    /// [`Error::Version`] if a newer version wrote the file, [`Error::Damaged`] if it is
    /// no queue, [`Error::Backend`] if it cannot be read and written.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens the queue at `path` in a certain way.
    ///
    /// # Errors
    /// As [`SqliteQueue::open`].
    pub async fn open_with(
        path: impl Into<PathBuf>,
        options: SqliteOptions,
    ) -> Result<Self, Error> {
        let SqliteOptions {
            clock,
            busy_timeout,
            retention,
            most_ended,
        } = options;
        let path = path.into();
        let at = path.clone();
        let connection = ConnectionThread::start(move || schema::open(&at, busy_timeout)).await;
        let connection = connection.map_err(|failure| failure.outward(&path, "open"))?;
        Ok(Self {
            path,
            clock,
            pruning: Pruning::new(retention, most_ended),
            connection,
            listener: OnceLock::new(),
        })
    }

    /// Changes whenever something may have arrived: somebody wrote to the file, this value
    /// included. A hint only; poll as well, since jobs also become ready by the passing of
    /// time. `None` where the system does not tell of writes. Needs a tokio runtime.
    pub fn arrivals(&self) -> Option<watch::Receiver<u64>> {
        let start = || {
            let listener = Listener::start(&self.path);
            listener
                .inspect_err(|error| tracing::debug!(%error, "not listening for arrivals"))
                .ok()
        };
        let listener = self.listener.get_or_init(start);
        listener.as_ref().map(Listener::arrivals)
    }

    /// Forgets up to `limit` jobs that ended at least `age` ago; answers how many.
    ///
    /// # Errors
    /// [`Error::Backend`] if the file cannot be written.
    pub async fn prune(&self, age: Duration, limit: usize) -> Result<u64, Error> {
        self.write("prune jobs", move |tx, now_ms| {
            prune::prune(tx, age, limit, now_ms)
        })
        .await
    }

    /// Forgets old jobs, if it is time. A failure is no failure of the lease beside it, and
    /// comes again with the next step.
    async fn prune_now_and_then(&self) {
        if !self.pruning.is_time() {
            return;
        }
        let (age, newer) = (self.pruning.retention(), self.pruning.newer());
        let pruned = self.write("prune jobs", move |tx, now_ms| {
            let old = prune::prune(tx, age, PRUNE_AT_ONCE, now_ms)?;
            let surplus = newer.map(|newer| prune::surplus(tx, newer, PRUNE_AT_ONCE));
            Ok(old + surplus.transpose()?.unwrap_or(0))
        });
        match pruned.await {
            Ok(jobs) => self.pruning.pruned(jobs),
            Err(error) => tracing::warn!(%error, "old jobs were not forgotten"),
        }
    }

    /// Closes the file, after the calls that have begun.
    ///
    /// Dropping the queue does the same, without waiting for it. Nothing is lost in either
    /// case; the last to close a file also folds its log into it.
    pub async fn close(self) {
        self.connection.close().await;
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one transaction, which is kept if `work` succeeds.
    ///
    /// The clock is read when the write lock is there, so that time spent waiting for the
    /// lock is not taken from a lease.
    async fn write<T, F>(&self, action: &'static str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, u64) -> Result<T, Failure> + Send + 'static,
    {
        let clock = self.clock.clone();
        let call = self
            .connection
            .write(move |transaction| work(transaction, clock.now_ms()));
        call.await
            .map_err(|failure| failure.outward(&self.path, action))
    }

    /// Runs `work` on one state of the file, without keeping writers out.
    async fn read<T, F>(&self, action: &'static str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let call = self
            .connection
            .call(move |connection| work(&connection.transaction()?));
        call.await
            .map_err(|failure| failure.outward(&self.path, action))
    }
}

impl fmt::Debug for SqliteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteQueue")
            .field("path", &self.path)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SqliteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

#[async_trait]
impl Queue for SqliteQueue {
    async fn enqueue(&self, request: EnqueueRequest) -> Result<JobId, Error> {
        let job = NewJob::check(request)?;
        self.write("enqueue a job", move |tx, now_ms| {
            enqueue::enqueue(tx, job, now_ms)
        })
        .await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, Error> {
        // Before the lease, not after it: a caller that stops waiting then loses no job.
        self.prune_now_and_then().await;
        let ttl = request.ttl;
        let taken = self
            .write("lease a job", move |tx, now_ms| {
                lease::lease(tx, &request, now_ms)
            })
            .await?;
        let Some(taken) = taken else { return Ok(None) };
        let lease = taken.into_lease(ttl);
        lease
            .map(Some)
            .map_err(|failure| failure.outward(&self.path, "lease a job"))
    }

    async fn renew(&self, hold: &Hold, ttl: Duration) -> Result<Renewal, Error> {
        let hold = hold.clone();
        self.write("renew a lease", move |tx, now_ms| {
            hold::renew(tx, &hold, ttl, now_ms)
        })
        .await
    }

    async fn report(&self, hold: &Hold, report: Report) -> Result<(), Error> {
        let hold = hold.clone();
        self.write("report on a job", move |tx, _| {
            hold::report(tx, &hold, &report)
        })
        .await
    }

    async fn finish(&self, hold: &Hold, outcome: Outcome) -> Result<(), Error> {
        let hold = hold.clone();
        self.write("finish a job", move |tx, now_ms| {
            hold::finish(tx, &hold, &outcome, now_ms)
        })
        .await
    }

    async fn requeue(&self, hold: &Hold, wait: Duration) -> Result<(), Error> {
        let hold = hold.clone();
        self.write("requeue a job", move |tx, now_ms| {
            hold::requeue(tx, &hold, wait, now_ms)
        })
        .await
    }

    async fn cancel(&self, job: &JobId) -> Result<Cancelled, Error> {
        let job = job.clone();
        self.write("cancel a job", move |tx, now_ms| {
            enqueue::cancel(tx, &job, now_ms)
        })
        .await
    }
}

#[async_trait]
impl QueueAdmin for SqliteQueue {
    async fn create(&self, queue: &QueueName) -> Result<(), Error> {
        let queue = queue.clone();
        self.write("create a queue", move |tx, _| enqueue::create(tx, &queue))
            .await
    }

    async fn configure(&self, queue: &QueueName, settings: QueueSettings) -> Result<(), Error> {
        let (text, queue) = (record::settings_text(queue, &settings)?, queue.clone());
        self.write("configure a queue", move |tx, _| {
            enqueue::configure(tx, &queue, &text, settings.paused)
        })
        .await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, Error> {
        self.read("list queues", admin::queues).await
    }

    async fn jobs(&self, queue: &QueueName, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let queue = queue.clone();
        self.read("list jobs", move |tx| admin::jobs(tx, &queue, limit))
            .await
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobRecord>, Error> {
        let job = job.clone();
        self.read("look up a job", move |tx| admin::job(tx, &job))
            .await
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<JobRecord>, Error> {
        let worker = worker.clone();
        self.read("list the jobs of a worker", move |tx| {
            admin::held(tx, &worker)
        })
        .await
    }

    async fn cancel_requested(&self, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
        let jobs = jobs.to_vec();
        self.read("ask which jobs are to stop", move |tx| {
            admin::cancel_requested(tx, &jobs)
        })
        .await
    }
}
