//! Putting jobs in, and taking them out before anybody has them.

use launch_config::id::JobId;

use super::failure::Failure;
use super::hold::TELL;
use super::record::{self, NewJob};
use super::statement::{Session, ahead};
use crate::clock::Clock;
use crate::error::Error;
use crate::fresh_id::fresh_id;
use crate::job::{Cancelled, JobState, cancelled_outcome};

/// One statement, hence one transaction: the job with its spec and its queue, or nothing.
const INSERT: &str = "WITH new AS (
        INSERT INTO launch.jobs (id, queue, priority, state, ready, due_at, enqueued_at)
        SELECT $1, $2, $3, 'waiting', $4::bigint = 0,
            CASE WHEN $4::bigint > 0 THEN launch.moment($5) + $4::bigint END, launch.moment($5)
        ON CONFLICT (id) DO NOTHING RETURNING seq
    ), spec AS (
        INSERT INTO launch.specs (job, spec) SELECT seq, $6 FROM new
    ), queue AS (
        INSERT INTO launch.queues (name) SELECT $2 FROM new ON CONFLICT DO NOTHING
    )
    SELECT pg_notify($7, $2) FROM new";

const SETTINGS: &str = "SELECT settings FROM launch.queues WHERE name = $1";

const FIND: &str = "SELECT queue, spec FROM launch.jobs JOIN launch.specs ON job = seq
    WHERE id = $1";

/// The state before decides what a cancel is; the state after tells it.
const CANCEL: &str = "UPDATE launch.jobs SET cancel_requested = true,
        state = CASE state WHEN 'waiting' THEN 'ended' ELSE state END,
        ready = ready AND state <> 'waiting',
        due_at = CASE state WHEN 'waiting' THEN NULL ELSE due_at END,
        ended_at = CASE state WHEN 'waiting' THEN launch.moment($2) END,
        outcome = CASE state WHEN 'waiting' THEN $3 END
    WHERE id = $1 AND state <> 'ended' RETURNING state, queue";

const EXISTS: &str = "SELECT 1 FROM launch.jobs WHERE id = $1";

pub(super) async fn enqueue(session: &Session, job: NewJob) -> Result<JobId, Failure> {
    let found = session
        .row(SETTINGS, &[&job.request.queue.as_str()])
        .await?;
    let text: Option<&str> = match &found {
        Some(row) => row.try_get(0)?,
        None => None,
    };
    let job = &job.under(&record::settings(text)?)?;
    if let Some(id) = &job.request.id {
        if !insert(session, id, job).await? {
            is_same_job(session, id, job).await?;
        }
        return Ok(id.clone());
    }
    loop {
        // The id is made here; its time is for people, and no other clock is compared.
        let id = fresh_id(Clock::System.now_ms())?;
        if insert(session, &id, job).await? {
            return Ok(id);
        }
    }
}

/// Whether the id was free.
async fn insert(session: &Session, id: &JobId, job: &NewJob) -> Result<bool, Failure> {
    let priority = i16::from(job.request.priority.level());
    let made = session
        .rows(
            INSERT,
            &[
                &id.as_str(),
                &job.request.queue.as_str(),
                &priority,
                &ahead(job.request.not_before),
                &session.now_ms(),
                &job.spec,
                &session.channel(),
            ],
        )
        .await?;
    Ok(!made.is_empty())
}

/// Refuses if the id belongs to another job than the one requested.
async fn is_same_job(session: &Session, id: &JobId, job: &NewJob) -> Result<(), Failure> {
    let found = session.row(FIND, &[&id.as_str()]).await?;
    let is_same = match &found {
        Some(row) => job.is_same(row.try_get(0)?, row.try_get(1)?),
        None => false,
    };
    if is_same {
        return Ok(());
    }
    Err(Error::Conflict(id.clone()).into())
}

pub(super) async fn cancel(session: &Session, job: &JobId) -> Result<Cancelled, Failure> {
    let outcome = record::to_json(&cancelled_outcome());
    let changed = session
        .row(CANCEL, &[&job.as_str(), &session.now_ms(), &outcome])
        .await?;
    let Some(row) = changed else {
        let known = session.row(EXISTS, &[&job.as_str()]).await?;
        return match known {
            Some(_) => Ok(Cancelled::AlreadyEnded),
            None => Err(Error::Unknown(job.clone()).into()),
        };
    };
    if record::state(row.try_get(0)?)? == JobState::Ended {
        return Ok(Cancelled::Ended);
    }
    // Its holder may listen: it need not wait for its next renewal.
    let queue: &str = row.try_get(1)?;
    drop(session.rows(TELL, &[&session.channel(), &queue]).await);
    Ok(Cancelled::Requested)
}
