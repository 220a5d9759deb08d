//! `launch`: enqueue one job and see it through.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use launch_config::id::{JobId, QueueName};
use launch_config::outcome::{Outcome, Reason, Stage};
use launch_queue::job::{EnqueueRequest, JobState, Lease};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::spec::{BuilderArg, SpecArgs};
use crate::app::App;
use crate::clock::short;
use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::journal::{Entry, Journal};
use crate::printer::{Printer, table};
use crate::report::Row;
use crate::settings::Settings;
use crate::shutdown::Shutdown;
use crate::worker::{self, Ended, Signals, Work};

/// The queue of jobs that are launched by hand.
const DIRECT: &str = "launch";

/// Enqueue one job and see it through.
#[derive(Debug, Args)]
pub(crate) struct Launch {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    builder: BuilderArg,
    /// The queue; an agent that polls it may be faster than this command, which then follows
    #[arg(short = 'q', long, default_value = DIRECT)]
    queue: QueueName,
    /// The agent's configuration
    #[arg(long, value_name = "FILE")]
    agent_config: Option<PathBuf>,
    /// Seconds the run may go on after the first Ctrl-C
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    grace: u64,
}

/// The answer of `--output json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    job: &'a JobId,
    #[serde(flatten)]
    outcome: &'a Outcome,
    stages: &'a [Row],
    log: Option<PathBuf>,
}

impl Launch {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let (value, _) = self.spec.to_spec()?;
        let mut settings = Settings::resolve(global, self.agent_config.as_deref())?;
        settings.builder = self.builder.builder;
        let talk = printer.clone();
        let shutdown = Shutdown::listen(move |text| talk.warn(text))?;
        let app = Arc::new(App::build_direct(settings).await?);
        let request = EnqueueRequest::new(self.queue.clone(), value)
            .with_priority(self.spec.priority())
            .with_template_values(self.spec.template_values());
        let start = Instant::now();
        let id = app.queue.enqueue(request).await?;
        let wish = worker::request(&app, vec![self.queue.clone()]).with_only(id.clone());
        match app.queue.lease(wish).await? {
            Some(lease) => {
                let took = start.elapsed();
                let result = format!("job `{id}` of queue `{}`", self.queue);
                let lease_row = Row {
                    stage: Stage::Lease,
                    took,
                    result,
                };
                self.work(&app, lease, lease_row, shutdown, printer).await
            }
            None => follow(&app, &id, &shutdown, printer).await,
        }
    }

    async fn work(
        &self,
        app: &Arc<App>,
        lease: Lease,
        lease_row: Row,
        shutdown: Shutdown,
        printer: &Printer,
    ) -> Result<Exit, Failure> {
        let journal = Journal::create(&app.settings.state.agents(), app.worker.as_str())
            .map_err(|error| Failure::doing("cannot open the journal", &error))?;
        if lease.cancel_requested {
            shutdown.cancel.cancel();
        }
        let (id, entry) = (lease.job.id.clone(), Entry::new(lease.job, lease.hold));
        let log = app.settings.state.log(&entry.key());
        let console = Arc::new(Console::new(printer.clone()));
        let signals = Signals {
            cancel: shutdown.cancel.clone(),
            leave: shutdown.leave.clone(),
        };
        let grace = tokio::spawn(cancel_after(shutdown, Duration::from_secs(self.grace)));
        let (app, journal) = (Arc::clone(app), Arc::new(journal));
        let work = Work {
            app,
            journal,
            entry,
            onlooker: console,
            signals,
            slot: None,
        };
        let (ended, rows) = work.see_through().await;
        grace.abort();
        let outcome = match ended {
            Ended::Finished(outcome) => outcome,
            Ended::Left => return Err(left(&id)),
            Ended::PutBack(reason) => {
                return Err(Failure::usage(format!(
                    "job `{id}` was {reason}, and is back in queue `{}`",
                    self.queue
                ))
                .by_surroundings()
                .with_hint("`launch-agent run --drain -q QUEUE` sees it through"));
            }
            Ended::Lost => {
                return Err(
                    Failure::usage(format!("another agent took job `{id}` over")).by_surroundings(),
                );
            }
        };
        let rows: Vec<Row> = std::iter::once(lease_row).chain(rows).collect();
        conclude(
            &id,
            &outcome,
            &rows,
            Some(log).filter(|log| log.exists()),
            printer,
        )
    }
}

