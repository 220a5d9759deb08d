//! What happens to a container, told in order, whatever happens to the connection.

use std::time::Duration;

use bollard::errors::Error as EngineError;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use super::container::{Stand, stand};
use super::output::{Checkpoints, Output};
use super::run::DockerRun;
use crate::run::{RunEnd, RunEvent, RunState};

/// How long a silent container is listened to before we ask whether it still runs: the
/// connection may be dead without saying so.
const SILENCE: Duration = Duration::from_secs(30);
/// The first and the longest pause between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// From this pause on, people are told that we wait.
const WORTH_A_WARNING: Duration = Duration::from_secs(2);
/// How long reading a piece of a log may take.
const SLICE_TIMEOUT: Duration = Duration::from_mins(1);

/// Everything that happens to `run`, output from `offset` on.
pub(super) fn events(run: DockerRun, offset: u64) -> BoxStream<'static, RunEvent> {
    let watch = Watch {
        run,
        delivered: offset,
        output: None,
        checkpoints: Checkpoints::default(),
        state: None,
        end: None,
        pause: BACKOFF.0,
        warned: false,
        done: false,
    };
    stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((event, watch))
    })
    .boxed()
}

/// At most `limit` bytes of output from `offset` on.
pub(super) async fn slice(
    run: &DockerRun,
    offset: u64,
    limit: usize,
) -> Result<Bytes, EngineError> {
    let reading = async {
        let mut checkpoints = Checkpoints::default();
        let mut output = Output::open(&run.docker, &run.handle.id, false, &checkpoints, offset);
        let mut slice = BytesMut::new();
        while slice.len() < limit {
            let Some(piece) = output.next(&mut checkpoints).await else {
                break;
            };
            slice.extend_from_slice(&piece?);
        }
        slice.truncate(limit);
        Ok(slice.freeze())
    };
    tokio::time::timeout(SLICE_TIMEOUT, reading)
        .await
        .unwrap_or(Err(EngineError::RequestTimeoutError))
}

struct Watch {
    run: DockerRun,
    /// How many bytes of output were told, or need not be.
    delivered: u64,
    output: Option<Output>,
    checkpoints: Checkpoints,
    state: Option<RunState>,
    end: Option<RunEnd>,
    pause: Duration,
    warned: bool,
    done: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<RunEvent> {
        if self.done {
            return None;
        }
        loop {
            let step = match self.output.take() {
                Some(output) => self.read(output).await,
                None => self.look().await,
            };
            match step {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(key = %self.run.handle.key, %error, "watching again");
                    if let Some(warning) = self.back_off(&error).await {
                        return Some(warning);
                    }
                }
            }
        }
    }

    /// Tells the next output. At the end of a log, either the container is known to have
    /// ended, and this was all of it, or it is looked at again.
    async fn read(&mut self, mut output: Output) -> Result<Option<RunEvent>, EngineError> {
        let Ok(first) = tokio::time::timeout(SILENCE, output.next(&mut self.checkpoints)).await
        else {
            return self.still_runs(output).await;
        };
        let Some(first) = first else {
            self.done = self.end.is_some();
            return Ok(self.end.take().map(RunEvent::Ended));
        };
        let first = first.inspect_err(|_| self.end = None)?;
        let piece = output.gather(first, &mut self.checkpoints);
        self.delivered += piece.len() as u64;
        self.output = Some(output);
        if piece.is_empty() {
            return Ok(None);
        }
        (self.pause, self.warned) = (BACKOFF.0, false);
        Ok(Some(RunEvent::Log(piece)))
    }

    /// After a long silence: keeps listening if there is still something to hear.
    async fn still_runs(&mut self, output: Output) -> Result<Option<RunEvent>, EngineError> {
        let found = self.run.find().await?;
        if matches!(found.as_ref().map(stand), Some(Stand::Running { .. })) {
            self.output = Some(output);
        }
        Ok(None)
    }

    /// Asks where the container stands, and opens its log.
    async fn look(&mut self) -> Result<Option<RunEvent>, EngineError> {
        let found = self.run.find().await?;
        match found.as_ref().map(stand) {
            None => {
                let end = self.run.end(None).await?;
                self.done = true;
                return Ok(Some(RunEvent::Ended(end)));
            }
            Some(Stand::Created) => {
                tokio::time::sleep(BACKOFF.0).await;
                return Ok(self.enter(RunState::Starting));
            }
            Some(Stand::Running { .. }) => self.listen(true),
            Some(Stand::Ended(end)) => {
                // Its log is complete now. Its end is read again: a followed log may miss
                // what came last.
                self.end = Some(self.run.end(Some(end)).await?);
                self.listen(false);
                return Ok(None);
            }
        }
        Ok(self.enter(RunState::Running))
    }

    fn listen(&mut self, follow: bool) {
        let name = &self.run.handle.id;
        let (docker, checkpoints) = (&self.run.docker, &self.checkpoints);
        self.output = Some(Output::open(
            docker,
            name,
            follow,
            checkpoints,
            self.delivered,
        ));
    }

    fn enter(&mut self, state: RunState) -> Option<RunEvent> {
        let moves = self.state.is_none_or(|known| known.may_become(state));
        moves.then(|| {
            self.state = Some(state);
            RunEvent::State(state)
        })
    }

    /// Waits before the next try; says so once, if it takes long.
    async fn back_off(&mut self, error: &EngineError) -> Option<RunEvent> {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(BACKOFF.1);
        if self.warned || self.pause < WORTH_A_WARNING {
            return None;
        }
        self.warned = true;
        let text = format!("the Docker Engine does not answer ({error}); still trying");
        Some(RunEvent::Warning(text))
    }
}
