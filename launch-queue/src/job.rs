//! Jobs, leases and what is said of them.

use std::fmt;
use std::time::Duration;

use launch_config::id::{JobId, QueueName, RunKey, WorkerName};
use launch_config::outcome::{Outcome, Reason, Stage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::QueueSettings;

/// How many reports a queue keeps of one job, at most: the newest.
pub const MAX_REPORTS: usize = 200;

/// How urgent a job is. Critical jobs are leased first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Before everything else (0 in W&B's protocol).
    Critical,
    /// Before the ordinary (1).
    High,
    /// The ordinary (2).
    #[default]
    Medium,
    /// When nothing else waits (3).
    Low,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// W&B's number for it; lower is leased first.
    pub fn level(self) -> u8 {
        self as u8
    }

    /// The priority with this number.
    pub fn from_level(level: u8) -> Option<Self> {
        Self::ALL.get(usize::from(level)).copied()
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        ["critical", "high", "medium", "low"][usize::from(self.level())]
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not one of critical, high, medium, low"))
    }
}

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

/// Proof of who holds a job: carried by every write that follows a lease.
///
/// `fence` grows with every lease of the job, for ever. A queue refuses a hold whose
/// fence is not the newest, so a worker that slept through its lease can do no harm.
/// Serializable, so that a journal can keep it through a crash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hold {
    /// The job.
    pub job: JobId,
    /// The fencing token.
    pub fence: u64,
}

/// A job, held for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The job.
    pub job: Job,
    /// The proof of holding it.
    pub hold: Hold,
    /// How long it is held, counted from the moment the request was *sent*. A duration
    /// and no time of day: nobody need trust another host's clock.
    pub ttl: Duration,
    /// Somebody has already asked for the job to stop.
    pub cancel_requested: bool,
    /// How long the job was in the queue before its first lease, by the queue's clock; with
    /// later leases, and where the queue does not know, nothing.
    pub waited: Option<Duration>,
}

impl Lease {
    /// A lease as an adapter grants it.
    pub fn new(job: Job, fence: u64, ttl: Duration) -> Self {
        let hold = Hold {
            job: job.id.clone(),
            fence,
        };
        Self {
            job,
            hold,
            ttl,
            cancel_requested: false,
            waited: None,
        }
    }

    /// Notes when the job was enqueued and when it was leased, in the queue's own time.
    #[must_use]
    pub fn with_times(mut self, enqueued_at_ms: u64, leased_at_ms: u64) -> Self {
        let waited = Duration::from_millis(leased_at_ms.saturating_sub(enqueued_at_ms));
        self.waited = (self.hold.fence == 1).then_some(waited);
        self
    }
}

/// The answer to a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Renewal {
    /// Somebody asked for the job to stop.
    pub cancel_requested: bool,
}

impl Renewal {
    /// A renewal as an adapter grants it.
    pub fn new(cancel_requested: bool) -> Self {
        Self { cancel_requested }
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

/// A job to put into a queue.
///
/// `Debug` leaves the spec out: it may hold secrets of the user.
///
/// ```
/// use std::time::Duration;
/// use launch_queue::job::{EnqueueRequest, Priority};
///
/// let request = EnqueueRequest::new("default".parse()?, serde_json::json!({"entry": "train.py"}))
///     .with_priority(Priority::High)
///     .with_not_before(Duration::from_secs(60));
/// assert!(!format!("{request:?}").contains("train.py"));
/// # Ok::<(), launch_queue::config::id::ParseIdError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct EnqueueRequest {
    /// The queue. An adapter that can creates it on first use.
    pub queue: QueueName,
    /// The run spec.
    pub spec: Value,
    /// How urgent.
    pub priority: Priority,
    /// The id to use. Enqueueing the same id twice, with the same queue and spec, is one
    /// job, and the first call's priority stays; without it, the queue makes one.
    pub id: Option<JobId>,
    /// Not to be leased before this much time has passed.
    pub not_before: Duration,
    /// Values for the template variables of the queue, by name; null for none.
    pub template_values: Value,
}

impl EnqueueRequest {
    /// An ordinary job for `queue`, at once.
    pub fn new(queue: QueueName, spec: Value) -> Self {
        let (priority, not_before) = (Priority::default(), Duration::ZERO);
        Self {
            queue,
            spec,
            priority,
            id: None,
            not_before,
            template_values: Value::Null,
        }
    }

    /// Sets how urgent it is.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets its id, which makes the call repeatable.
    #[must_use]
    pub fn with_id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// Gives values for the template variables of the queue.
    #[must_use]
    pub fn with_template_values(mut self, values: Value) -> Self {
        self.template_values = values;
        self
    }

    /// Holds it back for a while.
    #[must_use]
    pub fn with_not_before(mut self, wait: Duration) -> Self {
        self.not_before = wait;
        self
    }
}

impl fmt::Debug for EnqueueRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnqueueRequest")
            .field("queue", &self.queue)
            .field("priority", &self.priority)
            .field("id", &self.id)
            .field("not_before", &self.not_before)
            .finish_non_exhaustive()
    }
}

/// A wish for a job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// The queues to look in. Priority decides across all of them; among equals, the
    /// order given here, then age. A job keeps its age through requeues and takeovers.
    pub queues: Vec<QueueName>,
    /// Who asks.
    pub worker: WorkerName,
    /// How long to hold it.
    pub ttl: Duration,
    /// Only this job, if it is in one of `queues`.
    pub only: Option<JobId>,
}

impl LeaseRequest {
    /// Any job of `queues`, held for `ttl`.
    pub fn new(queues: Vec<QueueName>, worker: WorkerName, ttl: Duration) -> Self {
        Self {
            queues,
            worker,
            ttl,
            only: None,
        }
    }

    /// Asks for one job and no other.
    #[must_use]
    pub fn with_only(mut self, job: JobId) -> Self {
        self.only = Some(job);
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
    /// What workers said of it, oldest first: the newest [`MAX_REPORTS`].
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

#[cfg(test)]
mod tests {
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
