//! What happens to a run, told in order, whatever happens to the connection.

mod faults;

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use kube::Error as ApiError;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::faults::Faults;
use super::end::{self, Noted};
use super::failure::{absent_is_none, answered, code, words};
use super::hub::{Follower, Pod, View};
use super::output::{Output, Read};
use super::run::{Identity, KubernetesRun};
use super::stand::{self, Stand};
use crate::run::{RunEnd, RunEvent, RunState};

/// How many events may wait for the watcher.
const ROOM: usize = 8;
/// The first and the longest pause between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(15));
/// How long trouble may last before people are told.
const WORTH_A_WARNING: Duration = Duration::from_secs(10);
/// How long a pod may take to end that is being taken away.
const LINGER: Duration = Duration::from_mins(2);
/// How long we wait for a log whose stream ended while its program runs.
const REOPEN: Duration = Duration::from_millis(500);
/// How long a silent log is listened to before it is opened again: the connection may be
/// dead without saying so. Where all has ended, sooner.
const SILENCE: Duration = Duration::from_mins(10);
const LAST_SILENCE: Duration = Duration::from_mins(1);

/// Everything that happens to `run`, output from `offset` on.
pub(super) fn events(run: KubernetesRun, offset: u64) -> BoxStream<'static, RunEvent> {
    let (sender, receiver) = mpsc::channel(ROOM);
    let task = AbortOnDrop(tokio::spawn(async move {
        let mut watch = Watch::new(run, offset, sender);
        // Only when nobody listens any more.
        let _: Result<(), Gone> = watch.tell().await;
    }));
    stream::unfold((receiver, task), |(mut receiver, task)| async move {
        let event = receiver.recv().await?;
        Some((event, (receiver, task)))
    })
    .boxed()
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Nobody listens any more.
struct Gone;

struct Watch {
    run: KubernetesRun,
    sender: mpsc::Sender<RunEvent>,
    output: Output,
    state: Option<RunState>,
    faults: Faults,
    /// Since when the cluster does not answer.
    trouble: Option<Instant>,
    told_trouble: bool,
    pause: Duration,
    /// When what is left of a run is removed by force whose end is noted.
    condemned: Option<Instant>,
    /// Not before this is a log opened again.
    reopen: Option<Instant>,
}

impl Watch {
    fn new(run: KubernetesRun, offset: u64, sender: mpsc::Sender<RunEvent>) -> Self {
        Self {
            output: Output::new(run.cluster.logs(&run.namespace), offset),
            run,
            sender,
            state: None,
            faults: Faults::default(),
            trouble: None,
            told_trouble: false,
            pause: BACKOFF.0,
            condemned: None,
            reopen: None,
        }
    }

    async fn send(&mut self, event: RunEvent) -> Result<(), Gone> {
        self.sender.send(event).await.map_err(|_| Gone)
    }

    async fn tell(&mut self) -> Result<(), Gone> {
        let end = loop {
            match self.follow().await {
                Ok(Ok(end)) => break end,
                Ok(Err(gone)) => return Err(gone),
                Err(error) => self.back_off(&words(&error)).await?,
            }
        };
        self.send(RunEvent::Ended(end)).await
    }

    /// Follows the run to its end. The outer error is the cluster's, and worth another try.
    async fn follow(&mut self) -> Result<Result<RunEnd, Gone>, ApiError> {
        let Some(record) = self.run.record().await? else {
            return Ok(Ok(vanished()));
        };
        let Some(identity) = Identity::of(&record) else {
            return Ok(Ok(self.end_without_main().await?));
        };
        let run = &self.run;
        let hub = &run.cluster.hub;
        let mut follower = hub.follow(&run.namespace, &identity.kind, &run.name);
        match run.main(&identity).await? {
            Some(main) => follower.seed(&main),
            None => return Ok(Ok(self.end_without_main().await?)),
        }
        loop {
            let mut view = follower.view();
            if let Some(main) = &view.main
                && main.deleted
                && run_is_gone(&self.run, &identity, &main.uid).await?
            {
                view.refresh(self.run.pods().await?);
                let end = self.end_of_deleted(&identity, &view).await?;
                return Ok(self.drain(&mut view, end).await);
            }
            let mut stand = stand::of(&identity.kind, &view);
            if stand.end.is_some() {
                // The watches of the object and of its pods do not wait for each other.
                view.refresh(self.run.pods().await?);
                stand = stand::of(&identity.kind, &view);
            }
            if let Err(gone) = self.told(&stand, &view).await {
                return Ok(Err(gone));
            }
            let late = self.faults.overdue(&stand.faults, self.run.patience);
            if let Some(end) = late {
                self.cut_short(&end).await?;
                view.refresh(self.run.pods().await?);
                return Ok(self.drain(&mut view, end).await);
            }
            match stand.end {
                Some(end) if stand.must_note => self.condemn(&end).await?,
                Some(end) => return Ok(self.drain(&mut view, end).await),
                None => self.force_condemned().await?,
            }
            if let Err(gone) = self.listen(&mut follower, &view.pods).await? {
                return Ok(Err(gone));
            }
        }
    }

