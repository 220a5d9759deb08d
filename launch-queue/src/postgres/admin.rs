//! Looking at queues and jobs.

use launch_config::id::{JobId, QueueName, WorkerName};
use tokio_postgres::Row;

use super::failure::Failure;
use super::record::{self, RECORD_COLUMNS, job_record, unsigned};
use super::statement::Session;
use crate::job::{JobRecord, QueueRecord, Report};

const CREATE: &str = "INSERT INTO launch.queues (name) VALUES ($1) ON CONFLICT DO NOTHING";

const CONFIGURE: &str = "INSERT INTO launch.queues (name, settings, paused) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET settings = excluded.settings, paused = excluded.paused";

const QUEUES: &str = "SELECT name,
        count(*) FILTER (WHERE state = 'waiting'),
        count(*) FILTER (WHERE state = 'leased'),
        count(*) FILTER (WHERE state = 'ended'),
        settings
    FROM launch.queues LEFT JOIN launch.jobs ON queue = name GROUP BY name ORDER BY name";

const CANCEL_REQUESTED: &str = "SELECT id FROM launch.jobs
    WHERE id = ANY ($1) AND state = 'leased' AND cancel_requested";

const REPORTS: &str = "SELECT report FROM launch.reports JOIN launch.jobs ON seq = job
    WHERE id = $1 ORDER BY number";

pub(super) async fn create(session: &Session, queue: &QueueName) -> Result<(), Failure> {
    session.execute(CREATE, &[&queue.as_str()]).await?;
    Ok(())
}

pub(super) async fn configure(
    session: &Session,
    queue: &QueueName,
    settings: &str,
    is_paused: bool,
) -> Result<(), Failure> {
    session
        .execute(CONFIGURE, &[&queue.as_str(), &settings, &is_paused])
        .await?;
    Ok(())
}

pub(super) async fn queues(session: &Session) -> Result<Vec<QueueRecord>, Failure> {
    let rows = session.rows(QUEUES, &[]).await?;
    rows.iter().map(queue_record).collect()
}

pub(super) async fn jobs(
    session: &Session,
    queue: &QueueName,
    limit: usize,
) -> Result<Vec<JobRecord>, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = records("WHERE queue = $1 ORDER BY seq DESC LIMIT $2");
    let rows = session.rows(&sql, &[&queue.as_str(), &limit]).await?;
    rows.iter().map(job_record).collect()
}

pub(super) async fn held(
    session: &Session,
    worker: &WorkerName,
) -> Result<Vec<JobRecord>, Failure> {
    let sql = records("WHERE state = 'leased' AND worker = $1 ORDER BY seq");
    let rows = session.rows(&sql, &[&worker.as_str()]).await?;
    rows.iter().map(job_record).collect()
}

pub(super) async fn job(session: &Session, job: &JobId) -> Result<Option<JobRecord>, Failure> {
    let row = session
        .row(&records("WHERE id = $1"), &[&job.as_str()])
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut found = job_record(&row)?;
    found.reports = reports(session, job).await?;
    Ok(Some(found))
}

async fn reports(session: &Session, job: &JobId) -> Result<Vec<Report>, Failure> {
    let rows = session.rows(REPORTS, &[&job.as_str()]).await?;
    rows.iter().map(record::report).collect()
}

pub(super) async fn cancel_requested(
    session: &Session,
    jobs: &[JobId],
) -> Result<Vec<JobId>, Failure> {
    let jobs: Vec<&str> = jobs.iter().map(JobId::as_str).collect();
    let rows = session.rows(CANCEL_REQUESTED, &[&jobs]).await?;
    let id = |row: &Row| Ok(record::word("id", row.try_get(0)?)?);
    rows.iter().map(id).collect()
}

/// The records of jobs that `which` chooses.
fn records(which: &str) -> String {
    format!("SELECT {RECORD_COLUMNS} FROM launch.jobs JOIN launch.specs ON job = seq {which}")
}

fn queue_record(row: &Row) -> Result<QueueRecord, Failure> {
    let mut found = QueueRecord::empty(record::word("name", row.try_get(0)?)?);
    found.waiting = unsigned(row.try_get(1)?);
    found.leased = unsigned(row.try_get(2)?);
    found.ended = unsigned(row.try_get(3)?);
    found.settings = record::settings(row.try_get(4)?)?;
    Ok(found)
}
