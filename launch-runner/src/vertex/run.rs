//! One custom job.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use launch_config::id::RunKey;
use serde_json::Value;

use super::output::Cursor;
use super::{NAME, Parts, label, state};
use crate::Error;
use crate::managed::{self, Fault, Look, Managed, Stand, patiently};
use crate::run::{Run, RunEvent, RunHandle, RunState};

/// How long the service may take to remove a job.
const REMOVAL: Duration = Duration::from_mins(1);

/// A custom job, found by its labels.
#[derive(Clone)]
pub(super) struct VertexRun {
    pub(super) parts: Arc<Parts>,
    /// Its id is the name of the custom job.
    pub(super) handle: RunHandle,
}

impl fmt::Debug for VertexRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VertexRun")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// The name of a job, as the service gives it.
pub(super) fn name_of(job: &Value) -> &str {
    job["name"].as_str().unwrap_or_default()
}

/// The jobs of a run, the one that counts first: the oldest, by time and then by name.
pub(super) async fn jobs_of(parts: &Parts, key: &RunKey) -> Result<Vec<Value>, Fault> {
    let filter = label::filter_of_run(key);
    let mut jobs = patiently(|| parts.api.list(&filter)).await?;
    // Names of runs may be digests; the labels hold the whole id.
    jobs.retain(|job| label::key_of(job).as_ref() == Some(key));
    let age = |job: &Value| {
        let created = job["createTime"].as_str().unwrap_or_default();
        (created.to_owned(), name_of(job).to_owned())
    };
    jobs.sort_by_key(age);
    Ok(jobs)
}

impl VertexRun {
    async fn jobs(&self) -> Result<Vec<Value>, Fault> {
        jobs_of(&self.parts, &self.handle.key).await
    }

    /// The job that counts. Others of the same run came from requests whose replies were
    /// lost; they are ended before they do harm.
    async fn job(&self) -> Result<Value, Fault> {
        let mut jobs = self.jobs().await?.into_iter();
        let job = jobs.next().ok_or(Fault::Absent)?;
        for other in jobs.filter(|job| !state::look(job).is_ended()) {
            end_duplicate(&self.parts, &other).await;
        }
        Ok(job)
    }

    fn failed(&self, action: &'static str, fault: Fault) -> Error {
        fault.about(NAME, action, &self.handle.key)
    }

    /// Removes an ended job; one that should not be is ended first.
    async fn remove(&self, job: &Value) -> Result<(), Fault> {
        if !state::look(job).is_ended() {
            end_duplicate(&self.parts, job).await;
            return Ok(());
        }
        match patiently(|| self.parts.api.delete(name_of(job))).await {
            Err(Fault::Absent) => Ok(()),
            other => other,
        }
    }
}

/// Ends a job that should not be.
pub(super) async fn end_duplicate(parts: &Parts, job: &Value) {
    let name = name_of(job);
    if let Err(fault) = parts.api.cancel(name).await {
        tracing::debug!(name, %fault, "a second job of a run is still there");
    }
}

#[async_trait]
impl Managed for VertexRun {
    const SERVICE: &'static str = "Vertex AI";
    type Cursor = Cursor;

    async fn look(&self) -> Result<Look, Fault> {
        self.job().await.map(|job| state::look(&job))
    }

    async fn read(&self, cursor: &mut Cursor, _ended: bool) -> Result<Option<Bytes>, Fault> {
        let id = self.handle.id.rsplit('/').next().unwrap_or_default();
        cursor.read(&self.parts.api, id).await
    }
}

#[async_trait]
impl Run for VertexRun {
    fn handle(&self) -> &RunHandle {
        &self.handle
    }

    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent> {
        managed::events(self.clone(), log_offset, self.parts.pace)
    }

    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error> {
        let slice = managed::slice(self, offset, limit).await;
        slice.map_err(|fault| self.failed("read the output of", fault))
    }

    async fn cancel(&self, _grace: Duration) -> Result<(), Error> {
        let failed = |fault| self.failed("cancel", fault);
        for job in self.jobs().await.map_err(failed)? {
            if state::look(&job).is_ended() {
                continue;
            }
            let name = name_of(&job);
            match patiently(|| self.parts.api.cancel(name)).await {
                Ok(()) | Err(Fault::Absent) => {}
                // It ended, or somebody else cancelled it, between the two calls.
                Err(fault) => match self.look().await.map_err(failed)?.stand {
                    Stand::Ended(_) | Stand::Alive(RunState::Stopping) => {}
                    Stand::Alive(_) => return Err(failed(fault)),
                },
            }
        }
        Ok(())
    }

    async fn clean_up(&self) -> Result<(), Error> {
        let failed = |fault| self.failed("clean up", fault);
        let jobs = self.jobs().await.map_err(failed)?;
        if jobs.first().is_some_and(|job| !state::look(job).is_ended()) {
            return Err(failed(Fault::Refused("it has not ended".to_owned())));
        }
        let gone = async {
            loop {
                let jobs = self.jobs().await?;
                if jobs.is_empty() {
                    return Ok(());
                }
                for job in &jobs {
                    self.remove(job).await?;
                }
                tokio::time::sleep(self.parts.pace.soon).await;
            }
        };
        let late = Err(Fault::Away("the job is still being removed".into()));
        tokio::time::timeout(REMOVAL, gone)
            .await
            .unwrap_or(late)
            .map_err(failed)
    }
}
