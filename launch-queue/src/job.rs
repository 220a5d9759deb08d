//! Jobs, leases and what is said of them.

mod lease;
mod priority;
mod record;
mod request;

use std::fmt;

use launch_config::id::{JobId, QueueName, RunKey};
use launch_config::outcome::{Outcome, Reason, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::lease::{Hold, Lease, LeaseRequest, Renewal};
pub use self::priority::Priority;
pub use self::record::{JobRecord, QueueRecord};
pub use self::request::EnqueueRequest;

/// How many reports a queue keeps of one job, at most: the newest.
pub const MAX_REPORTS: usize = 200;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum JobState {
    /// In the queue, now or from its not-before time on.
    Waiting,
    /// A worker holds it.
    Leased,
    /// It has an outcome. Final.
    Ended,
}

impl JobState {
    /// Whether a job may go from `self` to `next`. The only list of legal moves.
    ///
    /// A lease that is taken over after its expiry is `Leased` → `Leased`.
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Waiting, Self::Leased | Self::Ended)
            | (Self::Leased, Self::Waiting | Self::Leased | Self::Ended) => true,
            (Self::Waiting, Self::Waiting) | (Self::Ended, _) => false,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Leased => "leased",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A job as a worker gets it.
///
/// `Debug` leaves the spec out: it may hold secrets of the user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Job {
    /// Its id; the queue never gives it to another job.
    pub id: JobId,
    /// The queue it came from.
    pub queue: QueueName,
    /// How urgent it is.
    pub priority: Priority,
    /// How often it was put back before: 0 for the first attempt.
    pub attempt: u32,
    /// The run spec as submitted. Unchecked: whoever runs the job parses it, so that
    /// even a malformed one ends with a reason.
    pub spec: Value,
}

impl Job {
    /// A job as an adapter reads it from its store.
    pub fn new(id: JobId, queue: QueueName, priority: Priority, attempt: u32, spec: Value) -> Self {
        Self {
            id,
            queue,
            priority,
            attempt,
            spec,
        }
    }

    /// What runs of this attempt are named after.
    pub fn run_key(&self) -> RunKey {
        RunKey::new(self.id.clone(), self.attempt)
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("queue", &self.queue)
            .field("priority", &self.priority)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// What a worker says of a job while it holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The stage it is in.
    pub stage: Stage,
    /// What a person should know; a warning, or what was found.
    pub message: String,
    /// Whether the message is a warning.
    #[serde(default)]
    pub warning: bool,
}

impl Report {
    /// A message of a stage.
    pub fn new(stage: Stage, message: impl Into<String>) -> Self {
        Self {
            stage,
            message: message.into(),
            warning: false,
        }
    }

    /// Marks it as a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.warning = true;
        self
    }
}

/// What became of a wish to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cancelled {
    /// It was waiting, and has ended as cancelled.
    Ended,
    /// A worker holds it and hears of it at its next renewal; if that worker is gone, the
    /// next one hears of it with its lease, since a run may be there to be stopped.
    Requested,
    /// It had ended before.
    AlreadyEnded,
}

/// The outcome of a job that is cancelled while nobody holds it.
pub(crate) fn cancelled_outcome() -> Outcome {
    Outcome::new(Reason::Cancelled, Stage::Lease).with_message("cancelled while it waited")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_end_is_final() {
        for next in [JobState::Waiting, JobState::Leased, JobState::Ended] {
            assert!(!JobState::Ended.may_become(next));
        }
        assert!(JobState::Leased.may_become(JobState::Leased), "a takeover");
    }

    #[test]
    fn priorities_have_the_protocol_numbers() {
        for priority in Priority::ALL {
            assert_eq!(Priority::from_level(priority.level()), Some(priority));
            assert_eq!(priority.as_str().parse(), Ok(priority));
        }
        assert!(Priority::Critical < Priority::Low);
    }

    #[test]
    fn debug_leaves_the_spec_out() {
        let spec = serde_json::json!({"env": {"TOKEN": "planted"}});
        let queue: QueueName = "q".parse().unwrap();
        let request = EnqueueRequest::new(queue.clone(), spec.clone());
        let job = Job::new("j".parse().unwrap(), queue, Priority::Low, 0, spec);
        let lease = Lease::new(job.clone(), 1, Duration::ZERO);
        let record = JobRecord::waiting(job, 0);
        let text = format!("{request:?} {lease:?} {record:?}");
        assert!(!text.contains("planted"), "{text}");
    }
}
