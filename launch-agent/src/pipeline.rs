//! One job, one way: fetch → plan → build → push → submit → watch.
//!
//! Each stage consumes the value of the one before and returns the next; nothing is
//! patched afterwards. Everything is repeatable: a job whose agent died goes through here
//! again and meets the image that was built and the run that was submitted.

mod fetch;
mod image;
mod job;
mod mount;
mod prepare;
mod run;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use launch_config::load::spec_value;
use launch_config::outcome::{Outcome, Reason, Stage};
use launch_config::policy::{Policy, Refusal};
use launch_config::spec::RunSpec;
use launch_queue::job::Job;
pub(crate) use prepare::{build_spec, local_name};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::app::App;
use crate::exit::Exit;
use crate::failpoint;
use crate::failure::{Failure, one_line};
use crate::journal::{Entry, Journal};
use crate::report::Progress;
use crate::telemetry::stage_span;

/// Why a job ends before its run does.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) outcome: Box<Outcome>,
}

impl Stop {
    pub(crate) fn new(reason: Reason, stage: Stage, message: impl Into<String>) -> Self {
        let outcome = Outcome::new(reason, stage).with_message(message);
        Self {
            outcome: Box::new(outcome),
        }
    }

    /// Ends a job with an error and its causes.
    pub(crate) fn error(
        reason: Reason,
        stage: Stage,
        error: &(dyn std::error::Error + 'static),
    ) -> Self {
        Self::new(reason, stage, one_line(error))
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: Option<&str>) -> Self {
        self.outcome.hint = hint.map(str::to_owned);
        self
    }

    #[must_use]
    pub(crate) fn with_log_tail(mut self, lines: Vec<String>) -> Self {
        self.outcome.log_tail = lines;
        self
    }

    /// Ends a job because this program, or this machine, cannot do what it asks.
    pub(crate) fn unsupported(stage: Stage, failure: &Failure) -> Self {
        let is_asked_too_much = failure.exit == Exit::Usage;
        let reason = if is_asked_too_much {
            Reason::Refused
        } else {
            Reason::AgentFailed
        };
        Self::new(reason, stage, failure.chain.join(": ")).with_hint(failure.hint.as_deref())
    }
}

/// One job on its way.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) app: &'a App,
    pub(crate) progress: &'a Progress,
    pub(crate) journal: &'a Journal,
    /// Fires when the job is to end.
    pub(crate) cancel: &'a CancellationToken,
    /// Set when there is a run.
    pub(crate) submitted: &'a AtomicBool,
}

impl Task<'_> {
    /// A directory for what is made on the way.
    fn scratch(&self, stage: Stage) -> Result<PathBuf, Stop> {
        let scratch = self.journal.scratch();
        scratch.map_err(|error| Stop::error(Reason::AgentFailed, stage, &error))
    }
}

/// Takes a job from its lease to its outcome.
pub(crate) async fn run(task: &Task<'_>, entry: &mut Entry) -> Outcome {
    match stages(task, entry).await {
        Ok(outcome) => outcome,
        Err(stop) => *stop.outcome,
    }
}

async fn stages(task: &Task<'_>, entry: &mut Entry) -> Result<Outcome, Stop> {
    let mut image = None;
    let run = if let Some(handle) = &entry.handle {
        run::attach(task, handle).await?
    } else {
        let spec = read_spec(task, &entry.job)?;
        let early = async {
            crate::sweep::check(task.app, &spec).await?;
            let (asked, got) = fetch::fetch(task, &spec).await?;
            failpoint::reach("fetched");
            let planned = prepare::plan(task, &asked, got, &entry.key()).await?;
            failpoint::reach("planned");
            let ready = image::provide(task, planned).await?;
            Ok(ready.with_job_image(asked.image()))
        };
        // Everything until here may be dropped at any point.
        let ready = tokio::select! {
            ready = Box::pin(early) => ready?,
            () = task.cancel.cancelled() => {
                task.app.settle().await;
                return Ok(Outcome::new(Reason::Cancelled, Stage::Build)
                    .with_message("cancelled before it was submitted"));
            }
        };
        failpoint::reach("provided");
        image = ready.image().cloned();
        let run = run::submit(task, &spec, &entry.job, ready).await?;
        failpoint::reach("submitted");
        entry.handle = Some(run.handle().clone());
        task.journal
            .keep(entry)
            .map_err(|error| Stop::error(Reason::AgentFailed, Stage::Submit, &error))?;
        run
    };
    task.submitted.store(true, Ordering::Relaxed);
    failpoint::reach("watching");
    let watched = run::watch(task, run).instrument(stage_span(Stage::Watch));
    Ok(watched.await.with_image(image))
}

/// Before anything else is done for a job: may it ask for this?
fn judge(policy: &Policy, job: &Job) -> Result<(), Stop> {
    policy.check(&job.spec).map_err(|refusals| {
        let hint = refusals.iter().find_map(Refusal::hint);
        Stop::error(Reason::Refused, Stage::Plan, &refusals).with_hint(hint.as_deref())
    })
}

fn read_spec(task: &Task<'_>, job: &Job) -> Result<RunSpec, Stop> {
    judge(&task.app.settings.config.policy, job)?;
    let checked = spec_value("the run spec", &job.spec)
        .map_err(|report| Stop::error(Reason::Refused, Stage::Plan, &report))?;
    for problem in &checked.warnings.problems {
        task.progress.warn(
            Stage::Plan,
            &format!("`{}`: {}", problem.path, problem.message),
        );
    }
    let mut spec = checked.value;
    // The run of a job that was put back has its id, and goes on where that one stopped.
    spec.resume_count = spec.resume_count.max(i64::from(job.attempt));
    Ok(spec)
}
