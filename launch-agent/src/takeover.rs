//! A job that another agent has taken over, and what becomes of its run here.
//!
//! Runs are named after jobs, so whoever has the job finds the run: in a cluster or a cloud
//! from everywhere, on this machine with the same state directory. There it is left alone.
//! A run of this machine that nobody else can find is ended, so that its workload does not
//! run beside the one the other agent starts.

use std::time::Duration;

use launch_config::id::WorkerName;
use launch_queue::Error;
use launch_runner::run::RunHandle;

use crate::app::App;
use crate::failure::one_line;
use crate::journal::{Entry, Journal};

/// How long the program of the run may take to end nicely.
const GRACE: Duration = Duration::from_secs(10);

/// How often the queue is asked who has the job, and the pause between.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// Ends what only we can see of the run, and forgets the job.
pub(crate) async fn let_go(app: &App, journal: &Journal, entry: &Entry) {
    match holder(app, entry).await {
        Ok(holder) if shares_our_runs(app, holder.as_ref()) => {}
        Ok(_) => {
            if let Err(problem) = end(app, entry).await {
                tracing::warn!("something is left of a run that is not ours any more: {problem}");
            }
        }
        Err(error) => tracing::warn!(
            error = one_line(&error),
            "who has the job is not known; its run is left as it is"
        ),
    }
    if let Err(error) = journal.forget_hold(entry) {
        tracing::warn!(%error, "a journal entry stays");
    }
}

/// Who has the job now, or had it last; `None` if the queue has forgotten it.
async fn holder(app: &App, entry: &Entry) -> Result<Option<WorkerName>, Error> {
    for _ in 1..TRIES {
        match app.queue.job(&entry.job.id).await {
            Err(error) if error.is_retryable() => tokio::time::sleep(PAUSE).await,
            answer => return Ok(answer?.and_then(|record| record.worker)),
        }
    }
    let record = app.queue.job(&entry.job.id).await?;
    Ok(record.and_then(|record| record.worker))
}

/// Whether that agent is one of this state directory. One that has ended its jobs and gone
/// has left no run either.
fn shares_our_runs(app: &App, holder: Option<&WorkerName>) -> bool {
    let agents = app.settings.state.agents();
    holder.is_some_and(|holder| agents.join(holder.as_str()).exists())
}

async fn end(app: &App, entry: &Entry) -> Result<(), String> {
    for handle in local_handles(entry) {
        // A runner that this program or machine lacks has no runs here.
        let Ok(runner) = app.runner_named(&handle.runner) else {
            continue;
        };
        let run = match runner.attach(&handle).await {
            Ok(run) => run,
            Err(launch_runner::Error::Lost(_)) => continue,
            Err(error) => return Err(one_line(&error)),
        };
        tracing::info!(job.id = %entry.job.id, run = handle.id, "ending the run here: another agent has the job");
        let ended = run.cancel(GRACE).await;
        ended.map_err(|error| one_line(&error))?;
        run.clean_up().await.map_err(|error| one_line(&error))?;
    }
    match fs_err::remove_dir_all(app.settings.state.work(&entry.key())) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// The run, if it is one of this machine. One that was being submitted has no handle yet:
/// a process is found by its key alone.
fn local_handles(entry: &Entry) -> Vec<RunHandle> {
    match &entry.handle {
        Some(handle) if matches!(handle.runner.as_str(), "process" | "docker") => {
            vec![handle.clone()]
        }
        Some(_) => Vec::new(),
        None => vec![RunHandle::new("process", entry.key(), "")],
    }
}
