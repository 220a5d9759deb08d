//! A queue for many agents on many hosts: a PostgreSQL database.

mod admin;
mod connect;
mod enqueue;
mod failure;
mod hold;
mod lease;
mod listen;
mod options;
mod record;
mod schema;
mod statement;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;
use launch_config::secret::Secret;
use tokio::sync::watch;

use self::connect::Server;
use self::failure::Failure;
use self::listen::Listener;
pub use self::options::PostgresOptions;
use self::statement::Session;
use crate::clock::Clock;
use crate::error::Error;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, JobRecord, Lease, LeaseRequest, QueueRecord, Renewal, Report,
};
use crate::pruning::Pruning;
use crate::settings::QueueSettings;
use crate::{Queue, QueueAdmin};

/// A queue in a PostgreSQL database (12 or newer).
///
/// - **Durable**: as the server's `synchronous_commit` says; leave it on.
/// - **Shared**: any number of agents on any number of hosts. Only the server's clock
///   counts: no agent's is asked.
/// - **Steady**: a lease is a few index seeks, and takes one row with `FOR UPDATE SKIP
///   LOCKED`, so agents do not wait for each other, and its cost does not grow with the
///   jobs that wait or have ended.
/// - **Bounded**: ended jobs are forgotten after [`PostgresOptions::retention`].
/// - **Prompt**: [`PostgresQueue::arrivals`] says when something arrived. It is a hint:
///   a lost notification costs one poll, never a job.
///
/// Tables live in a schema of their own. [`PostgresQueue::connect`] brings it up to date;
/// a schema of a newer version is refused.
///
/// ```no_run
/// use launch_queue::config::secret::Secret;
/// use launch_queue::postgres::PostgresQueue;
/// use launch_queue::{Queue, job::EnqueueRequest};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let url = Secret::new("postgres://launch:password@db.example.org/launch?sslmode=require");
/// let queue = PostgresQueue::connect(&url).await?;
/// queue.enqueue(EnqueueRequest::new("default".parse()?, "a spec".into())).await?;
/// # Ok(())
/// # }
/// ```
pub struct PostgresQueue {
    server: Server,
    pool: Pool,
    clock: Clock,
    schema: String,
    pruning: Pruning,
    listener: OnceLock<Listener>,
}

impl PostgresQueue {
    /// Connects to the database of a `postgres://` URL, and makes its tables on first use.
    ///
    /// The URL is libpq's. `sslmode` is `disable`, `prefer` (the default), `require`,
    /// `verify-ca` or `verify-full`; a server that speaks TLS always has its certificate
    /// and name checked, against the system's roots or the file of `sslrootcert`.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL cannot be read, [`Error::Version`] if a newer version
    /// made the tables, [`Error::Damaged`] if they are somebody else's,
    /// [`Error::Backend`] if the server does not answer.
    pub async fn connect(url: &Secret) -> Result<Self, Error> {
        Self::connect_with(url, PostgresOptions::default()).await
    }

    /// Connects in a certain way.
    ///
    /// # Errors
    /// As [`PostgresQueue::connect`].
    pub async fn connect_with(url: &Secret, options: PostgresOptions) -> Result<Self, Error> {
        let server = Server::parse(url, &options)?;
        let outward = |failure: Failure| failure.outward(server.name(), "connect");
        let pool = server.pool(&options).map_err(outward)?;
        schema::prepare(&pool, &options.schema)
            .await
            .map_err(outward)?;
        Ok(Self {
            server,
            pool,
            clock: options.clock,
            schema: options.schema,
            pruning: Pruning::new(options.retention, options.most_ended),
            listener: OnceLock::new(),
        })
    }

    /// Changes whenever something may have arrived: a job was enqueued or put back, or a
    /// job was cancelled, or this connection was made anew and cannot tell. A hint only;
    /// poll as well, since jobs also become ready by the passing of time.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        let listener = self
            .listener
            .get_or_init(|| Listener::start(self.server.clone(), &self.schema));
        listener.arrivals()
    }

    /// Forgets up to `limit` jobs that ended at least `age` ago; answers how many.
    ///
    /// # Errors
    /// [`Error::Backend`] if the server does not answer.
    pub async fn prune(&self, age: Duration, limit: usize) -> Result<u64, Error> {
        let pruned = async { lease::prune(&self.session().await?, age, limit).await };
        pruned
            .await
            .map_err(|failure| self.outward(failure, "prune jobs"))
    }

    async fn session(&self) -> Result<Session, Failure> {
        let client = self.pool.get().await?;
        Ok(Session::new(client, &self.schema, &self.clock))
    }

    fn outward(&self, failure: Failure, action: &'static str) -> Error {
        failure.outward(self.server.name(), action)
    }
}

