//! Looking at queues and jobs.

use std::collections::HashSet;

use launch_config::id::{JobId, QueueName, WorkerName};
use rusqlite::{Row, Transaction, params};

use super::failure::Failure;
use super::record::{self, RECORD_COLUMNS, unsigned};
use crate::job::{JobRecord, QueueRecord, Report};

const QUEUES: &str = "SELECT name,
        count(*) FILTER (WHERE state = 'waiting'),
        count(*) FILTER (WHERE state = 'leased'),
        count(*) FILTER (WHERE state = 'ended'),
        settings
    FROM queues LEFT JOIN jobs ON queue = name GROUP BY name ORDER BY name";

const CANCEL_REQUESTED: &str =
    "SELECT id FROM jobs WHERE state = 'leased' AND cancel_requested = 1";

const REPORTS: &str =
    "SELECT report FROM reports JOIN jobs ON seq = job WHERE id = ?1 ORDER BY number";

pub(super) fn queues(tx: &Transaction<'_>) -> Result<Vec<QueueRecord>, Failure> {
    let mut statement = tx.prepare_cached(QUEUES)?;
    collect(statement.query([])?, queue_record)
}

pub(super) fn jobs(
    tx: &Transaction<'_>,
    queue: &QueueName,
    limit: usize,
) -> Result<Vec<JobRecord>, Failure> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {RECORD_COLUMNS} FROM jobs JOIN specs ON job = seq
         WHERE queue = ?1 ORDER BY seq DESC LIMIT ?2"
    ))?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    collect(
        statement.query(params![queue.as_str(), limit])?,
        record::job_record,
    )
}

/// Reads the leased jobs alone: there is an index of them.
pub(super) fn held(tx: &Transaction<'_>, worker: &WorkerName) -> Result<Vec<JobRecord>, Failure> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {RECORD_COLUMNS} FROM jobs JOIN specs ON job = seq
         WHERE state = 'leased' AND worker = ?1 ORDER BY seq"
    ))?;
    collect(statement.query([worker.as_str()])?, record::job_record)
}

pub(super) fn job(tx: &Transaction<'_>, job: &JobId) -> Result<Option<JobRecord>, Failure> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT {RECORD_COLUMNS} FROM jobs JOIN specs ON job = seq WHERE id = ?1"
    ))?;
    let found = collect(statement.query([job.as_str()])?, record::job_record)?;
    let Some(mut record) = found.into_iter().next() else {
        return Ok(None);
    };
    record.reports = reports(tx, job)?;
    Ok(Some(record))
}

/// Of all jobs that are to stop, which are few and have an index, those that are asked for.
pub(super) fn cancel_requested(
    tx: &Transaction<'_>,
    jobs: &[JobId],
) -> Result<Vec<JobId>, Failure> {
    let mut statement = tx.prepare_cached(CANCEL_REQUESTED)?;
    let all = collect(statement.query([])?, |row| {
        Ok(record::word("id", &row.get::<_, String>(0)?)?)
    })?;
    let asked: HashSet<&JobId> = jobs.iter().collect();
    Ok(all.into_iter().filter(|id| asked.contains(id)).collect())
}

fn reports(tx: &Transaction<'_>, job: &JobId) -> Result<Vec<Report>, Failure> {
    let mut statement = tx.prepare_cached(REPORTS)?;
    collect(statement.query([job.as_str()])?, record::report)
}

fn queue_record(row: &Row<'_>) -> Result<QueueRecord, Failure> {
    let mut found = QueueRecord::empty(record::word("name", &row.get::<_, String>(0)?)?);
    found.waiting = unsigned(row.get(1)?);
    found.leased = unsigned(row.get(2)?);
    found.ended = unsigned(row.get(3)?);
    found.settings = record::settings(row.get::<_, Option<String>>(4)?.as_deref())?;
    Ok(found)
}

fn collect<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}
