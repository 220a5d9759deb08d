//! A submitter that is killed at any moment, and one that comes after it.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use launch_runner::Runner as _;
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::conformance::watch;
use launch_runner::process::ProcessRunner;
use launch_runner::run::{RunRequest, Workload};

/// Where the child keeps its runs and its tree.
const DIR: &str = "LAUNCH_RUNNER_CRASH_DIR";

fn request(dir: &Path) -> RunRequest {
    let tree = dir.join("tree");
    fs_err::create_dir_all(&tree).unwrap();
    let key = RunKey::new("crash".parse().unwrap(), 0);
    RunRequest::new(key, Workload::Tree(tree)).with_command([
        "/bin/sh",
        "-c",
        "echo started >>starts; sleep 0.1; exit 6",
    ])
}

/// Not a test: what `a_killed_submit_starts_the_program_at_most_once` kills.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "whoever kills it waits for this")]
async fn child_that_submits() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else {
        return;
    };
    let runner = ProcessRunner::open(dir.join("runs")).unwrap();
    let request = request(&dir);
    println!("ready");
    runner.submit(request).await.unwrap();
    std::future::pending::<()>().await;
}

/// Starts the child, and kills it `delay` after it is about to submit.
fn submit_and_die(dir: &Path, delay: Duration) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_that_submits", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let ready = output
        .lines()
        .map(Result::unwrap)
        .any(|line| line.ends_with("ready"));
    assert!(ready, "the child ended before it was ready");
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_submit_starts_the_program_at_most_once() {
    let mut started_by_the_dead = 0;
    for step in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let delay = Duration::from_micros(200 * step);
        tokio::task::spawn_blocking(move || submit_and_die(&path, delay))
            .await
            .unwrap();
        let runner = ProcessRunner::open(dir.path().join("runs")).unwrap();
        started_by_the_dead += usize::from(!runner.owned().await.unwrap().is_empty());
        let run = runner.submit(request(dir.path())).await.unwrap();
        watch(&*run, 0)
            .await
            .assert_reason(Reason::Failed { code: 6 });
        let starts = fs_err::read_to_string(dir.path().join("tree/starts")).unwrap();
        assert_eq!(starts, "started\n", "killed after {delay:?}");
    }
    // Otherwise all of them died too early, and nothing was tried.
    assert!(
        started_by_the_dead > 0,
        "no child came as far as to make a run"
    );
}
