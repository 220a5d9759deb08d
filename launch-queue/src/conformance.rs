//! What every queue must do (feature `conformance`).
//!
//! An adapter's test gives a [`Harness`] and runs every case, each against a fresh and
//! empty queue. A case that fails panics and says what was broken.
//!
//! ```
//! # #[derive(Debug)] struct Memory(Arc<MemoryQueue>, ManualClock);
//! use std::sync::Arc;
//! use std::time::Duration;
//! use launch_queue::QueueAdmin;
//! use launch_queue::clock::ManualClock;
//! use launch_queue::conformance::{self, Harness};
//! use launch_queue::memory::MemoryQueue;
//!
//! #[async_trait::async_trait]
//! impl Harness for Memory {
//!     async fn handle(&self) -> Arc<dyn QueueAdmin> {
//!         self.0.clone()
//!     }
//!
//!     async fn advance(&self, by: Duration) {
//!         self.1.advance(by);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! conformance::run_all(|| async {
//!     let clock = ManualClock::at_ms(0);
//!     let queue = MemoryQueue::new().with_clock(clock.clone());
//!     Arc::new(Memory(Arc::new(queue), clock)) as Arc<dyn Harness>
//! })
//! .await;
//! # }
//! ```
//!
//! [`for_each_queue_case!`](crate::for_each_queue_case) names every case, for a test
//! function each.

mod cancelling;
mod configuring;
mod content;
mod dropping;
mod enqueueing;
mod fencing;
mod finishing;
mod holding;
mod listing;
mod ordering;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::{Outcome, Reason, Stage};
use serde_json::json;

pub use self::cancelling::*;
pub use self::configuring::*;
pub use self::content::*;
pub use self::dropping::*;
pub use self::enqueueing::*;
pub use self::fencing::*;
pub use self::finishing::*;
pub use self::holding::*;
pub use self::listing::*;
pub use self::ordering::*;
use crate::QueueAdmin;
use crate::error::Error;
use crate::job::{EnqueueRequest, JobRecord, Lease, LeaseRequest};

/// One store under test, and its time.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// Another handle on the same store: a connection of its own, where the adapter has
    /// such a thing.
    async fn handle(&self) -> Arc<dyn QueueAdmin>;

    /// Lets time pass, for the store and all its handles. Between two calls of this, the
    /// store's time should stand still, or nearly: no case takes longer than 30 s.
    async fn advance(&self, by: Duration);
}

/// Calls a macro with the name of every case, after what else it is given in brackets.
///
/// ```
/// macro_rules! count {
///     ([$prefix:literal] $($case:ident)*) => {
///         [$(concat!($prefix, stringify!($case))),*]
///     };
/// }
/// let cases = launch_queue::for_each_queue_case!(count, ["memory::"]);
/// assert!(cases.contains(&"memory::finishing_twice_is_one_finish"));
/// ```
#[macro_export]
macro_rules! for_each_queue_case {
    ($callback:ident, [$($given:tt)*]) => {
        $callback! { [$($given)*]
            a_job_id_is_enqueued_once
            a_job_id_of_another_job_is_refused
            made_ids_are_distinct_and_fit_names
            concurrent_enqueues_of_one_id_are_one_job
            two_workers_never_hold_one_job
            an_expired_lease_is_taken_over_by_one_worker
            a_takeover_keeps_the_attempt_and_raises_the_fence
            a_renewed_lease_does_not_expire
            an_expired_hold_that_nobody_took_can_be_renewed
            a_stale_hold_is_refused_on_every_call
            a_hold_that_put_its_job_back_is_stale
            a_hold_of_the_future_is_stale
            a_job_that_does_not_exist_is_unknown
            an_ended_job_refuses_its_last_holder
            finishing_twice_is_one_finish
            finishing_after_another_holder_is_stale
            an_expired_hold_that_nobody_took_can_finish
            a_finished_job_is_never_leased_again
            a_requeue_keeps_id_priority_and_age_and_raises_the_attempt
            a_requeue_waits
            a_requeued_job_is_never_missing
            urgent_jobs_come_first
            priority_decides_across_queues
            equals_come_in_the_order_of_queues_then_of_age
            an_expired_job_keeps_its_place
            a_job_is_not_leased_before_its_time
            only_one_job_can_be_asked_for
            queues_not_asked_for_are_left_alone
            cancelling_a_waiting_job_ends_it
            cancelling_a_held_job_tells_its_holder
            the_jobs_asked_to_stop_are_told_at_once
            cancelling_an_expired_job_tells_the_next_holder
            cancelling_an_ended_job_changes_nothing
            a_job_cancelled_while_held_is_not_put_back
            specs_come_out_as_they_went_in
            large_specs_come_out_as_they_went_in
            a_spec_that_cannot_be_read_back_is_refused
            reports_keep_their_order
            reports_are_bounded
            outcomes_come_out_as_they_went_in
            queues_are_listed_with_their_counts
            jobs_are_listed_newest_first
            a_record_follows_its_job
            a_worker_finds_what_it_holds
            settings_come_out_as_they_went_in
            a_template_is_filled_when_a_job_is_submitted
            what_the_settings_do_not_allow_is_refused
            a_paused_queue_gives_nothing_out
            a_dropped_enqueue_is_done_or_not_done
            a_dropped_lease_is_done_or_not_done
            a_dropped_write_is_done_or_not_done
        }
    };
}

