//! One holder at a time.

use std::collections::HashMap;
use std::sync::Arc;

use launch_config::id::JobId;
use tokio::task::JoinSet;

use super::{
    Harness, PAST_TTL, TTL, done, enqueued, job, lease_from, leased, maybe_leased, queue_name,
    record, worker,
};
use crate::QueueAdmin;
use crate::job::{JobState, Lease};

const JOBS: usize = 300;

const WORKERS: usize = 8;

/// Leases and finishes until nothing is left; answers what it had.
async fn drain(queue: Arc<dyn QueueAdmin>, name: String) -> Vec<JobId> {
    let mut had = Vec::new();
    let mut request = lease_from(&["q"]);
    request.worker = worker(&name);
    while let Some(lease) = queue.lease(request.clone()).await.expect("lease a job") {
        assert_eq!(lease.hold.fence, 1, "`{}` was held before", lease.job.id);
        queue
            .finish(&lease.hold, done(&name))
            .await
            .expect("finish a job");
        had.push(lease.job.id);
    }
    had
}

/// Many workers drain hundreds of jobs, and each job has one holder.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn two_workers_never_hold_one_job(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for _ in 0..JOBS {
        enqueued(&*queue, job()).await;
    }
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn(drain(harness.handle().await, format!("worker-{number}")));
    }
    let mut times: HashMap<JobId, u32> = HashMap::new();
    for id in workers.join_all().await.into_iter().flatten() {
        *times.entry(id).or_default() += 1;
    }
    assert!(
        times.values().all(|count| *count == 1),
        "a job was held twice: {times:?}"
    );
    assert_eq!(times.len(), JOBS, "jobs were lost");
    let ended = queue.queues().await.expect("list queues")[0].ended;
    assert_eq!(ended, JOBS as u64);
}

/// Of many workers who ask at once, one takes over an expired lease.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn an_expired_lease_is_taken_over_by_one_worker(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    enqueued(&*queue, job()).await;
    leased(&*queue).await;
    harness.advance(PAST_TTL).await;
    let mut calls = JoinSet::new();
    for _ in 0..WORKERS {
        let queue = harness.handle().await;
        calls.spawn(async move { maybe_leased(&*queue).await });
    }
    let taken: Vec<Lease> = calls.join_all().await.into_iter().flatten().collect();
    assert_eq!(
        taken.len(),
        1,
        "an expired lease has {} new holders",
        taken.len()
    );
    assert_eq!(taken[0].hold.fence, 2);
}

/// A takeover is the same attempt under a larger fence; only then is the old hold stale.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_takeover_keeps_the_attempt_and_raises_the_fence(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let first = leased(&*queue).await;
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "a held job is leased again"
    );
    harness.advance(PAST_TTL).await;
    let mut request = lease_from(&["q"]);
    request.worker = worker("second");
    let second = queue
        .lease(request)
        .await
        .expect("lease")
        .expect("the lease has expired");
    assert_eq!(
        second.job, first.job,
        "a takeover changes nothing of the job"
    );
    assert!(
        second.hold.fence > first.hold.fence,
        "the fence grows with every lease"
    );
    assert_eq!(second.ttl, TTL);
    let record = record(&*queue, &id).await;
    assert_eq!(
        (record.fence, record.worker),
        (second.hold.fence, Some(worker("second")))
    );
}

/// Renewing counts from now: a lease that is renewed in time is never taken over.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_renewed_lease_does_not_expire(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    enqueued(&*queue, job()).await;
    let lease = leased(&*queue).await;
    for _ in 0..4 {
        harness.advance(TTL / 2).await;
        let renewal = queue
            .renew(&lease.hold, TTL)
            .await
            .expect("renew a live lease");
        assert!(!renewal.cancel_requested);
        assert!(
            maybe_leased(&*queue).await.is_none(),
            "a renewed lease is taken over"
        );
    }
    harness.advance(PAST_TTL).await;
    assert!(
        maybe_leased(&*queue).await.is_some(),
        "a lease expires after its last renewal"
    );
}

/// A worker that was asleep goes on with its job if nobody has taken it, and from then on
/// nobody can, even if the store has noticed the expiry.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn an_expired_hold_that_nobody_took_can_be_renewed(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let lease = leased(&*queue).await;
    harness.advance(PAST_TTL).await;
    // A lease from another queue, so that a store which tidies up has had its chance.
    let elsewhere = queue
        .lease(lease_from(&["elsewhere"]))
        .await
        .expect("lease");
    assert!(elsewhere.is_none());
    assert_eq!(
        record(&*queue, &id).await.state,
        JobState::Leased,
        "nobody put it back"
    );
    queue
        .renew(&lease.hold, TTL)
        .await
        .expect("renew an expired hold that nobody took");
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "a renewed job is leased again"
    );
    let listed = queue.jobs(&queue_name("q"), 1).await.expect("list jobs");
    assert_eq!(listed[0].fence, lease.hold.fence, "a renewal is no lease");
}
