//! Who may not write.

use std::sync::Arc;
use std::time::Duration;

use launch_config::outcome::Stage;

use super::{
    Harness, PAST_TTL, TTL, assert_ended, assert_stale, assert_unknown, done, enqueued, job,
    job_id, leased, record,
};
use crate::QueueAdmin;
use crate::job::{Hold, Report};

fn report() -> Report {
    Report::new(Stage::Build, "building")
}

/// Every call with `hold` is refused as stale, and the job stays as it is.
async fn assert_powerless(queue: &dyn QueueAdmin, hold: &Hold) {
    let before = record(queue, &hold.job).await;
    assert_stale(queue.renew(hold, TTL).await, "renew");
    assert_stale(queue.report(hold, report()).await, "report");
    assert_stale(queue.finish(hold, done("stale")).await, "finish");
    assert_stale(queue.requeue(hold, Duration::ZERO).await, "requeue");
    assert_eq!(
        record(queue, &hold.job).await,
        before,
        "a refused call has changed the job"
    );
}

/// After a takeover, the old holder can do nothing, while the job runs and when it ended.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_stale_hold_is_refused_on_every_call(harness: Arc<dyn Harness>) {
    let (queue, other) = (harness.handle().await, harness.handle().await);
    enqueued(&*queue, job()).await;
    let old = leased(&*queue).await;
    harness.advance(PAST_TTL).await;
    let new = leased(&*other).await;
    assert_powerless(&*queue, &old.hold).await;
    other
        .renew(&new.hold, TTL)
        .await
        .expect("the new holder is not disturbed");
    other.finish(&new.hold, done("new")).await.expect("finish");
    assert_powerless(&*queue, &old.hold).await;
}

/// Putting a job back ends the hold for good: whether the job then waits, is held by
/// another, or ended without ever being held again.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_hold_that_put_its_job_back_is_stale(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let first = leased(&*queue).await;
    queue
        .requeue(&first.hold, Duration::ZERO)
        .await
        .expect("requeue");
    assert_powerless(&*queue, &first.hold).await;
    let second = leased(&*queue).await;
    assert_powerless(&*queue, &first.hold).await;
    queue
        .requeue(&second.hold, Duration::ZERO)
        .await
        .expect("requeue");
    queue.cancel(&id).await.expect("cancel");
    assert_powerless(&*queue, &second.hold).await;
}

/// A fence that was never given is no better than one that was given long ago.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_hold_of_the_future_is_stale(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    for fence in [0, 1, u64::MAX] {
        assert_powerless(
            &*queue,
            &Hold {
                job: id.clone(),
                fence,
            },
        )
        .await;
    }
    leased(&*queue).await;
    for fence in [0, 2, u64::MAX] {
        assert_powerless(
            &*queue,
            &Hold {
                job: id.clone(),
                fence,
            },
        )
        .await;
    }
}

/// Calls on a job that does not exist say so.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_job_that_does_not_exist_is_unknown(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let hold = Hold {
        job: job_id("nobody"),
        fence: 1,
    };
    assert_unknown(queue.renew(&hold, TTL).await, "renew");
    assert_unknown(queue.report(&hold, report()).await, "report");
    assert_unknown(queue.finish(&hold, done("")).await, "finish");
    assert_unknown(queue.requeue(&hold, Duration::ZERO).await, "requeue");
    assert_unknown(queue.cancel(&hold.job).await, "cancel");
    assert_eq!(queue.job(&hold.job).await.expect("look up"), None);
}

/// Who has ended a job hears that it has ended, and cannot revive it.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn an_ended_job_refuses_its_last_holder(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let hold = leased(&*queue).await.hold;
    queue.finish(&hold, done("done")).await.expect("finish");
    let before = record(&*queue, &id).await;
    assert_ended(queue.renew(&hold, TTL).await, "renew");
    assert_ended(queue.report(&hold, report()).await, "report");
    assert_ended(queue.requeue(&hold, Duration::ZERO).await, "requeue");
    assert_eq!(
        record(&*queue, &id).await,
        before,
        "a refused call has changed the job"
    );
}
