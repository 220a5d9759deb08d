//! What `launch-agent status` shows, as it goes over the socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use launch_queue::job::QueueRecord;
use serde::{Deserialize, Serialize};

use super::{Phase, Vitals};

/// A running agent, at one moment. Fields are added, never changed; a reader ignores those
/// it does not know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Its name to the queues.
    pub(crate) worker: String,
    pub(crate) pid: u32,
    /// The version of the program.
    pub(crate) version: String,
    /// `starting`, `serving`, `stopping`.
    pub(crate) phase: String,
    /// Whether it takes jobs now.
    pub(crate) ready: bool,
    /// If not, why.
    pub(crate) why_not_ready: Option<String>,
    pub(crate) up_seconds: f64,
    /// Where health and metrics are served.
    pub(crate) address: Option<SocketAddr>,
    /// Jobs at once; absent without a limit.
    pub(crate) slots: Option<usize>,
    pub(crate) slots_used: usize,
    /// How long ago the queues were asked for a job.
    pub(crate) last_poll_seconds: Option<f64>,
    /// How many jobs ended, by reason.
    pub(crate) ended: BTreeMap<String, u64>,
    pub(crate) jobs: Vec<JobStatus>,
    pub(crate) queues: Vec<QueueStatus>,
    /// Why there are no queues, if they could not be asked.
    pub(crate) queues_error: Option<String>,
}

/// A job in flight.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct JobStatus {
    pub(crate) job: String,
    pub(crate) queue: String,
    pub(crate) attempt: u32,
    /// Whether an earlier agent began it.
    pub(crate) adopted: bool,
    pub(crate) stage: String,
    pub(crate) stage_seconds: f64,
    pub(crate) seconds: f64,
    /// Since the lease was renewed; absent once it is closed.
    pub(crate) heartbeat_seconds: Option<f64>,
    /// What it last said of itself.
    pub(crate) doing: String,
}

/// A queue that is polled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct QueueStatus {
    pub(crate) queue: String,
    pub(crate) waiting: u64,
    pub(crate) leased: u64,
    pub(crate) ended: u64,
    pub(crate) paused: bool,
}

impl From<QueueRecord> for QueueStatus {
    fn from(record: QueueRecord) -> Self {
        Self {
            queue: record.name.to_string(),
            waiting: record.waiting,
            leased: record.leased,
            ended: record.ended,
            paused: record.settings.paused,
        }
    }
}

/// Seconds, to the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

impl Vitals {
    /// Everything but the queues, which have to be asked.
    pub(crate) fn status(&self, address: Option<SocketAddr>) -> Status {
        let why_not_ready = self.readiness().err();
        let now = self.now();
        let phase = match now.phase {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Stopping => "stopping",
        };
        let jobs = now.jobs.iter().map(|(id, job)| JobStatus {
            job: id.to_string(),
            queue: job.queue.to_string(),
            attempt: job.attempt,
            adopted: job.adopted,
            stage: job.stage.to_string(),
            stage_seconds: seconds(job.stage_since.elapsed()),
            seconds: seconds(job.since.elapsed()),
            heartbeat_seconds: job.renewed.map(|at| seconds(at.elapsed())),
            doing: job.doing.clone(),
        });
        let ended = now
            .ended
            .iter()
            .map(|(reason, n)| ((*reason).to_owned(), *n));
        Status {
            worker: self.worker.to_string(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: phase.to_owned(),
            ready: why_not_ready.is_none(),
            why_not_ready,
            up_seconds: seconds(self.begun.elapsed()),
            address,
            slots: self.slots,
            slots_used: now.jobs.len(),
            last_poll_seconds: now.polled.map(|at| seconds(at.elapsed())),
            ended: ended.collect(),
            jobs: jobs.collect(),
            queues: Vec::new(),
            queues_error: None,
        }
    }
}
