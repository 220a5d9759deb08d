//! What the holder of a job may write.
//!
//! Each write is one statement that names the hold it is allowed to. Only one that
//! changed nothing asks why.

use std::time::Duration;

use launch_config::outcome::Outcome;

use super::failure::Failure;
use super::record::{self, signed};
use super::statement::{Session, ahead};
use crate::error::Error;
use crate::job::{Hold, JobState, MAX_REPORTS, Renewal, Report, cancelled_outcome};

const FIND: &str = "SELECT fence, held, state FROM launch.jobs WHERE id = $1";

const RENEW: &str = "UPDATE launch.jobs SET ready = false, due_at = launch.moment($3) + $4::bigint
    WHERE id = $1 AND fence = $2 AND held AND state = 'leased'
    RETURNING cancel_requested";

const REPORT: &str = "WITH job AS (
        UPDATE launch.jobs SET reports = reports + 1
        WHERE id = $1 AND fence = $2 AND held AND state = 'leased'
        RETURNING seq, reports
    ), forgotten AS (
        DELETE FROM launch.reports USING job
        WHERE reports.job = job.seq AND reports.number <= job.reports - $4
    )
    INSERT INTO launch.reports (job, number, report) SELECT seq, reports, $3 FROM job";

const FINISH: &str = "UPDATE launch.jobs SET state = 'ended', ready = false, due_at = NULL,
        ended_at = launch.moment($3), outcome = $4
    WHERE id = $1 AND fence = $2 AND held AND state = 'leased'";

/// A job that somebody cancelled ends instead of going back.
const REQUEUE: &str = "UPDATE launch.jobs SET
        state = CASE WHEN cancel_requested THEN 'ended' ELSE 'waiting' END,
        ready = NOT cancel_requested AND $4::bigint = 0,
        due_at = CASE WHEN cancel_requested OR $4::bigint = 0 THEN NULL ELSE launch.moment($3) + $4::bigint END,
        attempt = CASE WHEN cancel_requested THEN attempt ELSE attempt + 1 END,
        held = cancel_requested,
        ended_at = CASE WHEN cancel_requested THEN launch.moment($3) END,
        outcome = CASE WHEN cancel_requested THEN $5 END
    WHERE id = $1 AND fence = $2 AND held AND state = 'leased'
    RETURNING queue, state";

pub(super) const TELL: &str = "SELECT pg_notify($1, $2)";

pub(super) async fn renew(
    session: &Session,
    hold: &Hold,
    ttl: Duration,
) -> Result<Renewal, Failure> {
    let (job, fence) = (hold.job.as_str(), signed(hold.fence));
    let now_ms = session.now_ms();
    let renewed = session
        .row(RENEW, &[&job, &fence, &now_ms, &ahead(ttl)])
        .await?;
    match renewed {
        Some(row) => Ok(Renewal::new(row.try_get(0)?)),
        None => Err(refusal(session, hold).await?.into()),
    }
}

pub(super) async fn report(session: &Session, hold: &Hold, report: &Report) -> Result<(), Failure> {
    let (job, fence) = (hold.job.as_str(), signed(hold.fence));
    let kept = i32::try_from(MAX_REPORTS).unwrap_or(i32::MAX);
    let text = record::to_json(report);
    match session
        .execute(REPORT, &[&job, &fence, &text, &kept])
        .await?
    {
        0 => Err(refusal(session, hold).await?.into()),
        _ => Ok(()),
    }
}

pub(super) async fn finish(
    session: &Session,
    hold: &Hold,
    outcome: &Outcome,
) -> Result<(), Failure> {
    let (job, fence) = (hold.job.as_str(), signed(hold.fence));
    let (now_ms, outcome) = (session.now_ms(), record::to_json(outcome));
    let ended = session
        .execute(FINISH, &[&job, &fence, &now_ms, &outcome])
        .await?;
    if ended > 0 {
        return Ok(());
    }
    match refusal(session, hold).await? {
        // This hold ended it before, and its caller did not hear the answer.
        Error::Ended(_) => Ok(()),
        refused => Err(refused.into()),
    }
}

pub(super) async fn requeue(session: &Session, hold: &Hold, wait: Duration) -> Result<(), Failure> {
    let (job, fence) = (hold.job.as_str(), signed(hold.fence));
    let (now_ms, cancelled) = (session.now_ms(), record::to_json(&cancelled_outcome()));
    let row = session
        .row(REQUEUE, &[&job, &fence, &now_ms, &ahead(wait), &cancelled])
        .await?;
    let Some(row) = row else {
        return Err(refusal(session, hold).await?.into());
    };
    if record::state(row.try_get(1)?)? == JobState::Waiting {
        let queue: &str = row.try_get(0)?;
        // The job is back whether or not anybody hears of it.
        drop(session.rows(TELL, &[&session.channel(), &queue]).await);
    }
    Ok(())
}

/// Why a write of `hold` changed nothing.
async fn refusal(session: &Session, hold: &Hold) -> Result<Error, Failure> {
    let Some(row) = session.row(FIND, &[&hold.job.as_str()]).await? else {
        return Ok(Error::Unknown(hold.job.clone()));
    };
    let standing = (row.try_get(0)?, row.try_get(1)?);
    let state = record::state(row.try_get(2)?)?;
    if standing == (signed(hold.fence), true) && state == JobState::Ended {
        return Ok(Error::Ended(hold.job.clone()));
    }
    Ok(Error::Stale {
        job: hold.job.clone(),
        fence: hold.fence,
    })
}
