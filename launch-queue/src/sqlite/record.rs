//! Between rows and values.

use std::str::FromStr;

use launch_config::outcome::Outcome;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;
use crate::job::{Job, JobRecord, JobState, Priority, Report};

/// A job as its columns hold it.
pub(super) struct StoredJob {
    pub(super) id: String,
    pub(super) queue: String,
    pub(super) priority: u8,
    pub(super) attempt: u32,
    pub(super) spec: String,
}

impl StoredJob {
    /// The first columns of a row: `id, queue, priority, attempt, spec`.
    pub(super) fn from_row(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            id: row.get(0)?,
            queue: row.get(1)?,
            priority: row.get(2)?,
            attempt: row.get(3)?,
            spec: row.get(4)?,
        })
    }

    pub(super) fn into_job(self) -> Result<Job, Failure> {
        let priority = Priority::from_level(self.priority);
        Ok(Job::new(
            word("id", &self.id)?,
            word("queue", &self.queue)?,
            priority.ok_or_else(|| unreadable("priority", &self.priority.to_string()))?,
            self.attempt,
            spec(self.spec),
        ))
    }
}

/// A spec that somebody damaged goes to the worker as text: it is refused there, with a
/// reason, instead of blocking its queue here.
fn spec(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// The columns [`job_record`] reads, after those of [`StoredJob::from_row`].
pub(super) const RECORD_COLUMNS: &str = "id, queue, priority, attempt, spec, \
     state, worker, fence, enqueued_at, ended_at, cancel_requested, outcome";

/// A row of [`RECORD_COLUMNS`] as a record without reports.
pub(super) fn job_record(row: &Row<'_>) -> Result<JobRecord, Failure> {
    let job = StoredJob::from_row(row)?.into_job()?;
    let mut record = JobRecord::waiting(job, unsigned(row.get(8)?));
    record.state = state(&row.get::<_, String>(5)?)?;
    let worker: Option<String> = row.get(6)?;
    record.worker = worker.map(|name| word("worker", &name)).transpose()?;
    record.fence = unsigned(row.get(7)?);
    record.ended_at_ms = row.get::<_, Option<i64>>(9)?.map(unsigned);
    record.cancel_requested = row.get(10)?;
    let outcome: Option<String> = row.get(11)?;
    record.outcome = outcome
        .map(|text| json::<Outcome>("outcome", &text))
        .transpose()?;
    Ok(record)
}

pub(super) fn report(row: &Row<'_>) -> Result<Report, Failure> {
    json("report", &row.get::<_, String>(0)?)
}

pub(super) fn state(text: &str) -> Result<JobState, Failure> {
    let all = [JobState::Waiting, JobState::Leased, JobState::Ended];
    let found = all.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| unreadable("state", text))
}

/// The text of a value whose types all have a JSON form.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are texts, and no type refuses to serialize")
}

/// SQLite's integers are signed; ours stay far below where that matters.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The value that [`signed`] stored.
pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn word<T>(column: &'static str, text: &str) -> Result<T, Failure>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|source| Failure::Column {
        column,
        source: Box::new(source),
    })
}

fn json<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|source| Failure::Column {
        column,
        source: Box::new(source),
    })
}

fn unreadable(column: &'static str, text: &str) -> Failure {
    Failure::Column {
        column,
        source: format!("unknown value `{text}`").into(),
    }
}
