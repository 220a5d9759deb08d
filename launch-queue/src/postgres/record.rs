//! Between rows and values.

use launch_config::outcome::Outcome;
use tokio_postgres::Row;

use super::failure::Failure;
pub(super) use crate::column::{
    NewJob, StoredJob, json, settings, settings_text, signed, state, to_json, unsigned, word,
};
use crate::job::{JobRecord, Report};

/// The first columns of a row: `id, queue, priority, attempt, spec`.
pub(super) fn stored_job(row: &Row) -> Result<StoredJob, Failure> {
    let (priority, attempt): (i16, i32) = (row.try_get(2)?, row.try_get(3)?);
    Ok(StoredJob {
        id: row.try_get(0)?,
        queue: row.try_get(1)?,
        // Out of range is refused with its column, when the job is made of it.
        priority: u8::try_from(priority).unwrap_or(u8::MAX),
        attempt: u32::try_from(attempt).unwrap_or(0),
        spec: row.try_get(4)?,
    })
}

/// The columns [`job_record`] reads, after those of [`stored_job`].
pub(super) const RECORD_COLUMNS: &str = "id, queue, priority, attempt, spec, \
     state, worker, fence, enqueued_at, ended_at, cancel_requested, outcome";

/// A row of [`RECORD_COLUMNS`] as a record without reports.
pub(super) fn job_record(row: &Row) -> Result<JobRecord, Failure> {
    let job = stored_job(row)?.into_job()?;
    let mut record = JobRecord::waiting(job, unsigned(row.try_get(8)?));
    record.state = state(row.try_get(5)?)?;
    let worker: Option<&str> = row.try_get(6)?;
    record.worker = worker.map(|name| word("worker", name)).transpose()?;
    record.fence = unsigned(row.try_get(7)?);
    record.ended_at_ms = row.try_get::<_, Option<i64>>(9)?.map(unsigned);
    record.cancel_requested = row.try_get(10)?;
    let outcome: Option<&str> = row.try_get(11)?;
    record.outcome = outcome
        .map(|text| json::<Outcome>("outcome", text))
        .transpose()?;
    Ok(record)
}

pub(super) fn report(row: &Row) -> Result<Report, Failure> {
    Ok(json("report", row.try_get(0)?)?)
}
