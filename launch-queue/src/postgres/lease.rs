//! Taking a job, and forgetting old ones.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use launch_config::id::{JobId, QueueName};

use super::failure::Failure;
use super::record::{StoredJob, stored_job, unsigned};
use super::statement::{Session, ahead};
use crate::job::{Lease, LeaseRequest};

const MAKE_READY: &str = "SELECT launch.make_ready($1)";

const LEASE: &str = "SELECT * FROM launch.lease($1, $2, $3, $4, $5)";

const PRUNE: &str = "DELETE FROM launch.jobs WHERE seq IN (
        SELECT seq FROM launch.jobs
        WHERE state = 'ended' AND ended_at <= launch.moment($1) - $2::bigint
        ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED)";

/// How often a handle forgets old jobs, and how many at once: 1,000 a minute and agent,
/// far more than an agent runs.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
const PRUNE_AT_ONCE: usize = 1000;

/// A job that was taken, as its columns hold it.
pub(super) struct Taken {
    job: StoredJob,
    fence: u64,
    cancel_requested: bool,
}

impl Taken {
    pub(super) fn into_lease(self, ttl: Duration) -> Result<Lease, Failure> {
        let mut lease = Lease::new(self.job.into_job()?, self.fence, ttl);
        lease.cancel_requested = self.cancel_requested;
        Ok(lease)
    }
}

/// Two statements, each a transaction of its own: what became ready is seen by all at
/// once, not only when this lease is through.
pub(super) async fn lease(
    session: &Session,
    request: &LeaseRequest,
) -> Result<Option<Taken>, Failure> {
    session.rows(MAKE_READY, &[&session.now_ms()]).await?;
    let queues: Vec<&str> = request.queues.iter().map(QueueName::as_str).collect();
    let only = request.only.as_ref().map(JobId::as_str);
    let row = session
        .row(
            LEASE,
            &[
                &queues,
                &request.worker.as_str(),
                &ahead(request.ttl),
                &only,
                &session.now_ms(),
            ],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Taken {
        job: stored_job(&row)?,
        fence: unsigned(row.try_get(5)?),
        cancel_requested: row.try_get(6)?,
    }))
}

pub(super) async fn prune(session: &Session, age: Duration, limit: usize) -> Result<u64, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    session
        .execute(PRUNE, &[&session.now_ms(), &ahead(age), &limit])
        .await
}

/// Forgets old jobs now and then, beside leases: no other process is needed for it.
#[derive(Debug)]
pub(super) struct Pruning {
    retention: Duration,
    last: Mutex<Option<Instant>>,
}

impl Pruning {
    pub(super) fn new(retention: Duration) -> Self {
        Self {
            retention,
            last: Mutex::new(None),
        }
    }

    /// Does a step, if the last one is long enough ago. A failure is no failure of the
    /// lease beside it, and comes again with the next step.
    pub(super) async fn step(&self, session: &Session) {
        if !self.is_time() {
            return;
        }
        match prune(session, self.retention, PRUNE_AT_ONCE).await {
            Ok(0) => {}
            Ok(jobs) => tracing::debug!(jobs, "forgot old jobs"),
            Err(error) => tracing::warn!(%error, "old jobs were not forgotten"),
        }
    }

    fn is_time(&self) -> bool {
        let Ok(mut last) = self.last.lock() else {
            return false;
        };
        let is_time = last.is_none_or(|last| last.elapsed() >= PRUNE_EVERY);
        if is_time {
            *last = Some(Instant::now());
        }
        is_time
    }
}
