//! Taking a job, and forgetting old ones.

use std::time::Duration;

use launch_config::id::{JobId, QueueName};

use super::failure::Failure;
use super::record::{StoredJob, stored_job, unsigned};
use super::statement::{Session, ahead};
use crate::job::{Lease, LeaseRequest};
use crate::pruning::{PRUNE_AT_ONCE, Pruning};

const MAKE_READY: &str = "SELECT launch.make_ready($1)";

/// When the job was enqueued is looked up, not joined: a planner that takes the one row for
/// a thousand would read the whole table.
const LEASE: &str = "SELECT lease.*,
        (SELECT enqueued_at FROM launch.jobs WHERE jobs.id = lease.id), launch.moment($5)
    FROM launch.lease($1, $2, $3, $4, $5) AS lease";

/// The moment is asked for once, by itself: compared with each job, it would be no bound of an
/// index, and all that have ended would be read.
const PRUNE: &str = "DELETE FROM launch.jobs WHERE seq IN (
        SELECT seq FROM launch.jobs
        WHERE state = 'ended' AND ended_at <= (SELECT launch.moment($1) - $2::bigint)
        ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED)";

/// The oldest beyond so many newer ones, and one more.
const SURPLUS: &str = "DELETE FROM launch.jobs WHERE seq IN (
        SELECT seq FROM launch.jobs
        WHERE state = 'ended' AND ended_at < (
            SELECT ended_at FROM launch.jobs WHERE state = 'ended'
            ORDER BY ended_at DESC LIMIT 1 OFFSET $1)
        ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// A job that was taken, as its columns hold it.
pub(super) struct Taken {
    job: StoredJob,
    fence: u64,
    cancel_requested: bool,
    enqueued_at_ms: u64,
    leased_at_ms: u64,
}

impl Taken {
    pub(super) fn into_lease(self, ttl: Duration) -> Result<Lease, Failure> {
        let mut lease = Lease::new(self.job.into_job()?, self.fence, ttl);
        lease.cancel_requested = self.cancel_requested;
        Ok(lease.with_times(self.enqueued_at_ms, self.leased_at_ms))
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
        enqueued_at_ms: unsigned(row.try_get(7)?),
        leased_at_ms: unsigned(row.try_get(8)?),
    }))
}

pub(super) async fn prune(session: &Session, age: Duration, limit: usize) -> Result<u64, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    session
        .execute(PRUNE, &[&session.now_ms(), &ahead(age), &limit])
        .await
}

async fn prune_step(session: &Session, pruning: &Pruning) -> Result<u64, Failure> {
    let old = prune(session, pruning.retention(), PRUNE_AT_ONCE).await?;
    let Some(newer) = pruning.newer() else {
        return Ok(old);
    };
    let limit = i64::try_from(PRUNE_AT_ONCE).unwrap_or(i64::MAX);
    let surplus = session.execute(SURPLUS, &[&newer, &limit]).await?;
    Ok(old + surplus)
}

/// Forgets old jobs, if it is time. A failure is no failure of the lease beside it, and
/// comes again with the next step.
pub(super) async fn prune_now_and_then(session: &Session, pruning: &Pruning) {
    if !pruning.is_time() {
        return;
    }
    match prune_step(session, pruning).await {
        Ok(jobs) => pruning.pruned(jobs),
        Err(error) => tracing::warn!(%error, "old jobs were not forgotten"),
    }
}
