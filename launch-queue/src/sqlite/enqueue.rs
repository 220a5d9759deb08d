//! Putting jobs in, and taking them out before anybody has them.

use launch_config::id::{JobId, QueueName};
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use super::failure::Failure;
use super::hold;
use super::record::{self, signed};
use crate::clock::deadline_ms;
use crate::error::Error;
use crate::fresh_id::fresh_id;
use crate::job::{Cancelled, EnqueueRequest, JobState, cancelled_outcome};
use crate::spec::{MAX_SPEC_DEPTH, is_too_deep};

const INSERT: &str = "INSERT INTO jobs (id, queue, priority, state, ready, due_at, enqueued_at)
    VALUES (?1, ?2, ?3, 'waiting', ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING";

/// A request whose spec can be stored, as text already.
pub(super) struct NewJob {
    request: EnqueueRequest,
    spec: String,
}

impl NewJob {
    /// Does what needs no database, before one is locked.
    pub(super) fn check(request: EnqueueRequest) -> Result<Self, Error> {
        if is_too_deep(&request.spec) {
            return Err(Error::SpecDepth {
                max: MAX_SPEC_DEPTH,
            });
        }
        let spec = record::to_json(&request.spec);
        Ok(Self { request, spec })
    }
}

pub(super) fn enqueue(tx: &Transaction<'_>, job: &NewJob, now_ms: u64) -> Result<JobId, Failure> {
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
    // By value if not by text: the order of keys says nothing.
    let is_same_spec = spec == job.spec
        || serde_json::from_str::<Value>(&spec).is_ok_and(|spec| spec == job.request.spec);
    if queue == job.request.queue.as_str() && is_same_spec {
        return Ok(());
    }
    Err(Error::Conflict(id.clone()).into())
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
