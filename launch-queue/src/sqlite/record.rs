//! Between rows and values.

use launch_config::outcome::Outcome;
use rusqlite::Row;

use super::failure::Failure;
pub(super) use crate::column::{
    NewJob, StoredJob, json, settings, settings_text, signed, state, to_json, unsigned, word,
};
use crate::job::{JobRecord, Report};

/// The first columns of a row: `id, queue, priority, attempt, spec`.
pub(super) fn stored_job(row: &Row<'_>) -> Result<StoredJob, rusqlite::Error> {
    Ok(StoredJob {
        id: row.get(0)?,
        queue: row.get(1)?,
        priority: row.get(2)?,
        attempt: row.get(3)?,
        spec: row.get(4)?,
    })
}

/// The columns [`job_record`] reads, after those of [`stored_job`].
pub(super) const RECORD_COLUMNS: &str = "id, queue, priority, attempt, spec, \
     state, worker, fence, enqueued_at, ended_at, cancel_requested, outcome";

/// A row of [`RECORD_COLUMNS`] as a record without reports.
pub(super) fn job_record(row: &Row<'_>) -> Result<JobRecord, Failure> {
    let job = stored_job(row)?.into_job()?;
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
    Ok(json("report", &row.get::<_, String>(0)?)?)
}
