//! What a queue tells of itself and its jobs.

use launch_config::id::{QueueName, WorkerName};
use launch_config::outcome::Outcome;
use serde::{Deserialize, Serialize};

use super::{Hold, Job, JobState, Report};
use crate::settings::QueueSettings;

/// A job as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobRecord {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Where it stands.
    pub state: JobState,
    /// Who holds it, or held it last.
    pub worker: Option<WorkerName>,
    /// How often it was leased: equal to its newest fencing token.
    pub fence: u64,
    /// When it was enqueued, in milliseconds since 1970.
    pub enqueued_at_ms: u64,
    /// When it ended, in milliseconds since 1970.
    pub ended_at_ms: Option<u64>,
    /// Somebody asked for it to stop.
    pub cancel_requested: bool,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// What workers said of it, oldest first: the newest [`MAX_REPORTS`](super::MAX_REPORTS).
    pub reports: Vec<Report>,
}

impl JobRecord {
    /// The newest hold of the job: whoever leased it last has the same.
    pub fn hold(&self) -> Hold {
        Hold {
            job: self.job.id.clone(),
            fence: self.fence,
        }
    }

    /// A job that nobody has touched yet.
    pub fn waiting(job: Job, enqueued_at_ms: u64) -> Self {
        Self {
            job,
            state: JobState::Waiting,
            worker: None,
            fence: 0,
            enqueued_at_ms,
            ended_at_ms: None,
            cancel_requested: false,
            outcome: None,
            reports: Vec::new(),
        }
    }
}

/// A queue as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueRecord {
    /// Its name.
    pub name: QueueName,
    /// Jobs that wait.
    pub waiting: u64,
    /// Jobs that are held.
    pub leased: u64,
    /// Jobs that have ended.
    pub ended: u64,
    /// What an administrator says of it.
    #[serde(default)]
    pub settings: QueueSettings,
}

impl QueueRecord {
    /// A queue with no jobs in it.
    pub fn empty(name: QueueName) -> Self {
        Self {
            name,
            waiting: 0,
            leased: 0,
            ended: 0,
            settings: QueueSettings::default(),
        }
    }
}
