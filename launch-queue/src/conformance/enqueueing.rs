//! Putting jobs in.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;
use tokio::task::JoinSet;

use super::{Harness, enqueued, job, job_id, leased, maybe_leased, queue_name, record};
use crate::error::Error;
use crate::job::{EnqueueRequest, Priority};

/// Enqueueing the same job under the same id again is no new job, before and after it ran.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_job_id_is_enqueued_once(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let request = || job().with_id(job_id("once"));
    for _ in 0..2 {
        assert_eq!(enqueued(&*queue, request()).await, job_id("once"));
    }
    enqueued(&*queue, request().with_priority(Priority::Critical)).await;
    let lease = leased(&*queue).await;
    assert_eq!(
        lease.job.priority,
        Priority::Medium,
        "the first call's priority stays"
    );
    assert!(maybe_leased(&*queue).await.is_none(), "one id is two jobs");
    enqueued(&*queue, request()).await;
    queue
        .finish(&lease.hold, super::done("done"))
        .await
        .expect("finish");
    enqueued(&*queue, request()).await;
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "enqueueing again revives an ended job"
    );
}

/// An id that is taken by another spec or queue is refused, and nothing is changed.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_job_id_of_another_job_is_refused(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job().with_id(job_id("taken"))).await;
    let before = record(&*queue, &id).await;
    let other_spec = EnqueueRequest::new(queue_name("q"), json!("another"));
    let other_queue = EnqueueRequest::new(queue_name("elsewhere"), job().spec);
    for request in [other_spec, other_queue] {
        let answer = queue.enqueue(request.with_id(id.clone())).await;
        assert!(
            matches!(answer, Err(Error::Conflict(_))),
            "a taken id gives {answer:?}"
        );
    }
    assert_eq!(record(&*queue, &id).await, before);
    let queues = queue.queues().await.expect("list queues");
    assert_eq!(queues.len(), 1, "a refused job made a queue");
    let jobs = queue.jobs(&queue_name("q"), 10).await.expect("list jobs");
    assert_eq!(jobs.len(), 1, "a refused job is there");
}

/// Ids that the queue makes are distinct, also across handles.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn made_ids_are_distinct_and_fit_names(harness: Arc<dyn Harness>) {
    let handles = [harness.handle().await, harness.handle().await];
    let mut ids = HashSet::new();
    for round in 0..50 {
        let id = enqueued(&*handles[round % 2], job()).await;
        assert!(!id.as_str().is_empty());
        assert!(ids.insert(id.clone()), "id `{id}` was given twice");
    }
}

/// Many callers who enqueue one id at once make one job.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn concurrent_enqueues_of_one_id_are_one_job(harness: Arc<dyn Harness>) {
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let queue = harness.handle().await;
        calls.spawn(async move { queue.enqueue(job().with_id(job_id("race"))).await });
    }
    for answer in calls.join_all().await {
        assert_eq!(answer.expect("enqueue"), job_id("race"));
    }
    let queue = harness.handle().await;
    leased(&*queue).await;
    assert!(maybe_leased(&*queue).await.is_none(), "one id is two jobs");
}
