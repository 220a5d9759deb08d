//! Asking for a job to stop.

use std::sync::Arc;
use std::time::Duration;

use launch_config::id::JobId;
use launch_config::outcome::{Reason, Stage};

use super::{Harness, PAST_TTL, TTL, done, enqueued, job, leased, maybe_leased, record};
use crate::job::{Cancelled, JobState};

/// Nobody holds it, so it ends at once; also when it is held back.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn cancelling_a_waiting_job_ends_it(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for wait in [Duration::ZERO, TTL] {
        let id = enqueued(&*queue, job().with_not_before(wait)).await;
        assert_eq!(queue.cancel(&id).await.expect("cancel"), Cancelled::Ended);
        let ended = record(&*queue, &id).await;
        assert_eq!(ended.state, JobState::Ended);
        assert!(ended.cancel_requested && ended.ended_at_ms.is_some());
        let outcome = ended.outcome.expect("an ended job has an outcome");
        assert_eq!(
            (outcome.reason, outcome.stage),
            (Reason::Cancelled, Stage::Lease)
        );
    }
    harness.advance(PAST_TTL).await;
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "a cancelled job is leased"
    );
}

/// The holder hears of it with its next renewal, every time, and decides the outcome.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn cancelling_a_held_job_tells_its_holder(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let lease = leased(&*queue).await;
    assert!(!lease.cancel_requested);
    for _ in 0..2 {
        assert_eq!(
            queue.cancel(&id).await.expect("cancel"),
            Cancelled::Requested
        );
        let renewal = queue.renew(&lease.hold, TTL).await.expect("renew");
        assert!(renewal.cancel_requested, "the holder does not hear of it");
    }
    assert_eq!(
        record(&*queue, &id).await.state,
        JobState::Leased,
        "it is still held"
    );
    queue
        .finish(&lease.hold, done("too late"))
        .await
        .expect("finish");
    assert_eq!(record(&*queue, &id).await.outcome, Some(done("too late")));
}

/// One question tells of all, and only of those that are held and asked to stop.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn the_jobs_asked_to_stop_are_told_at_once(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        enqueued(&*queue, job()).await;
        ids.push(leased(&*queue).await.hold);
    }
    let all: Vec<_> = ids.iter().map(|hold| hold.job.clone()).collect();
    let asked = async |jobs: &[JobId]| queue.cancel_requested(jobs).await.expect("ask");
    assert_eq!(asked(&all).await, [], "nobody asked");
    queue.cancel(&all[1]).await.expect("cancel");
    queue.cancel(&all[2]).await.expect("cancel");
    let mut told = asked(&all).await;
    told.sort();
    let mut wanted = all[1..].to_vec();
    wanted.sort();
    assert_eq!(told, wanted);
    assert_eq!(asked(&all[..1]).await, [], "not asked for");
    queue.finish(&ids[1], done("done")).await.expect("finish");
    assert_eq!(asked(&all).await, all[2..], "an ended job is over");
    assert_eq!(asked(&[]).await, []);
}

/// A run may be there to be stopped, so the next holder gets the job, and the news.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn cancelling_an_expired_job_tells_the_next_holder(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    leased(&*queue).await;
    harness.advance(PAST_TTL).await;
    assert_eq!(
        queue.cancel(&id).await.expect("cancel"),
        Cancelled::Requested
    );
    let next = leased(&*queue).await;
    assert!(next.cancel_requested, "the next holder does not hear of it");
}

/// What has ended stays as it ended.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn cancelling_an_ended_job_changes_nothing(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let lease = leased(&*queue).await;
    queue
        .finish(&lease.hold, done("done"))
        .await
        .expect("finish");
    let before = record(&*queue, &id).await;
    assert_eq!(
        queue.cancel(&id).await.expect("cancel"),
        Cancelled::AlreadyEnded
    );
    assert_eq!(record(&*queue, &id).await, before);
}

/// A requeue does not undo a cancel: the job ends instead of waiting again.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_job_cancelled_while_held_is_not_put_back(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let lease = leased(&*queue).await;
    queue.cancel(&id).await.expect("cancel");
    queue
        .requeue(&lease.hold, Duration::ZERO)
        .await
        .expect("requeue");
    let ended = record(&*queue, &id).await;
    assert_eq!(ended.state, JobState::Ended);
    assert_eq!(
        ended.outcome.map(|outcome| outcome.reason),
        Some(Reason::Cancelled)
    );
    assert_eq!(ended.job.attempt, 0, "there is no further attempt");
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "a cancelled job is leased"
    );
}
