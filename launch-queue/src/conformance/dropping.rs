//! Calls whose caller goes away.
//!
//! Each call is dropped after it was polled for some number of times, from none to enough
//! for it to complete, so that the drop falls on every point where it can wait.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Harness, PAST_TTL, TTL, done, enqueued, job, job_id, lease_from, leased, maybe_leased, record,
};
use crate::QueueAdmin;
use crate::job::{Hold, JobState};

/// How many times a call is let go on before it is dropped.
const PATIENCE: [u32; 6] = [0, 1, 2, 5, 50, 1_000];

/// Polls `call` until it is ready, or until the scheduler has come by `turns` times.
async fn drop_after<T>(turns: u32, call: impl Future<Output = T>) -> Option<T> {
    let patience = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = patience => None,
    }
}

/// Enqueueing again after a drop gives one job, whether or not the first call was done.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_dropped_enqueue_is_done_or_not_done(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for turns in PATIENCE {
        let request = || job().with_id(job_id(&format!("dropped-{turns}")));
        drop_after(turns, queue.enqueue(request())).await;
        let id = enqueued(&*queue, request()).await;
        let lease = leased(&*queue).await;
        assert_eq!((lease.job.id, lease.job.spec), (id, request().spec));
        queue.finish(&lease.hold, done("")).await.expect("finish");
        assert!(
            maybe_leased(&*queue).await.is_none(),
            "a dropped enqueue made a second job"
        );
    }
}

/// A lease that nobody heard of expires like any other; until then the job is held or
/// waits.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_dropped_lease_is_done_or_not_done(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for turns in PATIENCE {
        let id = enqueued(&*queue, job()).await;
        drop_after(turns, queue.lease(lease_from(&["q"]))).await;
        let seen = record(&*queue, &id).await;
        let is_whole = match seen.state {
            JobState::Waiting => (seen.fence, &seen.worker) == (0, &None),
            JobState::Leased => seen.fence == 1 && seen.worker.is_some(),
            JobState::Ended => false,
        };
        assert!(is_whole, "half a lease: {seen:?}");
        harness.advance(PAST_TTL).await;
        let lease = leased(&*queue).await;
        assert_eq!(lease.job.id, id);
        assert_eq!(lease.hold.fence, seen.fence + 1);
        queue.finish(&lease.hold, done("")).await.expect("finish");
    }
}

/// The calls of a holder, dropped, leave a job that the holder can still bring to its end.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_dropped_write_is_done_or_not_done(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for turns in PATIENCE {
        enqueued(&*queue, job()).await;
        let hold = leased(&*queue).await.hold;
        drop_after(turns, queue.renew(&hold, TTL)).await;
        queue
            .renew(&hold, TTL)
            .await
            .expect("renew after a dropped renewal");
        let hold = requeued(&*queue, hold, turns).await;
        drop_after(turns, queue.finish(&hold, done("done"))).await;
        queue
            .finish(&hold, done("done"))
            .await
            .expect("finish after a dropped finish");
        let ended = record(&*queue, &hold.job).await;
        assert_eq!(
            (ended.state, ended.outcome),
            (JobState::Ended, Some(done("done")))
        );
    }
}

/// Drops a requeue; answers the hold of who has the job then.
async fn requeued(queue: &dyn QueueAdmin, hold: Hold, turns: u32) -> Hold {
    drop_after(turns, queue.requeue(&hold, Duration::ZERO)).await;
    let seen = record(queue, &hold.job).await;
    match (seen.state, seen.job.attempt) {
        (JobState::Leased, 0) => hold,
        (JobState::Waiting, 1) => leased(queue).await.hold,
        _ => panic!("half a requeue: {seen:?}"),
    }
}
