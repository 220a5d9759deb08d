//! What the holder of a job may write.

use std::time::Duration;

use launch_config::outcome::Outcome;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::failure::Failure;
use super::record::{self, signed, unsigned};
use crate::clock::deadline_ms;
use crate::error::Error;
use crate::job::{Hold, JobState, MAX_REPORTS, Renewal, Report, cancelled_outcome};

const FIND: &str = "SELECT seq, fence, held, state, cancel_requested FROM jobs WHERE id = ?1";

const RENEW: &str = "UPDATE jobs SET ready = 0, due_at = ?2 WHERE seq = ?1";

const REQUEUE: &str = "UPDATE jobs SET state = 'waiting', ready = ?2, due_at = ?3,
    attempt = attempt + 1, held = 0 WHERE seq = ?1";

const END: &str = "UPDATE jobs SET state = 'ended', ready = 0, due_at = NULL,
    ended_at = ?2, outcome = ?3 WHERE seq = ?1";

const REPORT: &str = "INSERT INTO reports (job, number, report)
    SELECT ?1, 1 + coalesce(max(number), 0), ?2 FROM reports WHERE job = ?1
    RETURNING number";

const FORGET: &str = "DELETE FROM reports WHERE job = ?1 AND number <= ?2";

/// A job whose newest hold is the caller's.
struct HeldJob {
    seq: i64,
    state: JobState,
    cancel_requested: bool,
}

pub(super) fn renew(
    tx: &Transaction<'_>,
    hold: &Hold,
    ttl: Duration,
    now_ms: u64,
) -> Result<Renewal, Failure> {
    let job = live(tx, hold)?;
    tx.prepare_cached(RENEW)?
        .execute(params![job.seq, signed(deadline_ms(now_ms, ttl))])?;
    Ok(Renewal::new(job.cancel_requested))
}

pub(super) fn report(tx: &Transaction<'_>, hold: &Hold, report: &Report) -> Result<(), Failure> {
    let job = live(tx, hold)?;
    let number: i64 = tx
        .prepare_cached(REPORT)?
        .query_row(params![job.seq, record::to_json(report)], |row| row.get(0))?;
    let kept = i64::try_from(MAX_REPORTS).unwrap_or(i64::MAX);
    tx.prepare_cached(FORGET)?
        .execute(params![job.seq, number - kept])?;
    Ok(())
}

pub(super) fn finish(
    tx: &Transaction<'_>,
    hold: &Hold,
    outcome: &Outcome,
    now_ms: u64,
) -> Result<(), Failure> {
    let job = find(tx, hold)?;
    if job.state == JobState::Ended {
        // This hold ended it before, and its caller did not hear the answer.
        return Ok(());
    }
    end(tx, job.seq, outcome, now_ms)
}

pub(super) fn requeue(
    tx: &Transaction<'_>,
    hold: &Hold,
    wait: Duration,
    now_ms: u64,
) -> Result<(), Failure> {
    let job = live(tx, hold)?;
    if job.cancel_requested {
        return end(tx, job.seq, &cancelled_outcome(), now_ms);
    }
    let due_ms = deadline_ms(now_ms, wait);
    let wait_until = (due_ms > now_ms).then_some(signed(due_ms));
    tx.prepare_cached(REQUEUE)?
        .execute(params![job.seq, wait_until.is_none(), wait_until])?;
    Ok(())
}

/// Ends a job, whoever holds it.
pub(super) fn end(
    tx: &Transaction<'_>,
    seq: i64,
    outcome: &Outcome,
    now_ms: u64,
) -> Result<(), Failure> {
    tx.prepare_cached(END)?
        .execute(params![seq, signed(now_ms), record::to_json(outcome)])?;
    Ok(())
}

/// The job of `hold`, if that hold may write.
fn live(tx: &Transaction<'_>, hold: &Hold) -> Result<HeldJob, Failure> {
    let job = find(tx, hold)?;
    if job.state == JobState::Ended {
        return Err(Error::Ended(hold.job.clone()).into());
    }
    Ok(job)
}

/// The job of `hold`, if that hold may write or has ended it.
fn find(tx: &Transaction<'_>, hold: &Hold) -> Result<HeldJob, Failure> {
    let columns = |row: &Row<'_>| {
        let standing = (unsigned(row.get(1)?), row.get::<_, bool>(2)?);
        Ok((row.get(0)?, standing, row.get::<_, String>(3)?, row.get(4)?))
    };
    let found = tx
        .prepare_cached(FIND)?
        .query_row([hold.job.as_str()], columns)
        .optional()?;
    let Some((seq, standing, state, cancel_requested)) = found else {
        return Err(Error::Unknown(hold.job.clone()).into());
    };
    if standing != (hold.fence, true) {
        return Err(Error::Stale {
            job: hold.job.clone(),
            fence: hold.fence,
        }
        .into());
    }
    Ok(HeldJob {
        seq,
        state: record::state(&state)?,
        cancel_requested,
    })
}
