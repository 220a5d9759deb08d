//! What is put into a queue.

use std::fmt;
use std::time::Duration;

use launch_config::id::{JobId, QueueName};
use serde_json::Value;

use super::Priority;

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