impl fmt::Debug for PostgresQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresQueue")
            .field("server", &self.server.name())
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PostgresQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.server.name())
    }
}

#[async_trait]
impl Queue for PostgresQueue {
    async fn enqueue(&self, request: EnqueueRequest) -> Result<JobId, Error> {
        let job = record::NewJob::check(request)?;
        let done = async { enqueue::enqueue(&self.session().await?, job).await };
        done.await
            .map_err(|failure| self.outward(failure, "enqueue a job"))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, Error> {
        let done = async {
            let session = self.session().await?;
            let taken = lease::lease(&session, &request).await?;
            lease::prune_now_and_then(&session, &self.pruning).await;
            taken.map(|taken| taken.into_lease(request.ttl)).transpose()
        };
        done.await
            .map_err(|failure| self.outward(failure, "lease a job"))
    }

    async fn renew(&self, hold: &Hold, ttl: Duration) -> Result<Renewal, Error> {
        let done = async { hold::renew(&self.session().await?, hold, ttl).await };
        done.await
            .map_err(|failure| self.outward(failure, "renew a lease"))
    }

    async fn report(&self, hold: &Hold, report: Report) -> Result<(), Error> {
        let done = async { hold::report(&self.session().await?, hold, &report).await };
        done.await
            .map_err(|failure| self.outward(failure, "report on a job"))
    }

    async fn finish(&self, hold: &Hold, outcome: Outcome) -> Result<(), Error> {
        let done = async { hold::finish(&self.session().await?, hold, &outcome).await };
        done.await
            .map_err(|failure| self.outward(failure, "finish a job"))
    }

    async fn requeue(&self, hold: &Hold, wait: Duration) -> Result<(), Error> {
        let done = async { hold::requeue(&self.session().await?, hold, wait).await };
        done.await
            .map_err(|failure| self.outward(failure, "requeue a job"))
    }

    async fn cancel(&self, job: &JobId) -> Result<Cancelled, Error> {
        let done = async { enqueue::cancel(&self.session().await?, job).await };
        done.await
            .map_err(|failure| self.outward(failure, "cancel a job"))
    }
}

#[async_trait]
impl QueueAdmin for PostgresQueue {
    async fn create(&self, queue: &QueueName) -> Result<(), Error> {
        let done = async { admin::create(&self.session().await?, queue).await };
        done.await
            .map_err(|failure| self.outward(failure, "create a queue"))
    }

    async fn configure(&self, queue: &QueueName, settings: QueueSettings) -> Result<(), Error> {
        let text = record::settings_text(queue, &settings)?;
        let done = async {
            let session = self.session().await?;
            admin::configure(&session, queue, &text, settings.paused).await
        };
        done.await
            .map_err(|failure| self.outward(failure, "configure a queue"))
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, Error> {
        let done = async { admin::queues(&self.session().await?).await };
        done.await
            .map_err(|failure| self.outward(failure, "list queues"))
    }

    async fn jobs(&self, queue: &QueueName, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let done = async { admin::jobs(&self.session().await?, queue, limit).await };
        done.await
            .map_err(|failure| self.outward(failure, "list jobs"))
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobRecord>, Error> {
        let done = async { admin::job(&self.session().await?, job).await };
        done.await
            .map_err(|failure| self.outward(failure, "look up a job"))
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<JobRecord>, Error> {
        let done = async { admin::held(&self.session().await?, worker).await };
        done.await
            .map_err(|failure| self.outward(failure, "list the jobs of a worker"))
    }

    async fn cancel_requested(&self, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
        let done = async { admin::cancel_requested(&self.session().await?, jobs).await };
        done.await
            .map_err(|failure| self.outward(failure, "ask which jobs are to stop"))
    }
}
