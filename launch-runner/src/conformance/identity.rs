//! One key, one run, found again.

use std::time::Duration;

use futures_util::future::join_all;
use launch_config::outcome::Reason;

use super::Harness;
use super::watching::{fresh_key, submit, watch};
use crate::Error;
use crate::run::{RunHandle, run_name};

/// Prints a line that no other start of it would print.
const ONCE: &str = "cat /proc/sys/kernel/random/uuid; sleep 1";

/// The same key twice is one run: while it runs, after it ended, from another process.
///
/// # Panics
/// If the program was started twice.
pub async fn one_key_is_one_run(harness: &dyn Harness) {
    let key = fresh_key();
    let first = submit(harness, &key, ONCE).await;
    let second = submit(harness, &key, ONCE).await;
    assert_eq!(first.handle(), second.handle());
    let seen = watch(&*first, 0).await;
    assert!(!seen.text().is_empty());
    let third = submit(harness, &key, ONCE).await;
    for run in [second, third] {
        assert_eq!(watch(&*run, 0).await.text(), seen.text());
    }
    first
        .clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// The same key eight times at once is one run.
///
/// # Panics
/// If the program was started twice, or one of the calls fails.
pub async fn submitting_at_once_is_one_run(harness: &dyn Harness) {
    let key = fresh_key();
    let runs = join_all((0..8).map(|_| submit(harness, &key, ONCE))).await;
    let seen = join_all(runs.iter().map(|run| watch(&**run, 0))).await;
    for one in &seen {
        one.assert_reason(Reason::Succeeded);
        assert_eq!(one.text(), seen[0].text());
    }
    runs[0]
        .clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A run goes on when its client is dropped, and a stored handle finds it.
///
/// # Panics
/// If it does not.
pub async fn a_run_outlives_its_client(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "sleep 2; echo done; exit 5").await;
    let stored = serde_json::to_string(run.handle()).expect("a handle can be stored");
    drop(run);
    let handle: RunHandle = serde_json::from_str(&stored).expect("a stored handle reads back");
    let run = harness
        .open()
        .await
        .attach(&handle)
        .await
        .expect("the run is still there");
    assert_eq!(run.handle(), &handle);
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Failed { code: 5 });
    assert_eq!(seen.text(), "done");
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A handle of another runner is not taken, and one of a run that never was is lost.
///
/// # Panics
/// If they are taken.
pub async fn a_foreign_handle_is_refused(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "exit 0").await;
    let runner = harness.open().await;
    let key = run.handle().key.clone();
    let foreign = RunHandle::new("abacus", key, run.handle().id.clone());
    let error = runner
        .attach(&foreign)
        .await
        .expect_err("the handle is foreign");
    assert!(matches!(error, Error::Handle { .. }), "{error:?}");

    let key = fresh_key();
    let id = run_name(&key);
    let never = RunHandle::new(run.handle().runner.clone(), key, id);
    let error = runner
        .attach(&never)
        .await
        .expect_err("there was no such run");
    assert!(matches!(error, Error::Lost(_)), "{error:?}");
    watch(&*run, 0).await;
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A running run cannot be cleaned up, an ended one can, twice; then it is lost.
///
/// # Panics
/// If something is left, or a running run was removed.
pub async fn cleaning_up_leaves_nothing(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "sleep 2").await;
    run.clean_up().await.expect_err("the run has not ended");
    watch(&*run, 0).await.assert_reason(Reason::Succeeded);
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
    run.clean_up().await.expect("cleaning up twice is once");
    let runner = harness.open().await;
    let error = runner
        .attach(run.handle())
        .await
        .expect_err("nothing is left");
    assert!(matches!(error, Error::Lost(_)), "{error:?}");
    let owned = runner.owned().await.expect("the backend answers");
    assert!(
        !owned.contains(&run.handle().key),
        "a removed run is still listed"
    );
}

/// `owned` lists running and ended runs by their keys, odd ones included.
///
/// # Panics
/// If one is missing.
pub async fn owned_runs_are_listed(harness: &dyn Harness) {
    let mut odd = fresh_key();
    odd.job = format!("{}=/:X", odd.job)
        .parse()
        .expect("queues give such ids");
    odd.attempt = 7;
    let keys = [fresh_key(), odd];
    let running = submit(harness, &keys[0], "sleep 2").await;
    let ended = submit(harness, &keys[1], "exit 0").await;
    watch(&*ended, 0).await;
    let owned = harness
        .open()
        .await
        .owned()
        .await
        .expect("the backend answers");
    for key in &keys {
        assert!(owned.contains(key), "{key} is not among {owned:?}");
    }
    watch(&*running, 0).await;
    for run in [running, ended] {
        run.clean_up()
            .await
            .expect("an ended run can be cleaned up");
    }
}

/// A submit that is dropped at any moment leaves a run or none; the next one has it run
/// once.
///
/// # Panics
/// If it runs twice, or not.
pub async fn a_dropped_submit_is_finished_by_the_next(harness: &dyn Harness) {
    let step = |step: u32| async move {
        let key = fresh_key();
        let dropped =
            tokio::time::timeout(Duration::from_millis(7) * step, submit(harness, &key, ONCE));
        // Dropped or done, both may happen.
        let _ = dropped.await;
        let runs = join_all([submit(harness, &key, ONCE), submit(harness, &key, ONCE)]).await;
        let seen = join_all(runs.iter().map(|run| watch(&**run, 0))).await;
        seen[0].assert_reason(Reason::Succeeded);
        assert_eq!(seen[0].text().lines().count(), 1, "{}", seen[0].text());
        assert_eq!(seen[0].text(), seen[1].text());
        runs[0]
            .clean_up()
            .await
            .expect("an ended run can be cleaned up");
    };
    join_all((0..12).map(step)).await;
}
