//! Putting jobs in, and taking them out before anybody has them.

use launch_config::id::{JobId, QueueName};
use rusqlite::{OptionalExtension, Transaction, params};

use super::failure::Failure;
use super::hold;
use super::record::{self, NewJob, signed};
use crate::clock::deadline_ms;
use crate::error::Error;
use crate::fresh_id::fresh_id;
use crate::job::{Cancelled, EnqueueRequest, JobState, cancelled_outcome};
use crate::settings::QueueSettings;

const INSERT: &str = "INSERT INTO jobs (id, queue, priority, state, ready, due_at, enqueued_at)
    VALUES (?1, ?2, ?3, 'waiting', ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";

pub(super) fn enqueue(tx: &Transaction<'_>, job: NewJob, now_ms: u64) -> Result<JobId, Failure> {
    let settings = settings(tx, &job.request.queue)?;
    let job = &job.under(&settings)?;
    if let Some(id) = &job.request.id {
        if !insert(tx, id, job, now_ms)? {
            is_same_job(tx, id, job)?;
        }
        return Ok(id.clone());
    }
    loop {
        let id = fresh_id(now_ms)?;
        if insert(tx, &id, job, now_ms)? {
            return Ok(id);
        }
    }
}

/// Whether the id was free.
fn insert(tx: &Transaction<'_>, id: &JobId, job: &NewJob, now_ms: u64) -> Result<bool, Failure> {
    let EnqueueRequest {
        queue,
        priority,
        not_before,
        ..
    } = &job.request;
    let due_ms = deadline_ms(now_ms, *not_before);
    let wait_until = (due_ms > now_ms).then_some(signed(due_ms));
    let row = params![
        id.as_str(),
        queue.as_str(),
        priority.level(),
        wait_until.is_none(),
        wait_until,
        signed(now_ms)
    ];
    if tx.prepare_cached(INSERT)?.execute(row)? == 0 {
        return Ok(false);
    }
    let seq = tx.last_insert_rowid();
    tx.prepare_cached("INSERT INTO specs (job, spec) VALUES (?1, ?2)")?
        .execute(params![seq, job.spec])?;
    create(tx, queue)?;
    Ok(true)
}

/// Refuses if the id belongs to another job than the one requested.
fn is_same_job(tx: &Transaction<'_>, id: &JobId, job: &NewJob) -> Result<(), Failure> {
    let (queue, spec): (String, String) = tx
        .prepare_cached("SELECT queue, spec FROM jobs JOIN specs ON job = seq WHERE id = ?1")?
        .query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if job.is_same(&queue, &spec) {
        return Ok(());
    }
    Err(Error::Conflict(id.clone()).into())
}

fn settings(tx: &Transaction<'_>, queue: &QueueName) -> Result<QueueSettings, Failure> {
    let text: Option<Option<String>> = tx
        .prepare_cached("SELECT settings FROM queues WHERE name = ?1")?
        .query_row([queue.as_str()], |row| row.get(0))
        .optional()?;
    Ok(record::settings(text.flatten().as_deref())?)
}

pub(super) fn configure(
    tx: &Transaction<'_>,
    queue: &QueueName,
    text: &str,
    is_paused: bool,
) -> Result<(), Failure> {
    create(tx, queue)?;
    tx.prepare_cached("UPDATE queues SET settings = ?2, paused = ?3 WHERE name = ?1")?
        .execute(params![queue.as_str(), text, is_paused])?;
    Ok(())
}

pub(super) fn create(tx: &Transaction<'_>, queue: &QueueName) -> Result<(), Failure> {
    tx.prepare_cached("INSERT INTO queues (name) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([queue.as_str()])?;
    Ok(())
}

pub(super) fn cancel(tx: &Transaction<'_>, job: &JobId, now_ms: u64) -> Result<Cancelled, Failure> {
    let found: Option<(i64, String)> = tx
        .prepare_cached("SELECT seq, state FROM jobs WHERE id = ?1")?
        .query_row([job.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((seq, state)) = found else {
        return Err(Error::Unknown(job.clone()).into());
    };
    let state = record::state(&state)?;
    if state == JobState::Ended {
        return Ok(Cancelled::AlreadyEnded);
    }
    tx.prepare_cached("UPDATE jobs SET cancel_requested = 1 WHERE seq = ?1")?
        .execute([seq])?;
    if state == JobState::Leased {
        return Ok(Cancelled::Requested);
    }
    hold::end(tx, seq, &cancelled_outcome(), now_ms)?;
    Ok(Cancelled::Ended)
}
