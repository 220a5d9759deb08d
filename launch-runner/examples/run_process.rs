//! Runs a shell command that outlives this program, and finds it again.
//!
//! ```text
//! cargo run --example run_process -- 'for i in 1 2 3 4 5; do echo $i; sleep 1; done; exit 3'
//! ```
//!
//! End it with `kill -9` while it watches, and start it again with the same command: it
//! attaches to the run that went on, and tells its output from the start and its true end.
//! The run is removed once its end was told.

use std::error::Error;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use launch_runner::Runner as _;
use launch_runner::config::id::RunKey;
use launch_runner::process::ProcessRunner;
use launch_runner::run::{Run, RunEvent, RunRequest, Workload};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let script = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "echo hello; sleep 2; exit 3".into());
    let home = std::env::temp_dir().join("launch-runner-example");
    let runner = ProcessRunner::open(home.join("runs"))?;
    runner.check().await?;

    // The key names the run. Here it is made from the command, so that the same command
    // finds its run again; a queue gives every job an id.
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    let key = RunKey::new(format!("{:016x}", hasher.finish()).parse()?, 0);
    let known = runner.owned().await?.contains(&key);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} run {key}",
        if known { "found" } else { "starting" }
    )?;

    let request = RunRequest::new(key, Workload::Tree(home)).with_command(["sh", "-c", &script]);
    let run = runner.submit(request).await?;
    tokio::select! {
        told = tell(&*run) => told?,
        // ctrl-c is for this program only: the run is in a group of its own.
        () = tokio::time::sleep(Duration::from_mins(10)) => {
            run.cancel(Duration::from_secs(5)).await?;
            tell(&*run).await?;
        }
    }
    run.clean_up().await?;
    Ok(())
}

/// Tells what happens to a run, until it has ended.
async fn tell(run: &dyn Run) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let mut events = run.events(0);
    while let Some(event) = events.next().await {
        match event {
            RunEvent::Log(bytes) => out.write_all(&bytes)?,
            RunEvent::State(state) => writeln!(out, "[{state:?}]")?,
            RunEvent::Warning(text) => writeln!(out, "[warning: {text}]")?,
            RunEvent::Ended(end) => writeln!(out, "[{}] {}", end.reason, end.message)?,
            _ => {}
        }
    }
    Ok(())
}
