//! What people see.

use std::sync::Arc;
use std::time::Duration;

use super::{Harness, TTL, done, enqueued, job, job_id, leased, queue_name, record, worker};
use crate::job::{EnqueueRequest, JobRecord, JobState, LeaseRequest, QueueRecord};

/// Queues are listed by name, those without jobs too, and creating is repeatable.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn queues_are_listed_with_their_counts(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    assert_eq!(queue.queues().await.expect("list queues"), []);
    for name in ["z", "empty", "empty"] {
        queue.create(&queue_name(name)).await.expect("create");
    }
    for wait in [Duration::ZERO, Duration::ZERO, Duration::ZERO, TTL] {
        enqueued(&*queue, job().with_not_before(wait)).await;
    }
    queue
        .finish(&leased(&*queue).await.hold, done(""))
        .await
        .expect("finish");
    leased(&*queue).await;
    let mut q = QueueRecord::empty(queue_name("q"));
    (q.waiting, q.leased, q.ended) = (2, 1, 1);
    let empty = |name| QueueRecord::empty(queue_name(name));
    let listed = queue.queues().await.expect("list queues");
    assert_eq!(listed, [empty("empty"), q, empty("z")]);
}

/// The newest jobs of one queue, no more than were asked for.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn jobs_are_listed_newest_first(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for number in 0..5 {
        enqueued(&*queue, job().with_id(job_id(&format!("job-{number}")))).await;
        let other = EnqueueRequest::new(queue_name("other"), job().spec);
        enqueued(&*queue, other).await;
    }
    // Neither a lease nor an end moves a job.
    queue
        .finish(&leased(&*queue).await.hold, done(""))
        .await
        .expect("finish");
    leased(&*queue).await;
    for (limit, expected) in [(0, 0), (3, 3), (usize::MAX, 5)] {
        let jobs = queue
            .jobs(&queue_name("q"), limit)
            .await
            .expect("list jobs");
        let ids: Vec<String> = jobs
            .iter()
            .map(|record| record.job.id.to_string())
            .collect();
        let newest: Vec<String> = (0..5)
            .rev()
            .take(expected)
            .map(|number| format!("job-{number}"))
            .collect();
        assert_eq!(ids, newest, "with limit {limit}");
    }
    assert_eq!(
        queue.jobs(&queue_name("none"), 9).await.expect("list jobs"),
        []
    );
}

/// A record shows where its job stands, at every step.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_record_follows_its_job(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let waiting = record(&*queue, &id).await;
    assert_eq!((waiting.state, waiting.fence), (JobState::Waiting, 0));
    assert_eq!(
        (&waiting.worker, waiting.ended_at_ms, &waiting.outcome),
        (&None, None, &None)
    );
    assert!(!waiting.cancel_requested);

    let lease = leased(&*queue).await;
    let held = record(&*queue, &id).await;
    assert_eq!(
        (held.state, held.fence),
        (JobState::Leased, lease.hold.fence)
    );
    assert_eq!(held.worker, Some(worker("w")));
    assert_eq!(held.job, lease.job);

    harness.advance(Duration::from_mins(1)).await;
    queue
        .finish(&lease.hold, done("done"))
        .await
        .expect("finish");
    let ended = record(&*queue, &id).await;
    assert_eq!(
        (ended.state, ended.outcome),
        (JobState::Ended, Some(done("done")))
    );
    assert_eq!(ended.enqueued_at_ms, waiting.enqueued_at_ms);
    let ended_at = ended.ended_at_ms.expect("an ended job has its time");
    assert!(
        ended_at >= ended.enqueued_at_ms + 60_000,
        "{ended_at} is too early"
    );
    assert_eq!(ended.worker, Some(worker("w")), "who held it last");
}

/// A worker's newest leases, also expired ones; not those that ended, went back or went to
/// another worker. The hold of such a record is as good as the one of the lease.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_worker_finds_what_it_holds(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let lease = async |name: &str| {
        let request = LeaseRequest::new(vec![queue_name("q")], worker(name), TTL);
        queue.lease(request).await.expect("lease").expect("a job")
    };
    for _ in 0..5 {
        enqueued(&*queue, job()).await;
    }
    let (kept, ended, back) = (lease("a").await, lease("a").await, lease("a").await);
    let other = lease("b").await;
    queue.finish(&ended.hold, done("")).await.expect("finish");
    queue.requeue(&back.hold, TTL * 9).await.expect("requeue");
    let held = async |name: &str| {
        let records = queue.held(&worker(name)).await.expect("list the held");
        records.iter().map(JobRecord::hold).collect::<Vec<_>>()
    };
    assert_eq!(held("a").await, std::slice::from_ref(&kept.hold));
    assert_eq!(held("b").await, [other.hold]);
    assert_eq!(held("nobody").await, []);
    harness.advance(TTL * 2).await;
    let record = queue
        .held(&worker("a"))
        .await
        .expect("list the held")
        .remove(0);
    queue
        .renew(&record.hold(), TTL)
        .await
        .expect("nobody took it over");
}
