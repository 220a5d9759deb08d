//! The agent: takes jobs into free slots until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use launch_config::id::QueueName;
use launch_queue::Error;
use launch_queue::job::Lease;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin::{Admin, Doors};
use crate::app::App;
use crate::failpoint;
use crate::failure::{Failure, one_line};
use crate::job_log::Retention;
use crate::journal::{Entry, Journal};
use crate::notify::Manager;
use crate::shutdown::Shutdown;
use crate::slots::{Kind, Slot, Slots};
use crate::vitals::{Phase, Seat, Vitals};
use crate::worker::{self, Ended, Signals, Work};
use crate::{sweep, takeover};

/// What to do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) queues: Vec<QueueName>,
    /// Jobs at once; `None` has no limit.
    pub(crate) slots: Option<usize>,
    /// Sweep schedulers at once, likewise.
    pub(crate) scheduler_slots: Option<usize>,
    /// End when the queues are empty and every job has ended.
    pub(crate) drain: bool,
    /// How long work may go on after the first signal.
    pub(crate) grace: Duration,
}

/// How jobs ended, counted.
#[derive(Debug, Default, Clone, Copy, serde::Serialize)]
pub(crate) struct Tally {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Left running for the next agent.
    pub(crate) left: u64,
    /// Taken over by another agent.
    pub(crate) lost: u64,
    /// Put back for another attempt.
    pub(crate) put_back: u64,
}

/// A running agent.
#[derive(Debug)]
pub(crate) struct Service {
    app: Arc<App>,
    plan: Plan,
    shutdown: Shutdown,
    journal: Arc<Journal>,
    jobs: JoinSet<Ended>,
    taken: Slots,
    /// What dead agents left and no queue has answered for yet.
    waiting: Vec<(Arc<Journal>, Vec<Entry>)>,
    /// No job is taken before this time.
    rests: Option<tokio::time::Instant>,
    /// Whether a server has more is not asked before this time.
    looks: Option<tokio::time::Instant>,
    tally: Tally,
    vitals: Arc<Vitals>,
    manager: Arc<Manager>,
    /// What goes on beside the jobs, and ends with them.
    beside: JoinSet<()>,
}

/// How long an agent takes no job after one that it has no slot of the right kind for. That
/// job's lease lapses meanwhile, for an agent that has.
const REST: Duration = Duration::from_secs(10);

impl Service {
    /// Opens the journal and takes up what dead agents of this machine left.
    pub(crate) async fn start(
        app: Arc<App>,
        plan: Plan,
        shutdown: Shutdown,
    ) -> Result<Self, Failure> {
        let agents = app.settings.state.agents();
        let journal = Journal::create(&agents, app.worker.as_str())
            .map_err(|error| Failure::doing("cannot open the journal", &error))?;
        let vitals = Vitals::new(app.worker.clone(), plan.slots);
        let manager = Manager::from_environment(|name| std::env::var_os(name));
        let mut service = Self {
            app,
            plan,
            shutdown,
            journal: Arc::new(journal),
            jobs: JoinSet::new(),
            taken: Slots::default(),
            waiting: Vec::new(),
            rests: None,
            looks: None,
            tally: Tally::default(),
            vitals,
            manager: Arc::new(manager),
            beside: JoinSet::new(),
        };
        service.begin_beside().await?;
        service.greet().await?;
        let orphans = Journal::orphans(&agents).map_err(|error| {
            Failure::doing("cannot read the journals of earlier agents", &error)
        })?;
        for (journal, entries) in orphans {
            service.adopt(Arc::new(journal), entries).await;
        }
        Ok(service)
    }

    /// Begins what goes on beside the jobs: answers to questions, signs of life, the removal
    /// of old output.
    async fn begin_beside(&mut self) -> Result<(), Failure> {
        let settings = &self.app.settings;
        let observability = &settings.config.observability;
        let doors = Doors::open(observability.address, self.journal.directory()).await?;
        let admin = Admin {
            vitals: Arc::clone(&self.vitals),
            queue: Arc::clone(&self.app.queue),
            queues: self.plan.queues.clone(),
        };
        self.beside.spawn(admin.serve(doors));
        let (manager, vitals) = (Arc::clone(&self.manager), Arc::clone(&self.vitals));
        self.beside
            .spawn(async move { manager.watch(vitals).await });
        let retention = Retention::of(observability);
        self.beside.spawn(retention.keep(settings.state.clone()));
        Ok(())
    }

