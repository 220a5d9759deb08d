//! One run of a container.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::time::Instant;

use super::container::{self, Stand, labels_of};
use super::failure::{absent_is_none, answered, backend, status};
use super::{NAME, marker, watch};
use crate::Error;
use crate::run::{Run, RunEnd, RunEvent, RunHandle};

/// How long the engine may take to see that a container has ended.
const DEATH_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest grace the API takes, in seconds: more than a month.
const MAX_GRACE: u64 = 3_000_000;

/// A run of a container, found by its name.
#[derive(Clone)]
pub(super) struct DockerRun {
    pub(super) docker: Docker,
    pub(super) owner: String,
    /// Its id is the container's name, which is there before the container is.
    pub(super) handle: RunHandle,
}

impl fmt::Debug for DockerRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerRun")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

impl DockerRun {
    pub(super) fn failed(&self, action: &'static str, error: EngineError) -> Error {
        backend(action, &self.handle.key, error)
    }

    pub(super) async fn find(&self) -> Result<Option<ContainerInspectResponse>, EngineError> {
        container::inspect(&self.docker, &self.handle.id).await
    }

    pub(super) async fn is_cancelled(&self) -> Result<bool, Error> {
        let marked = marker::is_set(&self.docker, &self.handle.key).await;
        marked.map_err(|error| self.failed("find", error))
    }

    pub(super) async fn remove_container(&self) -> Result<(), EngineError> {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        let removed = answered(self.docker.remove_container(&self.handle.id, Some(options))).await;
        match removed {
            // 409: it is being removed already.
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            other => other,
        }
    }

    /// Where the container stands; `None` if there is none.
    async fn stand(&self, action: &'static str) -> Result<Option<Stand>, Error> {
        let found = self
            .find()
            .await
            .map_err(|error| self.failed(action, error))?;
        Ok(found.as_ref().map(container::stand))
    }

    /// The end of the run, given that of its container.
    pub(super) async fn end(&self, of_container: Option<RunEnd>) -> Result<RunEnd, EngineError> {
        if marker::is_set(&self.docker, &self.handle.key).await? {
            return Ok(RunEnd::cancelled());
        }
        Ok(of_container.unwrap_or_else(|| {
            RunEnd::lost("the run's container is gone, and with it how the run ended")
        }))
    }

    async fn mark_cancelled(&self) -> Result<(), Error> {
        let labels = labels_of(&self.handle.key, &self.owner);
        let marked = marker::set(&self.docker, &self.handle.key, labels).await;
        marked.map_err(|error| self.failed("cancel", error))
    }

    /// Stops a running container: the engine asks, waits, and forces.
    async fn stop(&self, paused: bool, grace: Duration) -> Result<(), Error> {
        if paused {
            // If it was thawed since, this fails, and all is well.
            let thawed = answered(self.docker.unpause_container(&self.handle.id)).await;
            tracing::debug!(key = %self.handle.key, ?thawed, "unpaused");
        }
        let seconds = (grace.as_secs() + u64::from(grace.subsec_nanos() > 0)).min(MAX_GRACE);
        let t = i32::try_from(seconds).unwrap_or(i32::MAX);
        // The engine answers only when it is done.
        let docker = self
            .docker
            .clone()
            .with_timeout(Duration::from_secs(seconds) + DEATH_TIMEOUT);
        let options = StopContainerOptionsBuilder::new().t(t).build();
        let stopped = docker.stop_container(&self.handle.id, Some(options)).await;
        absent_is_none(stopped)
            .map(drop)
            .map_err(|error| self.failed("cancel", error))?;
        if self.ends_within(DEATH_TIMEOUT).await? {
            return Ok(());
        }
        self.kill().await
    }

    async fn kill(&self) -> Result<(), Error> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let killed = answered(self.docker.kill_container(&self.handle.id, Some(options))).await;
        if self.ends_within(DEATH_TIMEOUT).await? {
            return Ok(());
        }
        let stuck = killed.err().unwrap_or(EngineError::RequestTimeoutError);
        Err(self.failed("cancel", stuck))
    }

    async fn ends_within(&self, limit: Duration) -> Result<bool, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if !matches!(self.stand("cancel").await?, Some(Stand::Running { .. })) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[async_trait]
impl Run for DockerRun {
    fn handle(&self) -> &RunHandle {
        &self.handle
    }

    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent> {
        watch::events(self.clone(), log_offset)
    }

    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error> {
        let output = watch::slice(self, offset, limit).await;
        match absent_is_none(output).map_err(|error| self.failed("read the output of", error))? {
            Some(output) => Ok(output),
            // It was cancelled before it had a container that could write.
            None if self.is_cancelled().await? => Ok(Bytes::new()),
            None => Err(Error::Lost(self.handle.key.clone())),
        }
    }

    async fn cancel(&self, grace: Duration) -> Result<(), Error> {
        if matches!(self.stand("cancel").await?, None | Some(Stand::Ended(_))) {
            return Ok(());
        }
        // First the mark: whoever is about to start the container sees it.
        let was_marked = self.is_cancelled().await?;
        self.mark_cancelled().await?;
        match self.stand("cancel").await? {
            Some(Stand::Created) => self
                .remove_container()
                .await
                .map_err(|error| self.failed("cancel", error)),
            Some(Stand::Running { paused }) => self.stop(paused, grace).await,
            // It ended by itself between the two looks; nobody was told otherwise yet.
            Some(Stand::Ended(_)) if !was_marked => marker::clear(&self.docker, &self.handle.key)
                .await
                .map_err(|error| self.failed("cancel", error)),
            None | Some(Stand::Ended(_)) => Ok(()),
        }
    }

    async fn clean_up(&self) -> Result<(), Error> {
        let failed = |error| self.failed("clean up", error);
        if matches!(self.stand("clean up").await?, Some(Stand::Running { .. })) {
            let key = self.handle.key.clone();
            let source = "it has not ended".into();
            return Err(Error::Backend {
                runner: NAME,
                action: "clean up",
                key,
                source,
            });
        }
        self.remove_container().await.map_err(failed)?;
        // The mark goes last: without a container, it still tells the right end.
        marker::clear(&self.docker, &self.handle.key)
            .await
            .map_err(failed)
    }
}
