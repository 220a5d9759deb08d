//! Ending a job, and putting it back.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::{
    Harness, PAST_TTL, assert_stale, done, enqueued, job, leased, maybe_leased, queue_name, record,
};
use crate::job::{JobState, Priority};

/// The first finish decides; the same call again, or another outcome, changes nothing.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn finishing_twice_is_one_finish(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let hold = leased(&*queue).await.hold;
    queue.finish(&hold, done("first")).await.expect("finish");
    let ended = record(&*queue, &id).await;
    assert_eq!(
        (ended.state, &ended.outcome),
        (JobState::Ended, &Some(done("first")))
    );
    harness.advance(PAST_TTL).await;
    for message in ["first", "second"] {
        let repeated = queue.finish(&hold, done(message)).await;
        repeated.expect("finishing again with the same hold");
        assert_eq!(record(&*queue, &id).await, ended, "the first outcome stays");
    }
}

/// Who lost the job cannot finish it, nor is told that it did.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn finishing_after_another_holder_is_stale(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let old = leased(&*queue).await.hold;
    harness.advance(PAST_TTL).await;
    let new = leased(&*queue).await.hold;
    queue.finish(&new, done("new")).await.expect("finish");
    assert_stale(queue.finish(&old, done("old")).await, "finish");
    assert_eq!(record(&*queue, &id).await.outcome, Some(done("new")));
}

/// An expiry alone takes nothing from a worker.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn an_expired_hold_that_nobody_took_can_finish(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let hold = leased(&*queue).await.hold;
    harness.advance(PAST_TTL).await;
    queue
        .finish(&hold, done("late"))
        .await
        .expect("finish with the newest hold");
    assert_eq!(record(&*queue, &id).await.outcome, Some(done("late")));
}

/// The end is final, whatever time passes.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_finished_job_is_never_leased_again(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let hold = leased(&*queue).await.hold;
    queue.finish(&hold, done("done")).await.expect("finish");
    harness.advance(PAST_TTL * 100).await;
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "an ended job is leased"
    );
    assert_eq!(record(&*queue, &id).await.state, JobState::Ended);
}

/// A job that was put back is the same job, at its place, one attempt later.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_requeue_keeps_id_priority_and_age_and_raises_the_attempt(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let urgent = || job().with_priority(Priority::High);
    let id = enqueued(&*queue, urgent()).await;
    enqueued(&*queue, urgent()).await;
    for attempt in 0..3 {
        let lease = leased(&*queue).await;
        assert_eq!(
            lease.job.id, id,
            "an older job has lost its place by a requeue"
        );
        assert_eq!(lease.job.attempt, attempt);
        assert_eq!(lease.hold.fence, u64::from(attempt) + 1);
        assert_eq!(lease.job.run_key().attempt, attempt);
        queue
            .requeue(&lease.hold, Duration::ZERO)
            .await
            .expect("requeue");
        let waiting = record(&*queue, &id).await;
        assert_eq!(waiting.state, JobState::Waiting);
        assert_eq!(waiting.job.attempt, attempt + 1);
        assert_eq!(waiting.job.priority, Priority::High);
    }
}

/// A job that was put back for later is not leased before.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_requeue_waits(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    enqueued(&*queue, job()).await;
    let hold = leased(&*queue).await.hold;
    queue
        .requeue(&hold, Duration::from_mins(5))
        .await
        .expect("requeue");
    harness.advance(Duration::from_secs(200)).await;
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "it was leased before its wait was over"
    );
    harness.advance(Duration::from_secs(100)).await;
    assert_eq!(leased(&*queue).await.job.attempt, 1);
}

/// Whoever looks during a requeue sees the job, held or waiting, and its count is one.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_requeued_job_is_never_missing(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let mut watchers = JoinSet::new();
    for _ in 0..3 {
        let (queue, id) = (harness.handle().await, id.clone());
        watchers.spawn(async move {
            for _ in 0..60 {
                let seen = record(&*queue, &id).await;
                let is_consistent = match seen.state {
                    JobState::Leased => seen.fence == u64::from(seen.job.attempt) + 1,
                    JobState::Waiting => seen.fence == u64::from(seen.job.attempt),
                    JobState::Ended => false,
                };
                assert!(is_consistent, "half a requeue is seen: {seen:?}");
                let jobs = queue.jobs(&queue_name("q"), 10).await.expect("list jobs");
                assert_eq!(
                    jobs.len(),
                    1,
                    "a requeue makes the job vanish or appear twice"
                );
            }
        });
    }
    for _ in 0..60 {
        let lease = leased(&*queue).await;
        queue
            .requeue(&lease.hold, Duration::ZERO)
            .await
            .expect("requeue");
    }
    watchers.join_all().await;
}