/// Runs every case, one after another, each on what `fresh` gives.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn run_all<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Harness>>,
{
    macro_rules! run {
        ([$fresh:ident] $($case:ident)*) => {
            $(
                tracing::debug!(case = stringify!($case), "running");
                Box::pin($case($fresh().await)).await;
            )*
        };
    }
    for_each_queue_case!(run, [fresh]);
}

/// How long leases last here, unless a case says otherwise. Longer than a case takes, for
/// stores whose time does not stand still.
const TTL: Duration = Duration::from_mins(10);

/// Enough for a lease to have expired.
const PAST_TTL: Duration = Duration::from_secs(601);

fn queue_name(name: &str) -> QueueName {
    name.parse().expect("a queue name")
}

fn worker(name: &str) -> WorkerName {
    name.parse().expect("a worker name")
}

fn job_id(id: &str) -> JobId {
    id.parse().expect("a job id")
}

/// A job for the queue that most cases use.
fn job() -> EnqueueRequest {
    EnqueueRequest::new(queue_name("q"), json!({"entry": "train.py"}))
}

fn lease_from(queues: &[&str]) -> LeaseRequest {
    let queues = queues.iter().map(|name| queue_name(name)).collect();
    LeaseRequest::new(queues, worker("w"), TTL)
}

fn done(message: &str) -> Outcome {
    Outcome::new(Reason::Succeeded, Stage::Watch).with_message(message)
}

async fn enqueued(queue: &dyn QueueAdmin, request: EnqueueRequest) -> JobId {
    queue.enqueue(request).await.expect("enqueue a job")
}

/// What a lease from `q` gives, which may be nothing.
async fn maybe_leased(queue: &dyn QueueAdmin) -> Option<Lease> {
    queue.lease(lease_from(&["q"])).await.expect("lease a job")
}

async fn leased(queue: &dyn QueueAdmin) -> Lease {
    maybe_leased(queue)
        .await
        .expect("a job can be leased from `q`")
}

async fn record(queue: &dyn QueueAdmin, job: &JobId) -> JobRecord {
    let found = queue.job(job).await.expect("look up a job");
    found.unwrap_or_else(|| panic!("job `{job}` is known"))
}

fn assert_stale<T>(answer: Result<T, Error>, call: &str) {
    match answer {
        Err(Error::Stale { .. }) => {}
        Err(other) => panic!("`{call}` by a stale hold answers `{other}`"),
        Ok(_) => panic!("`{call}` by a stale hold is accepted"),
    }
}

fn assert_ended<T>(answer: Result<T, Error>, call: &str) {
    match answer {
        Err(Error::Ended(_)) => {}
        Err(other) => panic!("`{call}` on an ended job answers `{other}`"),
        Ok(_) => panic!("`{call}` on an ended job is accepted"),
    }
}

fn assert_unknown<T>(answer: Result<T, Error>, call: &str) {
    match answer {
        Err(Error::Unknown(_)) => {}
        Err(other) => panic!("`{call}` on an unknown job answers `{other}`"),
        Ok(_) => panic!("`{call}` on an unknown job is accepted"),
    }
}
