//! What happens to a process, told in order.

use std::io::SeekFrom;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use rustix::process::Pid;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::blocking;
use super::death::Death;
use super::directory::{RunDirectory, Status};
use crate::run::{RunEnd, RunEvent, RunState};

/// The most output one event carries.
const CHUNK: usize = 64 * 1024;
/// How soon we look again while there is output.
const SOON: Duration = Duration::from_millis(20);
/// How soon we look again at a silent run.
const LATER: Duration = Duration::from_millis(200);

/// Everything that happens to the run in `directory`, output from `offset` on.
pub(super) fn events(directory: RunDirectory, offset: u64) -> BoxStream<'static, RunEvent> {
    let watch = Watch {
        directory,
        log: None,
        offset,
        buffer: vec![0; CHUNK],
        state: None,
        watched: None,
        death: None,
        pause: SOON,
        end: None,
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
    directory: &RunDirectory,
    offset: u64,
    limit: usize,
) -> std::io::Result<Bytes> {
    let mut file = File::open(directory.log()).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    let mut output = Vec::new();
    file.take(limit as u64).read_to_end(&mut output).await?;
    Ok(output.into())
}

struct Watch {
    directory: RunDirectory,
    log: Option<File>,
    offset: u64,
    buffer: Vec<u8>,
    state: Option<RunState>,
    /// The supervisor whose end is listened for.
    watched: Option<Pid>,
    /// Tells at once when the supervisor ends; without it, the end is seen with the next look.
    death: Option<Death>,
    pause: Duration,
    end: Option<RunEnd>,
    done: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<RunEvent> {
        if self.done {
            return None;
        }
        loop {
            // The first thing told is the state; after it, output goes first.
            if self.state.is_some() || self.end.is_some() {
                if let Some(output) = self.read().await {
                    self.pause = SOON;
                    return Some(RunEvent::Log(output));
                }
                if let Some(end) = self.end.take() {
                    self.done = true;
                    return Some(RunEvent::Ended(end));
                }
            }
            match self.look().await {
                Look::Changed(state) => return Some(RunEvent::State(state)),
                // What it wrote last is still to be read.
                Look::Ended(end) => self.end = Some(end),
                Look::Same => self.wait().await,
            }
        }
    }

    /// Waits for a while, or until the run has ended.
    async fn wait(&mut self) {
        let pause = tokio::time::sleep(self.pause);
        self.pause = (self.pause * 2).min(LATER);
        match &self.death {
            // Heard of once: what is still to come then is seen by looking.
            Some(death) => tokio::select! {
                () = death.comes() => self.death = None,
                () = pause => {}
            },
            None => pause.await,
        }
    }

    /// Listens for the end of the supervisor. It may end, and its number be given to another,
    /// between look and watch: then the next look finds it gone.
    fn watch(&mut self, supervisor: Pid) {
        if self.watched != Some(supervisor) {
            self.watched = Some(supervisor);
            self.death = Death::of(supervisor);
        }
    }

    async fn look(&mut self) -> Look {
        let directory = self.directory.clone();
        let status = blocking(move || directory.status()).await;
        if let Ok(Status::Running { group, .. }) = &status {
            self.watch(*group);
        }
        let state = match status {
            Ok(Status::Ended(end)) => return Look::Ended(end),
            Ok(Status::Gone) => {
                return Look::Ended(RunEnd::lost("the run's directory was removed"));
            }
            Ok(Status::Unstarted) => RunState::Starting,
            Ok(Status::Running {
                stopping: false, ..
            }) => RunState::Running,
            Ok(Status::Running { stopping: true, .. }) => RunState::Stopping,
            Err(error) => {
                tracing::warn!(%error, "a run cannot be looked at; trying again");
                return Look::Same;
            }
        };
        if self.state.is_none_or(|known| known.may_become(state)) {
            self.state = Some(state);
            return Look::Changed(state);
        }
        Look::Same
    }

    /// The next piece of output, if there is some now.
    async fn read(&mut self) -> Option<Bytes> {
        match self.try_read().await {
            Ok(output) => output,
            Err(error) => {
                tracing::debug!(%error, "the output of a run cannot be read");
                None
            }
        }
    }

    async fn try_read(&mut self) -> std::io::Result<Option<Bytes>> {
        if self.log.is_none() {
            let mut file = File::open(self.directory.log()).await?;
            file.seek(SeekFrom::Start(self.offset)).await?;
            self.log = Some(file);
        }
        let Some(file) = &mut self.log else {
            return Ok(None);
        };
        let read = file.read(&mut self.buffer).await?;
        self.offset += read as u64;
        Ok((read > 0).then(|| Bytes::copy_from_slice(&self.buffer[..read])))
    }
}

enum Look {
    Same,
    Changed(RunState),
    Ended(RunEnd),
}