    /// Makes the agent known to the queues' server. That a queue is not there is said at
    /// once; a server that does not answer is no reason to end, now or later.
    async fn greet(&mut self) -> Result<(), Failure> {
        let Some(server) = &self.app.server else {
            return Ok(());
        };
        match server.register(&self.plan.queues).await {
            Ok(()) => {}
            Err(error @ Error::Config { .. }) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(error = one_line(&error), "the server does not know us yet");
            }
        }
        let (server, drain) = (Arc::clone(server), self.shutdown.drain.clone());
        self.beside.spawn(async move {
            loop {
                match server.beat().await {
                    Ok(true) if !drain.is_cancelled() => {
                        tracing::info!("the server asks the agent to stop");
                        drain.cancel();
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(error = one_line(&error), "the server does not answer");
                    }
                }
                tokio::time::sleep(server.interval()).await;
            }
        });
        Ok(())
    }

    /// Takes up the jobs of a dead agent: those still held go on, those that ended are
    /// cleaned up, those that another agent has are forgotten. What no queue answers for
    /// waits; a run whose job nobody can have taken over goes on at once.
    async fn adopt(&mut self, journal: Arc<Journal>, mut entries: Vec<Entry>) {
        entries.extend(self.unwritten(&journal, &entries).await);
        let mut waiting = Vec::new();
        for entry in entries {
            match self.app.queue.renew(&entry.hold, worker::LEASE).await {
                Ok(renewal) => self.take_up(&journal, entry, renewal.cancel_requested),
                Err(Error::Ended(_)) => worker::clean_up(&self.app, &journal, &entry).await,
                Err(error) if error.is_retryable() => {
                    tracing::warn!(error = one_line(&error), job.id = %entry.job.id, "the queue does not answer for a job of an earlier agent");
                    if self.app.server.is_some() && entry.handle.is_some() {
                        self.take_up(&journal, entry, false);
                    } else {
                        waiting.push(entry);
                    }
                }
                Err(error) => {
                    tracing::info!(job.id = %entry.job.id, error = one_line(&error), "not ours any more");
                    takeover::let_go(&self.app, &journal, &entry).await;
                }
            }
        }
        if !waiting.is_empty() {
            self.waiting.push((journal, waiting));
        }
    }

    fn take_up(&mut self, journal: &Arc<Journal>, entry: Entry, is_cancelled: bool) {
        tracing::info!(job.id = %entry.job.id, "taking up a job of an earlier agent");
        let slot = self.taken.take(sweep::kind_of(&entry.job.spec));
        let seat = self.vitals.seat_adopted(&entry.job);
        self.spawn(Arc::clone(journal), entry, (slot, seat), is_cancelled);
    }

    /// Asks again for what waits.
    async fn adopt_waiting(&mut self) {
        for (journal, entries) in std::mem::take(&mut self.waiting) {
            self.adopt(journal, entries).await;
        }
    }

    /// What the dead agent leased and had no time to write down: the queue knows.
    async fn unwritten(&self, journal: &Journal, written: &[Entry]) -> Vec<Entry> {
        let Some(Ok(owner)) = journal.owner().map(str::parse) else {
            return Vec::new();
        };
        match self.app.queue.held(&owner).await {
            Ok(records) => records
                .into_iter()
                .filter(|record| written.iter().all(|entry| entry.job.id != record.job.id))
                .map(|record| {
                    let hold = record.hold();
                    Entry::new(record.job, hold)
                })
                .collect(),
            Err(error) => {
                tracing::warn!(
                    error = one_line(&error),
                    "cannot ask for the jobs of an earlier agent"
                );
                Vec::new()
            }
        }
    }

    fn spawn(
        &mut self,
        journal: Arc<Journal>,
        entry: Entry,
        (slot, seat): (Slot, Seat),
        is_cancelled: bool,
    ) {
        let cancel = self.shutdown.cancel.child_token();
        // A server's run hears of the wish, too, and has time: the next renewal says it.
        if is_cancelled && self.app.server.is_none() {
            cancel.cancel();
        }
        let signals = Signals {
            cancel,
            leave: self.shutdown.leave.clone(),
        };
        let (app, onlooker) = (Arc::clone(&self.app), Arc::new(seat));
        let work = Work {
            app,
            journal,
            entry,
            onlooker,
            signals,
            slot: Some(slot),
        };
        self.jobs.spawn(async move { work.see_through().await.0 });
    }

    fn has_free_slot(&self) -> bool {
        let rests = self
            .rests
            .is_some_and(|until| tokio::time::Instant::now() < until);
        !rests && self.taken.has_free(Kind::Job, self.plan.slots)
    }

    /// Works until told to stop, or until there is nothing more to do.
    pub(crate) async fn run(mut self) -> Result<Tally, Failure> {
        let mut arrivals = self.app.arrivals.clone();
        self.vitals.enter(Phase::Serving);
        self.manager.ready();
        while !self.shutdown.drain.is_cancelled() {
            self.adopt_waiting().await;
            self.vitals.turned();
            if self.has_free_slot() && self.take().await {
                continue;
            }
            if self.plan.drain && self.jobs.is_empty() && self.is_all_done().await {
                break;
            }
            tokio::select! {
                Some(ended) = self.jobs.join_next() => self.count(ended),
                () = self.taken.freed() => {}
                () = tokio::time::sleep(self.app.poll) => {}
                () = arrival(&mut arrivals) => {}
                () = self.shutdown.drain.cancelled() => {}
            }
        }
        self.vitals.enter(Phase::Stopping);
        self.manager.stopping();
        self.wind_down().await;
        if let Some(server) = &self.app.server {
            server.leave().await;
        }
        Ok(self.tally)
    }

    /// Takes a job into a slot; answers whether there was one.
    async fn take(&mut self) -> bool {
        let request = worker::request(&self.app, self.plan.queues.clone());
        match self.app.queue.lease(request).await {
            Ok(Some(lease)) => {
                let kind = sweep::kind_of(&lease.job.spec);
                if kind == Kind::Scheduler && !self.taken.has_free(kind, self.plan.scheduler_slots)
                {
                    tracing::info!(job.id = %lease.job.id, "a sweep scheduler is left to others: `max_schedulers` run");
                    if let Some(server) = &self.app.server {
                        server.let_go(&lease.hold);
                    }
                    self.rests = Some(tokio::time::Instant::now() + REST);
                    return false;
                }
                tracing::info!(job.id = %lease.job.id, queue = %lease.job.queue, "job leased");
                failpoint::reach("leased");
                self.vitals.polled(Ok(()));
                let seat = self.vitals.seat(&lease.job, lease.waited);
                let is_cancelled = lease.cancel_requested;
                let Lease { job, hold, .. } = lease;
                let entry = Entry::new(job, hold);
                let place = (self.taken.take(kind), seat);
                self.spawn(Arc::clone(&self.journal), entry, place, is_cancelled);
                true
            }
            Ok(None) => {
                self.vitals.polled(Ok(()));
                false
            }
            Err(error) => {
                self.vitals.polled(Err(one_line(&error)));
                // An agent outlives its backend; the poll interval spaces the tries.
                tracing::warn!(error = one_line(&error), "cannot lease");
                false
            }
        }
    }

    async fn is_all_done(&mut self) -> bool {
        // What other agents have at a server stays theirs, and looking costs it requests.
        let is_shared = self.app.server.is_some();
        if let Some(server) = &self.app.server {
            let now = tokio::time::Instant::now();
            if self.looks.is_some_and(|next| now < next) {
                return false;
            }
            self.looks = Some(now + server.interval());
        }
        match self.app.queue.queues().await {
            Ok(records) => records
                .iter()
                .filter(|record| self.plan.queues.contains(&record.name))
                .all(|record| record.waiting == 0 && (is_shared || record.leased == 0)),
            Err(error) => {
                tracing::warn!(error = one_line(&error), "cannot look into the queues");
                false
            }
        }
    }

    /// Lets running work finish for the grace period; what is left then goes on without us.
    async fn wind_down(&mut self) {
        let grace = CancellationToken::new();
        let timer = grace.clone();
        let wait = self.plan.grace;
        let clock = tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            timer.cancel();
        });
        while !self.jobs.is_empty() {
            tokio::select! {
                Some(ended) = self.jobs.join_next() => self.count(ended),
                () = grace.cancelled(), if !self.shutdown.cancel.is_cancelled() => {
                    tracing::info!(jobs = self.jobs.len(), "the grace period is over; runs go on without the agent");
                    self.shutdown.leave.cancel();
                    while let Some(ended) = self.jobs.join_next().await {
                        self.count(ended);
                    }
                }
            }
        }
        clock.abort();
    }

    fn count(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        match ended {
            Ok(Ended::Finished(outcome)) if outcome.reason.is_success() => {
                self.tally.succeeded += 1;
            }
            Ok(Ended::Finished(_)) => self.tally.failed += 1,
            Ok(Ended::Left) => self.tally.left += 1,
            Ok(Ended::Lost) => self.tally.lost += 1,
            Ok(Ended::PutBack(_)) => self.tally.put_back += 1,
            Err(error) => {
                // Its journal entry stays, so the next start takes the job up again.
                tracing::error!(%error, "the worker of a job failed");
                self.tally.left += 1;
            }
        }
    }
}

/// Waits until something may have arrived; for ever, where the queue does not tell.
async fn arrival(arrivals: &mut Option<watch::Receiver<u64>>) {
    let has_changed = match arrivals {
        Some(arrivals) => arrivals.changed().await.is_ok(),
        None => false,
    };
    if !has_changed {
        std::future::pending::<()>().await;
    }
}
