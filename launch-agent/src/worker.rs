//! One job in one slot: journal, pipeline, finish, clean up; a heartbeat beside it.

use std::sync::Arc;
use std::time::Duration;

use launch_config::outcome::{Outcome, Reason, Stage};
use launch_queue::Error;
use launch_queue::job::{Hold, LeaseRequest};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::app::App;
use crate::failpoint;
use crate::failure::one_line;
use crate::job_log::JobLog;
use crate::journal::{Entry, Journal};
use crate::masking::{self, masked};
use crate::pause::Pause;
use crate::pipeline::{self, Task};
use crate::report::{JobEvent, Onlooker, Progress, Row, courier};
use crate::retry::{self, Next};
use crate::slots::Slot;
use crate::stopping::Stopping;
use crate::takeover;

/// How long a lease lasts without a heartbeat.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// How often it is renewed: three may be lost.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How the work on a job ended for this agent.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The queue knows the outcome.
    Finished(Outcome),
    /// Another holder has the job; nothing of it is ours any more.
    Lost,
    /// The agent leaves; the run goes on, and the journal knows it.
    Left,
    /// It was put back for another attempt.
    PutBack(Reason),
}

/// What a job's worker is told from outside.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// End the run.
    pub(crate) cancel: CancellationToken,
    /// Leave the run as it is.
    pub(crate) leave: CancellationToken,
}

/// One job and everything needed to end it.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) app: Arc<App>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) entry: Entry,
    pub(crate) onlooker: Arc<dyn Onlooker>,
    pub(crate) signals: Signals,
    /// The slot it has until its run has ended.
    pub(crate) slot: Option<Slot>,
}

/// A wish for a job of these queues.
pub(crate) fn request(app: &App, queues: Vec<launch_config::id::QueueName>) -> LeaseRequest {
    LeaseRequest::new(queues, app.worker.clone(), LEASE)
}

impl Work {
    /// Sees the job through; answers how, and the table of its stages.
    pub(crate) async fn see_through(self) -> (Ended, Vec<Row>) {
        let (id, queue) = (&self.entry.job.id, &self.entry.job.queue);
        masking::spec(&self.entry.job.spec);
        let span = tracing::info_span!("job", job.id = %id, queue = %queue);
        Box::pin(self.work()).instrument(span).await
    }

    async fn work(mut self) -> (Ended, Vec<Row>) {
        let hold = self.entry.hold.clone();
        let (reports, courier) = courier(Arc::clone(&self.app.queue), hold.clone());
        let log = JobLog::of(&self.app.settings, &self.entry.key());
        let progress = Progress::new(Arc::clone(&self.onlooker), reports, log);
        let stop = Stopping::new(self.signals.cancel.clone());
        if let Err(begun) = self.begin(&stop).await {
            return match begun {
                Begun::Failed(outcome) => (self.finish(*outcome).await, Vec::new()),
                Begun::Lost => (self.give_up().await, Vec::new()),
                Begun::Left => (Ended::Left, Vec::new()),
            };
        }
        let lost = CancellationToken::new();
        let leave = self.signals.leave.clone();
        let app = Arc::clone(&self.app);
        let onlooker = Arc::clone(&self.onlooker);
        let beat = heartbeat(&app, &hold, &*onlooker, &stop, &lost);
        // A wish is heard between two renewals, too.
        let _wish = app.wishes.hear(&hold.job, &stop.asked);
        let insist = stop.insist(app.stop_grace);
        let steps = self.steps(&progress, &stop);
        let outcome = tokio::select! {
            outcome = Box::pin(steps) => Some(outcome),
            () = beat => None,
            () = insist => None,
            () = leave.cancelled() => None,
        };
        let rows = progress.rows();
        drop(progress);
        let Some(outcome) = outcome else {
            if lost.is_cancelled() {
                return (self.give_up().await, rows);
            }
            return (Ended::Left, rows);
        };
        // The run has ended: its slot is for the next, whatever is still to be said.
        drop(self.slot.take());
        courier.arrive().await;
        (self.finish(outcome).await, rows)
    }

    /// The journal first, so that no side effect is unknown to it; then the queue's word
    /// that the job is ours, without which nothing is begun. A run that was submitted before
    /// is watched in any case.
    async fn begin(&self, stop: &Stopping) -> Result<(), Begun> {
        if let Err(error) = self.journal.keep(&self.entry) {
            let outcome = Outcome::new(Reason::AgentFailed, Stage::Lease)
                .with_message(format!("cannot write the journal: {error}"));
            return Err(Begun::Failed(Box::new(outcome)));
        }
        failpoint::reach("journalled");
        if self.entry.handle.is_none() {
            self.claim(stop).await?;
        }
        if let Some(server) = &self.app.server {
            let log = self.app.settings.state.log(&self.entry.key());
            server.keep_log(&self.entry.job.id, &log);
        }
        Ok(())
    }

    /// Asks until the queue says whose the job is.
    async fn claim(&self, stop: &Stopping) -> Result<(), Begun> {
        let mut pause = Pause::default();
        loop {
            match self.app.queue.renew(&self.entry.hold, LEASE).await {
                Ok(renewal) => {
                    if renewal.cancel_requested {
                        stop.ask();
                    }
                    return Ok(());
                }
                Err(error) if is_passing(&error) => {
                    tracing::warn!(error = one_line(&error), "cannot claim the job yet");
                }
                Err(error) => {
                    tracing::info!(error = one_line(&error), "the job is not ours");
                    return Err(Begun::Lost);
                }
            }
            if pause.is_left(&self.signals.leave).await {
                return Err(Begun::Left);
            }
        }
    }