fn left(id: &JobId) -> Failure {
    Failure::usage(format!("left job `{id}` running"))
        .by_surroundings()
        .with_hint("`launch-agent run --drain` finds it again and sees it through")
}

/// After the first signal the run may go on for the grace period.
async fn cancel_after(shutdown: Shutdown, grace: Duration) {
    shutdown.drain.cancelled().await;
    tokio::time::sleep(grace).await;
    shutdown.cancel.cancel();
}

/// Prints the table, or all of it as JSON.
fn conclude(
    id: &JobId,
    outcome: &Outcome,
    rows: &[Row],
    log: Option<PathBuf>,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let answer = Answer {
        job: id,
        outcome,
        stages: rows,
        log,
    };
    printer.answer(&answer, || {
        let line = |row: &Row| vec![row.stage.to_string(), short(row.took), row.result.clone()];
        let mut text = table(
            &["stage", "time", "result"],
            &rows.iter().map(line).collect::<Vec<_>>(),
        );
        let image = outcome
            .image
            .as_ref()
            .map_or("none".to_owned(), ToString::to_string);
        text += &format!("\njob {id}: {}; image: {image}", outcome.reason);
        text
    })?;
    if outcome.reason.is_success() {
        return Ok(Exit::Done);
    }
    let exit = exit_of(outcome.reason);
    if !printer.is_json() {
        explain(outcome, printer, exit);
    }
    Ok(exit)
}

/// The exit code of an outcome: what the agent or its surroundings did is not the job's.
fn exit_of(reason: Reason) -> Exit {
    match reason {
        Reason::Succeeded => Exit::Done,
        Reason::AgentFailed | Reason::Lost => Exit::Surroundings,
        _ => Exit::JobFailed,
    }
}

fn explain(outcome: &Outcome, printer: &Printer, exit: Exit) {
    let mut message = format!(
        "the job ended as `{}` at stage `{}`",
        outcome.reason, outcome.stage
    );
    if !outcome.message.is_empty() {
        message += &format!(": {}", outcome.message);
    }
    let chain = vec![message];
    // The output of the run was shown as it came; the log of a build only when asked for.
    if outcome.stage != Stage::Watch {
        for line in &outcome.log_tail {
            printer.say(&format!("  | {line}"));
        }
    }
    printer.failure(&Failure {
        exit,
        chain,
        hint: outcome.hint.clone(),
    });
}

/// Another agent was faster: shows what it reports until the job has ended.
async fn follow(
    app: &App,
    id: &JobId,
    shutdown: &Shutdown,
    printer: &Printer,
) -> Result<Exit, Failure> {
    printer.say(&format!("an agent took job `{id}`; following it"));
    let asked = CancellationToken::new();
    let mut shown = 0;
    loop {
        let record = app.queue.job(id).await?;
        let record = record
            .ok_or_else(|| Failure::usage(format!("job `{id}` is gone")).by_surroundings())?;
        for report in record.reports.iter().skip(shown) {
            printer.say(&format!(
                "{:<7} {}",
                report.stage.to_string(),
                report.message
            ));
        }
        shown = record.reports.len();
        if record.state == JobState::Ended
            && let Some(outcome) = &record.outcome
        {
            let took = Duration::from_millis(
                record
                    .ended_at_ms
                    .unwrap_or_default()
                    .saturating_sub(record.enqueued_at_ms),
            );
            let row = Row {
                stage: outcome.stage,
                took,
                result: outcome.reason.to_string(),
            };
            for line in &outcome.log_tail {
                printer.say(&format!("  | {line}"));
            }
            return conclude(id, outcome, &[row], None, printer);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
            () = shutdown.cancel.cancelled(), if !asked.is_cancelled() => {
                app.queue.cancel(id).await?;
                asked.cancel();
            }
            () = shutdown.leave.cancelled() => return Err(left(id)),
        }
    }
}
