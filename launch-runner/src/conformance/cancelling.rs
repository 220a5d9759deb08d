//! Ending runs before their time.

use std::time::Duration;

use launch_config::outcome::Reason;
use tokio::time::Instant;

use super::Harness;
use super::watching::{Seen, fresh_key, submit, wait_for_output, watch};
use crate::run::Run;

/// Longer than any test: a grace that must not be used up.
const LONG: Duration = Duration::from_mins(1);

/// Cancels `run`, and checks how long it took and that the end is `Cancelled`.
async fn cancel(run: &dyn Run, grace: Duration, limit: Duration) -> Seen {
    let before = Instant::now();
    run.cancel(grace).await.expect("a run can be cancelled");
    let seen = watch(run, 0).await;
    assert!(
        before.elapsed() < limit,
        "cancelling took {:?}",
        before.elapsed()
    );
    seen.assert_reason(Reason::Cancelled);
    seen
}

/// The program hears of it first, and may end as it likes: the end is `Cancelled`.
///
/// # Panics
/// If the program is not asked, or its code is told instead.
pub async fn cancelling_lets_the_program_tidy_up(harness: &dyn Harness) {
    let script = "trap 'echo tidy; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    let run = submit(harness, &fresh_key(), script).await;
    wait_for_output(&*run).await;
    let seen = cancel(&*run, LONG, Duration::from_secs(30)).await;
    // In between, a shell may tell what became of its children.
    assert!(
        seen.text().starts_with("up") && seen.text().ends_with("tidy"),
        "{}",
        seen.text()
    );
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A program that will not hear is ended by force once the grace is over.
///
/// # Panics
/// If it is not, or if it is before.
pub async fn cancelling_forces_after_the_grace(harness: &dyn Harness) {
    let script = "trap '' TERM; echo up; while :; do sleep 1; done";
    let run = submit(harness, &fresh_key(), script).await;
    wait_for_output(&*run).await;
    let before = Instant::now();
    cancel(&*run, Duration::from_secs(2), Duration::from_secs(30)).await;
    assert!(
        before.elapsed() >= Duration::from_millis(1900),
        "it had no grace"
    );
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A program that writes nothing is ended like any other.
///
/// # Panics
/// If it is not.
pub async fn cancelling_ends_a_silent_run(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "exec sleep 600").await;
    cancel(&*run, Duration::from_secs(5), Duration::from_secs(30)).await;
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A program that was stopped (SIGSTOP) is ended like any other.
///
/// # Panics
/// If it is not.
pub async fn cancelling_ends_a_stopped_run(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "echo up; kill -STOP $$; sleep 600").await;
    wait_for_output(&*run).await;
    cancel(&*run, Duration::from_secs(2), Duration::from_secs(30)).await;
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A run that was cancelled before its program started never starts it.
///
/// # Panics
/// If it does.
pub async fn cancelling_before_the_start(harness: &dyn Harness) {
    let key = fresh_key();
    let request = harness.script(key.clone(), "echo started");
    let Some(handle) = harness.abandon(request.clone()).await else {
        return;
    };
    let run = harness
        .open()
        .await
        .attach(&handle)
        .await
        .expect("something is there");
    cancel(&*run, LONG, Duration::from_secs(30)).await;
    let again = harness
        .open()
        .await
        .submit(request)
        .await
        .expect("the run is answered");
    assert_eq!(again.handle(), &handle);
    let seen = watch(&*again, 0).await;
    seen.assert_reason(Reason::Cancelled);
    assert_eq!(seen.text(), "", "it was started");
    let owned = harness
        .open()
        .await
        .owned()
        .await
        .expect("the backend answers");
    assert!(
        owned.contains(&key),
        "what is left of a cancelled run is listed"
    );
    again
        .clean_up()
        .await
        .expect("an ended run can be cleaned up");
    harness
        .open()
        .await
        .attach(&handle)
        .await
        .expect_err("nothing is left");
}

/// A run that is cancelled before anybody knows whether it has started ends as cancelled.
///
/// # Panics
/// If it does not.
pub async fn cancelling_right_after_the_submit(harness: &dyn Harness) {
    let key = fresh_key();
    let run = submit(harness, &key, "exec sleep 600").await;
    cancel(&*run, Duration::from_secs(1), Duration::from_secs(30)).await;
    let again = submit(harness, &key, "exec sleep 600").await;
    watch(&*again, 0).await.assert_reason(Reason::Cancelled);
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// Cancelling a run that ended by itself is `Ok`, and it keeps its end.
///
/// # Panics
/// If the end changes.
pub async fn cancelling_an_ended_run_changes_nothing(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "exit 4").await;
    watch(&*run, 0)
        .await
        .assert_reason(Reason::Failed { code: 4 });
    run.cancel(LONG).await.expect("there is nothing to cancel");
    watch(&*run, 0)
        .await
        .assert_reason(Reason::Failed { code: 4 });
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// That a run was cancelled is known to whoever attaches or submits later.
///
/// # Panics
/// If they are told its exit code instead.
pub async fn a_later_watcher_sees_the_cancel(harness: &dyn Harness) {
    let key = fresh_key();
    let script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done";
    let run = submit(harness, &key, script).await;
    wait_for_output(&*run).await;
    run.cancel(LONG).await.expect("a run can be cancelled");
    let handle = run.handle().clone();
    drop(run);
    let attached = harness
        .open()
        .await
        .attach(&handle)
        .await
        .expect("the run is known");
    let again = submit(harness, &key, script).await;
    for run in [&attached, &again] {
        watch(&**run, 0).await.assert_reason(Reason::Cancelled);
    }
    again.cancel(LONG).await.expect("cancelling twice is once");
    attached
        .clean_up()
        .await
        .expect("an ended run can be cleaned up");
}