    async fn steps(&mut self, progress: &Progress, stop: &Stopping) -> Outcome {
        let task = Task {
            app: &self.app,
            progress,
            journal: &self.journal,
            cancel: &stop.cancel,
            submitted: &stop.submitted,
        };
        pipeline::run(&task, &mut self.entry).await
    }

    /// Tells the queue, for as long as it takes; then removes what is left of the run.
    async fn finish(self, outcome: Outcome) -> Ended {
        failpoint::reach("watched");
        let outcome = without_secrets(outcome);
        let reason = outcome.reason;
        let retry = &self.app.settings.config.retry;
        let next = retry::next(retry, self.entry.job.attempt, outcome);
        match self.tell(&next).await {
            Told::Yes => {}
            Told::Left => return Ended::Left,
            Told::Refused => return self.give_up().await,
        }
        failpoint::reach("finished");
        tracing::info!(%reason, "job ended");
        if let Next::End(outcome) = &next {
            self.onlooker.see(&JobEvent::Ended(outcome));
        }
        let (app, journal, entry) = (&self.app, &self.journal, &self.entry);
        clean_up(app, journal, entry).await;
        match next {
            Next::End(outcome) => {
                crate::sweep::ended(app, entry, &outcome).await;
                Ended::Finished(outcome)
            }
            Next::Again(_) => Ended::PutBack(reason),
        }
    }

    async fn tell(&self, next: &Next) -> Told {
        let mut pause = Pause::default();
        loop {
            let told = tokio::select! {
                told = self.tell_once(next) => told,
                () = self.signals.leave.cancelled() => return Told::Left,
            };
            match told {
                Ok(()) => return Told::Yes,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(error = one_line(&error), "cannot report the outcome yet");
                }
                Err(error) => {
                    let error = one_line(&error);
                    tracing::warn!(error, "the outcome is not ours to report");
                    return Told::Refused;
                }
            }
            if pause.is_left(&self.signals.leave).await {
                return Told::Left;
            }
        }
    }

    async fn tell_once(&self, next: &Next) -> Result<(), Error> {
        let (queue, hold) = (&self.app.queue, &self.entry.hold);
        match next {
            Next::End(outcome) => queue.finish(hold, outcome.clone()).await,
            Next::Again(wait) => {
                tracing::info!(
                    ?wait,
                    attempt = self.entry.job.attempt,
                    "putting the job back"
                );
                queue.requeue(hold, *wait).await
            }
        }
    }

    /// Another holder has the job: nothing more is written for it.
    async fn give_up(self) -> Ended {
        self.onlooker.see(&JobEvent::Lost);
        takeover::let_go(&self.app, &self.journal, &self.entry).await;
        Ended::Lost
    }
}

/// What the queue keeps for ever holds no secret that we know.
fn without_secrets(mut outcome: Outcome) -> Outcome {
    outcome.message = masked(outcome.message);
    outcome.hint = outcome.hint.map(masked);
    outcome.log_tail = outcome.log_tail.into_iter().map(masked).collect();
    outcome
}

/// Removes what is left of an ended job, the journal entry last: until then a restart
/// comes back here.
pub(crate) async fn clean_up(app: &App, journal: &Journal, entry: &Entry) {
    if let Err(problem) = try_clean_up(app, journal, entry).await {
        tracing::warn!("something is left of an ended run: {problem}");
    }
}

async fn try_clean_up(app: &App, journal: &Journal, entry: &Entry) -> Result<(), String> {
    if let Some(handle) = &entry.handle {
        let runner = app
            .runner_named(&handle.runner)
            .map_err(|failure| failure.chain.join(": "))?;
        match runner.attach(handle).await {
            Ok(run) => run.clean_up().await.map_err(|error| one_line(&error))?,
            Err(launch_runner::Error::Lost(_)) => {}
            Err(error) => return Err(one_line(&error)),
        }
    }
    let work = app.settings.state.work(&entry.key());
    match fs_err::remove_dir_all(&work) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
        _ => {}
    }
    failpoint::reach("cleaned");
    journal
        .forget(&entry.key())
        .map_err(|error| error.to_string())
}

/// Whether the queue knows what became of a job.
enum Told {
    Yes,
    Left,
    /// It is no business of ours.
    Refused,
}

/// Why nothing was begun.
enum Begun {
    Failed(Box<Outcome>),
    Lost,
    Left,
}

/// Whether a refusal says nothing of whose the job is.
fn is_passing(error: &Error) -> bool {
    error.is_retryable() || matches!(error, Error::Refused { .. })
}

/// Renews the lease until it is lost, then `lost` fires and this ends.
async fn heartbeat(
    app: &App,
    hold: &Hold,
    onlooker: &dyn Onlooker,
    stop: &Stopping,
    lost: &CancellationToken,
) {
    // A queue whose wishes come with renewals is asked as often as it is polled.
    let every = match &app.server {
        Some(server) => HEARTBEAT.min(server.interval()),
        None => HEARTBEAT,
    };
    loop {
        tokio::time::sleep(every).await;
        match app.queue.renew(hold, LEASE).await {
            Ok(renewal) => {
                onlooker.see(&JobEvent::Renewed);
                if renewal.cancel_requested {
                    stop.ask();
                }
            }
            Err(error) if is_passing(&error) => {
                onlooker.see(&JobEvent::Unheard(&one_line(&error)));
                tracing::warn!("the queue does not answer; the run goes on");
            }
            Err(error) => {
                tracing::warn!(error = one_line(&error), "the lease is lost");
                return lost.cancel();
            }
        }
    }
}