    /// Tells output until something else has changed.
    async fn listen(
        &mut self,
        follower: &mut Follower,
        pods: &[Pod],
    ) -> Result<Result<(), Gone>, ApiError> {
        let waits = self.reopen.is_some_and(|time| time > Instant::now());
        let opened = if waits {
            Ok(false)
        } else {
            self.output.open(pods).await
        };
        let mut reopen = self.reopen.filter(|_| waits);
        match opened {
            Ok(_) => {}
            // Its container has not started, or its node is away.
            Err(error) if matches!(code(&error), Some(400 | 500 | 502 | 503 | 504)) => {
                reopen = Some(Instant::now() + REOPEN);
            }
            Err(error) => return Err(error),
        }
        self.reopen = reopen;
        let deadline = self.faults.next_deadline(self.run.patience);
        let deadline = deadline
            .into_iter()
            .chain(reopen)
            .chain(self.condemned)
            .min();
        let silence = Instant::now() + SILENCE;
        tokio::select! {
            () = follower.changed() => {}
            read = self.output.read(), if self.output.is_open() => match read {
                Ok(Read::Piece(piece)) => {
                    self.calm();
                    return Ok(self.send(RunEvent::Log(piece)).await);
                }
                Ok(Read::Pause) => self.reopen = Some(Instant::now() + REOPEN),
                Err(error) => {
                    tracing::debug!(key = %self.run.handle.key, %error, "opening the log again");
                    self.output.interrupt();
                    self.reopen = Some(Instant::now() + REOPEN);
                }
            },
            () = until(deadline) => {}
            () = until(Some(silence)) => self.output.interrupt(),
            () = self.sender.closed() => return Ok(Err(Gone)),
        }
        Ok(Ok(()))
    }

