//! One run of a process.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::directory::{RunDirectory, Status};
use super::{NAME, backend, blocking, signals, watch};
use crate::Error;
use crate::run::{Run, RunEvent, RunHandle};

/// How often we look whether a run has ended.
const POLL: Duration = Duration::from_millis(20);
/// How long a killed group may take to die; more means it hangs in the kernel.
const DEATH_TIMEOUT: Duration = Duration::from_secs(10);

/// A run of a process, found by its directory.
#[derive(Debug)]
pub(super) struct ProcessRun {
    handle: RunHandle,
    directory: RunDirectory,
}

impl ProcessRun {
    pub(super) fn new(handle: RunHandle, directory: RunDirectory) -> Self {
        Self { handle, directory }
    }

    async fn status(&self, action: &'static str) -> Result<Status, Error> {
        let directory = self.directory.clone();
        blocking(move || directory.status())
            .await
            .map_err(|e| self.failed(action, e))
    }

    fn failed(&self, action: &'static str, error: io::Error) -> Error {
        backend(action, &self.handle.key, error)
    }

    /// Waits until no supervisor lives; whether that came within `limit`.
    async fn ends_within(&self, limit: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if !matches!(self.status("cancel").await?, Status::Running { .. }) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(POLL.min(limit)).await;
        }
    }
}

#[async_trait]
impl Run for ProcessRun {
    fn handle(&self) -> &RunHandle {
        &self.handle
    }

    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent> {
        watch::events(self.directory.clone(), log_offset)
    }

    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error> {
        match watch::slice(&self.directory, offset, limit).await {
            Ok(output) => Ok(output),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.status("read the output of").await? {
                    Status::Gone => Err(Error::Lost(self.handle.key.clone())),
                    _ => Ok(Bytes::new()),
                }
            }
            Err(error) => Err(self.failed("read the output of", error)),
        }
    }

    async fn cancel(&self, grace: Duration) -> Result<(), Error> {
        if matches!(
            self.status("cancel").await?,
            Status::Gone | Status::Ended(_)
        ) {
            return Ok(());
        }
        // First the marker: whoever claims the start from here on sees it and starts nothing.
        let directory = self.directory.clone();
        blocking(move || directory.mark_cancelled())
            .await
            .map_err(|e| self.failed("cancel", e))?;
        let Status::Running { group, .. } = self.status("cancel").await? else {
            return Ok(());
        };
        signals::terminate(group);
        if self.ends_within(grace).await? {
            return Ok(());
        }
        tracing::info!(key = %self.handle.key, ?grace, "the run did not end in time; killing it");
        signals::kill(group);
        let path = self.directory.path().to_owned();
        blocking(move || signals::end_leftovers(&path)).await;
        if self.ends_within(DEATH_TIMEOUT).await? {
            return Ok(());
        }
        let stuck = io::Error::new(io::ErrorKind::TimedOut, "it was killed and is still there");
        Err(self.failed("cancel", stuck))
    }

    async fn clean_up(&self) -> Result<(), Error> {
        if matches!(self.status("clean up").await?, Status::Running { .. }) {
            return Err(self.failed("clean up", io::Error::other("it has not ended")));
        }
        let directory = self.directory.clone();
        blocking(move || directory.remove())
            .await
            .map_err(|e| self.failed("clean up", e))
    }
}

impl ProcessRun {
    /// The handle of the run in `directory`.
    pub(super) fn handle_of(key: launch_config::id::RunKey, directory: &RunDirectory) -> RunHandle {
        RunHandle::new(NAME, key, directory.path().to_string_lossy())
    }
}
