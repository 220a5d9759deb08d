//! Holding a job for a while.

use std::time::Duration;

use launch_config::id::{JobId, QueueName, WorkerName};
use serde::{Deserialize, Serialize};

use super::Job;

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
