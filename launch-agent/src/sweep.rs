//! Sweeps: whether a run of one may start, and what a scheduler's failure means.

use std::time::Duration;

use launch_config::load::spec_value;
use launch_config::outcome::{Outcome, Reason, Stage};
use launch_config::spec::{RunSpec, sweep_starts_runs};

use crate::app::App;
use crate::failure::one_line;
use crate::journal::Entry;
use crate::pipeline::Stop;
use crate::server::Sweep;
use crate::slots::Kind;

/// What a job counts as; one that cannot be read ends soon.
pub(crate) fn kind_of(spec: &serde_json::Value) -> Kind {
    match spec_value("the run spec", spec) {
        Ok(checked) if checked.value.is_scheduler() => Kind::Scheduler,
        _ => Kind::Job,
    }
}

/// Refuses a run of a sweep that starts none any more. A server that does not answer is
/// asked until it does: the job is ours meanwhile.
pub(crate) async fn check(app: &App, spec: &RunSpec) -> Result<(), Stop> {
    let (Some(server), Some(name)) = (&app.server, &spec.sweep_id) else {
        return Ok(());
    };
    let sweep = sweep(spec, name);
    let mut wait = Duration::from_millis(500);
    let state = loop {
        match server.sweep_state(&sweep).await {
            Ok(state) => break state,
            Err(error) if error.is_retryable() => {
                tracing::warn!(error = one_line(&error), "cannot ask for the sweep yet");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(15));
            }
            Err(error) => return Err(Stop::error(Reason::Refused, Stage::Plan, &error)),
        }
    };
    match state {
        Some(state) if sweep_starts_runs(&state) => Ok(()),
        Some(state) => Err(refused(format!(
            "sweep `{name}` is {state}: it starts no more runs"
        ))),
        None => Err(refused(format!("there is no sweep `{name}`"))),
    }
}

fn refused(message: String) -> Stop {
    Stop::new(Reason::Refused, Stage::Plan, message)
}

fn sweep<'a>(spec: &'a RunSpec, name: &'a str) -> Sweep<'a> {
    Sweep {
        entity: spec.entity.as_deref().unwrap_or_default(),
        project: spec.project.as_deref().unwrap_or_default(),
        name,
    }
}

/// Ends the sweep of a scheduler that failed: nobody would start its runs. A scheduler's run
/// has the sweep's id.
pub(crate) async fn ended(app: &App, entry: &Entry, outcome: &Outcome) {
    let Some(server) = &app.server else { return };
    if outcome.reason.is_success() || kind_of(&entry.job.spec) == Kind::Job {
        return;
    }
    let Ok(checked) = spec_value("the run spec", &entry.job.spec) else {
        return;
    };
    let spec = checked.value;
    let Some(run) = &spec.run_id else { return };
    if let Err(error) = server.cancel_sweep(&sweep(&spec, run)).await {
        tracing::warn!(
            error = one_line(&error),
            sweep = run,
            "the sweep of a failed scheduler goes on"
        );
    }
}
