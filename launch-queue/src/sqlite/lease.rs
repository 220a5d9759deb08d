//! Taking a job.

use std::time::Duration;

use launch_config::id::JobId;
use rusqlite::{OptionalExtension, Transaction, params};

use super::failure::Failure;
use super::record::{self, StoredJob, signed, unsigned};
use crate::clock::deadline_ms;
use crate::job::{Lease, LeaseRequest};

/// Every job is made ready at most once per wait and per lease, so that this costs what
/// became ready since the last call, not what waits.
const MAKE_READY: &str = "UPDATE jobs SET ready = 1, due_at = NULL WHERE due_at <= ?1";

const FIRST_OF_QUEUE: &str = "SELECT seq, priority FROM jobs
    WHERE ready = 1 AND queue = ?1
        AND NOT EXISTS (SELECT 1 FROM queues WHERE name = ?1 AND paused = 1)
    ORDER BY priority, seq LIMIT 1";

const ONLY: &str = "SELECT seq, queue FROM jobs WHERE id = ?1 AND ready = 1
    AND NOT EXISTS (SELECT 1 FROM queues WHERE name = queue AND paused = 1)";

const TAKE: &str = "UPDATE jobs SET state = 'leased', ready = 0, due_at = ?2,
    fence = fence + 1, held = 1, worker = ?3 WHERE seq = ?1";

const TAKEN: &str =
    "SELECT id, queue, priority, attempt, spec, fence, cancel_requested, enqueued_at
    FROM jobs JOIN specs ON job = seq WHERE seq = ?1";

/// A job that was taken, as its columns hold it.
pub(super) struct Taken {
    job: StoredJob,
    fence: u64,
    cancel_requested: bool,
    enqueued_at_ms: u64,
    leased_at_ms: u64,
}

impl Taken {
    /// Reads the spec, which may be large, when the database is no longer locked.
    pub(super) fn into_lease(self, ttl: Duration) -> Result<Lease, Failure> {
        let mut lease = Lease::new(self.job.into_job()?, self.fence, ttl);
        lease.cancel_requested = self.cancel_requested;
        Ok(lease.with_times(self.enqueued_at_ms, self.leased_at_ms))
    }
}

pub(super) fn lease(
    tx: &Transaction<'_>,
    request: &LeaseRequest,
    now_ms: u64,
) -> Result<Option<Taken>, Failure> {
    tx.prepare_cached(MAKE_READY)?.execute([signed(now_ms)])?;
    let chosen = match &request.only {
        Some(job) => only(tx, request, job)?,
        None => most_urgent(tx, request)?,
    };
    let Some(seq) = chosen else { return Ok(None) };
    let until = signed(deadline_ms(now_ms, request.ttl));
    tx.prepare_cached(TAKE)?
        .execute(params![seq, until, request.worker.as_str()])?;
    let taken = tx.prepare_cached(TAKEN)?.query_row([seq], |row| {
        let (fence, cancel_requested) = (unsigned(row.get(5)?), row.get(6)?);
        Ok(Taken {
            job: record::stored_job(row)?,
            fence,
            cancel_requested,
            enqueued_at_ms: unsigned(row.get(7)?),
            leased_at_ms: now_ms,
        })
    })?;
    Ok(Some(taken))
}

/// The first job of each queue, and of these the most urgent; the earlier queue if equal.
fn most_urgent(tx: &Transaction<'_>, request: &LeaseRequest) -> Result<Option<i64>, Failure> {
    let mut best: Option<(u8, i64)> = None;
    for queue in &request.queues {
        let first: Option<(i64, u8)> = tx
            .prepare_cached(FIRST_OF_QUEUE)?
            .query_row([queue.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((seq, priority)) = first
            && best.is_none_or(|(level, _)| priority < level)
        {
            best = Some((priority, seq));
        }
    }
    Ok(best.map(|(_, seq)| seq))
}

fn only(tx: &Transaction<'_>, request: &LeaseRequest, job: &JobId) -> Result<Option<i64>, Failure> {
    let found: Option<(i64, String)> = tx
        .prepare_cached(ONLY)?
        .query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let is_asked = |name: &str| request.queues.iter().any(|queue| queue.as_str() == name);
    Ok(found
        .filter(|(_, queue)| is_asked(queue))
        .map(|(seq, _)| seq))
}

#[cfg(test)]
mod tests;
