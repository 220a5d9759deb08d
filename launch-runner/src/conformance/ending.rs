//! How runs end.

use std::time::Duration;

use launch_config::outcome::Reason;
use tokio::time::Instant;

use super::Harness;
use super::watching::{fresh_key, run_script, submit, wait_for_output, watch};
use crate::Error;

/// Codes arrive as the program left them; signals as 128 + n, and by name.
///
/// # Panics
/// If the runner tells another code.
pub async fn exit_codes_are_told(harness: &dyn Harness) {
    for code in [0, 1, 3, 137, 143, 255] {
        let seen = run_script(harness, &format!("echo out; exit {code}")).await;
        seen.assert_reason(Reason::of_exit_code(code));
        assert_eq!(seen.text(), "out");
        assert_eq!(seen.end.message.is_empty(), code == 0, "{:?}", seen.end);
    }
    for (signal, name) in [(9, "SIGKILL"), (15, "SIGTERM")] {
        let seen = run_script(harness, &format!("echo out; kill -{signal} $$")).await;
        seen.assert_reason(Reason::Failed { code: 128 + signal });
        assert!(seen.end.message.contains(name), "{:?}", seen.end);
        assert_eq!(seen.text(), "out");
    }
}

/// A program that is not there is refused, or fails; it never looks like success.
///
/// # Panics
/// If it does.
pub async fn a_missing_program_is_not_a_success(harness: &dyn Harness) {
    let key = fresh_key();
    let request = harness
        .script(key, "")
        .with_command(["no-such-program-here"]);
    match harness.open().await.submit(request).await {
        Err(Error::Refused { why, .. }) => assert!(why.contains("no-such-program-here"), "{why}"),
        Err(error) => panic!("a missing program should be refused, and it is {error:?}"),
        Ok(run) => {
            let seen = watch(&*run, 0).await;
            assert!(!seen.end.reason.is_success(), "{:?}", seen.end);
            run.clean_up()
                .await
                .expect("an ended run can be cleaned up");
        }
    }
}

/// A run that ended with nobody there is told with its output and its true code; and
/// submitting it again starts nothing.
///
/// # Panics
/// If it is told otherwise.
pub async fn the_end_is_known_although_nobody_watched(harness: &dyn Harness) {
    let key = fresh_key();
    let script = "echo hello; exit 3";
    let handle = submit(harness, &key, script).await.handle().clone();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let run = harness
        .open()
        .await
        .attach(&handle)
        .await
        .expect("the run is still known");
    let again = submit(harness, &key, script).await;
    for run in [&run, &again] {
        let seen = watch(&**run, 0).await;
        seen.assert_reason(Reason::Failed { code: 3 });
        assert_eq!(seen.text(), "hello");
    }
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A child that holds the output open does not keep the run from ending.
///
/// # Panics
/// If it does.
pub async fn background_children_do_not_keep_a_run(harness: &dyn Harness) {
    let before = Instant::now();
    let seen = run_script(harness, "sleep 600 & echo bye").await;
    seen.assert_reason(Reason::Succeeded);
    assert_eq!(seen.text(), "bye");
    assert!(
        before.elapsed() < Duration::from_mins(1),
        "it took {:?}",
        before.elapsed()
    );
}

/// A backend that does not answer for a minute, in which the run ends: the watcher gets all
/// output and the true end, as does one that comes meanwhile.
///
/// # Panics
/// If it does not.
pub async fn the_backend_may_be_away(harness: &dyn Harness) {
    const AWAY: Duration = Duration::from_mins(1);
    let script = "echo before; sleep 3; echo after; exit 6";
    let run = submit(harness, &fresh_key(), script).await;
    let runner = harness.open().await;
    let late = runner.attach(run.handle()).await.expect("the run is known");
    wait_for_output(&*run).await;
    let before = Instant::now();
    assert!(harness.go_away(AWAY).await, "the backend stayed");
    let (one, two) = futures_util::future::join(watch(&*run, 0), watch(&*late, 0)).await;
    assert!(
        before.elapsed() >= AWAY,
        "the end was known after {:?}, while nobody answered",
        before.elapsed()
    );
    for seen in [one, two] {
        seen.assert_reason(Reason::Failed { code: 6 });
        assert_eq!(seen.text(), "before\nafter");
    }
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}