    /// Tells the output that is still to be had, then answers the end.
    async fn drain(&mut self, view: &mut View, end: RunEnd) -> Result<RunEnd, Gone> {
        let mut failures = 0;
        loop {
            let step = match self.output.open(&view.pods).await {
                Ok(false) => return Ok(end),
                Ok(true) if self.output.is_open() => {
                    let read = tokio::time::timeout(LAST_SILENCE, self.output.read()).await;
                    read.unwrap_or_else(|_| Err(ApiError::Service("the log is silent".into())))
                }
                Ok(true) => Ok(Read::Pause),
                Err(error) => Err(error),
            };
            match step {
                Ok(Read::Piece(piece)) => {
                    failures = 0;
                    self.send(RunEvent::Log(piece)).await?;
                }
                Ok(Read::Pause) => {}
                Err(error) => {
                    failures += 1;
                    tracing::debug!(key = %self.run.handle.key, %error, failures, "reading the rest");
                    self.output.interrupt();
                    let lost = matches!(code(&error), Some(400 | 404));
                    if lost || failures >= 8 {
                        let text =
                            format!("the rest of the output cannot be had: {}", words(&error));
                        self.send(RunEvent::Warning(text)).await?;
                        return Ok(end);
                    }
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    async fn told(&mut self, stand: &Stand, view: &View) -> Result<(), Gone> {
        match &view.trouble {
            Some(trouble) => {
                let since = *self.trouble.get_or_insert_with(Instant::now);
                if !self.told_trouble && since.elapsed() >= WORTH_A_WARNING {
                    self.told_trouble = true;
                    let text = format!("the cluster does not answer ({trouble}); still trying");
                    self.send(RunEvent::Warning(text)).await?;
                }
            }
            None => self.calm(),
        }
        let moves = self.state.is_none_or(|known| known.may_become(stand.state));
        if moves && stand.state != RunState::Ended {
            self.state = Some(stand.state);
            self.send(RunEvent::State(stand.state)).await?;
        }
        for text in self.faults.note(&stand.faults) {
            self.send(RunEvent::Warning(text)).await?;
        }
        Ok(())
    }

    /// Notes an end only we know of, and ends what is left.
    async fn cut_short(&mut self, end: &RunEnd) -> Result<(), ApiError> {
        if end::note(&self.run, end).await? == Noted::Noted {
            end::stop(&self.run, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Notes the end of a run whose pod is being taken away. What it writes in the grace it
    /// has is told like the rest; nothing takes its place.
    async fn condemn(&mut self, end: &RunEnd) -> Result<(), ApiError> {
        if self.condemned.is_none() && end::note(&self.run, end).await? == Noted::Noted {
            end::halt(&self.run).await?;
        }
        self.condemned
            .get_or_insert_with(|| Instant::now() + LINGER);
        self.force_condemned().await
    }

    /// Removes what outlived its grace: its node may be gone.
    async fn force_condemned(&mut self) -> Result<(), ApiError> {
        if self.condemned.is_some_and(|time| time <= Instant::now()) {
            end::stop(&self.run, Duration::ZERO).await?;
            self.condemned = Some(Instant::now() + LINGER);
        }
        Ok(())
    }

    /// The end of a run whose object is not there.
    async fn end_without_main(&mut self) -> Result<RunEnd, ApiError> {
        let record = self.run.record().await?;
        let noted = record.as_ref().and_then(stand::noted_on);
        Ok(noted.unwrap_or_else(vanished))
    }

    async fn end_of_deleted(
        &mut self,
        identity: &Identity,
        view: &View,
    ) -> Result<RunEnd, ApiError> {
        // It may have ended before it was deleted, by its own time to live.
        if let Some(end) = stand::of(&identity.kind, view).end {
            return Ok(end);
        }
        let record = self.run.record().await?;
        let noted = record.as_ref().and_then(stand::noted_on);
        let main = view
            .main
            .as_ref()
            .and_then(|main| stand::noted(&main.object));
        Ok(noted.or(main).unwrap_or_else(|| {
            let Identity { kind, name } = identity;
            RunEnd::lost(format!(
                "somebody deleted {kind} `{name}`, and the run with it"
            ))
        }))
    }

    fn calm(&mut self) {
        (self.trouble, self.told_trouble, self.pause) = (None, false, BACKOFF.0);
    }

    /// Waits before the next try; says so once, if it takes long.
    async fn back_off(&mut self, error: &str) -> Result<(), Gone> {
        tracing::debug!(key = %self.run.handle.key, error, "watching again");
        self.output.interrupt();
        let since = *self.trouble.get_or_insert_with(Instant::now);
        if !self.told_trouble && since.elapsed() >= WORTH_A_WARNING {
            self.told_trouble = true;
            let text = format!("the cluster does not answer ({error}); still trying");
            self.send(RunEvent::Warning(text)).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = self.sender.closed() => return Err(Gone),
        }
        self.pause = (self.pause * 2).min(BACKOFF.1);
        Ok(())
    }
}

fn vanished() -> RunEnd {
    RunEnd::lost("the run's object is gone from the cluster, and with it how the run ended")
}

/// Whether an object that the watch calls deleted is not there, asked of the cluster.
async fn run_is_gone(
    run: &KubernetesRun,
    identity: &Identity,
    uid: &str,
) -> Result<bool, ApiError> {
    let api = run.cluster.api(&identity.kind, &run.namespace);
    let found = absent_is_none(answered(api.get_metadata(&identity.name)).await)?;
    Ok(found.is_none_or(|found| found.metadata.uid.as_deref() != Some(uid)))
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
