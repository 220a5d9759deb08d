//! Which job comes next.

use std::sync::Arc;
use std::time::Duration;

use launch_config::id::JobId;
use serde_json::json;

use super::{
    Harness, PAST_TTL, TTL, done, enqueued, job, job_id, lease_from, leased, maybe_leased,
    queue_name,
};
use crate::QueueAdmin;
use crate::job::{EnqueueRequest, Priority};

/// The job a lease from `queues` gives, for good.
async fn next(queue: &dyn QueueAdmin, queues: &[&str]) -> Option<JobId> {
    let lease = queue
        .lease(lease_from(queues))
        .await
        .expect("lease a job")?;
    queue
        .finish(&lease.hold, done(""))
        .await
        .expect("finish a job");
    Some(lease.job.id)
}

async fn put(queue: &dyn QueueAdmin, name: &str, id: &str, priority: Priority) {
    let request = EnqueueRequest::new(queue_name(name), json!(id));
    enqueued(queue, request.with_id(job_id(id)).with_priority(priority)).await;
}

async fn assert_order(queue: &dyn QueueAdmin, queues: &[&str], ids: &[&str]) {
    for id in ids {
        assert_eq!(
            next(queue, queues).await,
            Some(job_id(id)),
            "in the order {ids:?}"
        );
    }
    assert_eq!(next(queue, queues).await, None, "after {ids:?}");
}

/// Priority first, then age.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn urgent_jobs_come_first(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for round in ["1", "2"] {
        for priority in [
            Priority::Low,
            Priority::High,
            Priority::Critical,
            Priority::Medium,
        ] {
            put(&*queue, "q", &format!("{priority}-{round}"), priority).await;
        }
    }
    let order = [
        "critical-1",
        "critical-2",
        "high-1",
        "high-2",
        "medium-1",
        "medium-2",
        "low-1",
        "low-2",
    ];
    assert_order(&*queue, &["q"], &order).await;
}

/// An urgent job of the last queue goes before an ordinary one of the first.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn priority_decides_across_queues(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    put(&*queue, "first", "low", Priority::Low).await;
    put(&*queue, "first", "medium", Priority::Medium).await;
    put(&*queue, "last", "high", Priority::High).await;
    assert_order(&*queue, &["first", "last"], &["high", "medium", "low"]).await;
}

/// Of equally urgent jobs, the queue named first wins over age, and age within a queue.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn equals_come_in_the_order_of_queues_then_of_age(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for (name, id) in [
        ("b", "b1"),
        ("a", "a1"),
        ("b", "b2"),
        ("a", "a2"),
        ("c", "c1"),
    ] {
        put(&*queue, name, id, Priority::Medium).await;
    }
    // A queue that is named twice has its first place.
    let queues = ["c", "b", "a", "c", "no such queue"];
    assert_order(&*queue, &queues, &["c1", "b1", "b2", "a1", "a2"]).await;
}

/// A job whose holder is gone comes where it was, not at the end.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn an_expired_job_keeps_its_place(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    put(&*queue, "q", "old", Priority::Medium).await;
    put(&*queue, "q", "young", Priority::Medium).await;
    assert_eq!(leased(&*queue).await.job.id, job_id("old"));
    harness.advance(PAST_TTL).await;
    put(&*queue, "q", "urgent", Priority::High).await;
    assert_order(&*queue, &["q"], &["urgent", "old", "young"]).await;
}

/// A job that is held back is not leased, and does not hold up others; then its age counts.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_job_is_not_leased_before_its_time(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let later = job()
        .with_id(job_id("later"))
        .with_priority(Priority::Critical);
    enqueued(&*queue, later.with_not_before(Duration::from_mins(5))).await;
    let never = job()
        .with_id(job_id("never"))
        .with_not_before(Duration::MAX);
    enqueued(&*queue, never).await;
    put(&*queue, "q", "now", Priority::Low).await;
    assert_eq!(next(&*queue, &["q"]).await, Some(job_id("now")));
    assert_eq!(next(&*queue, &["q"]).await, None);
    harness.advance(Duration::from_secs(200)).await;
    assert_eq!(
        next(&*queue, &["q"]).await,
        None,
        "it was leased before its time"
    );
    harness.advance(Duration::from_secs(100)).await;
    assert_order(&*queue, &["q"], &["later"]).await;
}

/// A wish for one job gives that job or nothing.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn only_one_job_can_be_asked_for(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    put(&*queue, "q", "first", Priority::Critical).await;
    put(&*queue, "q", "second", Priority::Low).await;
    let only = |queues: &[&str], id| lease_from(queues).with_only(job_id(id));
    let get = |request| async { queue.lease(request).await.expect("lease a job") };
    assert!(
        get(only(&["elsewhere"], "second")).await.is_none(),
        "from a queue not asked for"
    );
    assert!(
        get(only(&["q"], "third")).await.is_none(),
        "a job that does not exist"
    );
    let lease = get(only(&["q"], "second"))
        .await
        .expect("the job asked for");
    assert_eq!(lease.job.id, job_id("second"));
    assert!(
        get(only(&["q"], "second")).await.is_none(),
        "a job that is held"
    );
    harness.advance(PAST_TTL).await;
    let again = get(only(&["q"], "second"))
        .await
        .expect("a job whose lease has expired");
    assert_eq!(again.hold.fence, 2);
    queue.requeue(&again.hold, TTL).await.expect("requeue");
    assert!(
        get(only(&["q"], "second")).await.is_none(),
        "a job that is held back"
    );
    assert_eq!(
        maybe_leased(&*queue).await.expect("the other").job.id,
        job_id("first")
    );
}

/// Queues that a worker does not name are not its business.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn queues_not_asked_for_are_left_alone(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    put(&*queue, "Q", "other-case", Priority::Critical).await;
    put(&*queue, "q2", "other", Priority::Critical).await;
    assert_eq!(next(&*queue, &["q"]).await, None);
    assert_eq!(next(&*queue, &[]).await, None);
    let queues = queue.queues().await.expect("list queues");
    assert_eq!(queues.len(), 2, "asking for a queue makes none");
}
