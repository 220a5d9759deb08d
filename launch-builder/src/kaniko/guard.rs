//! What goes when a build goes, whether it ended or was dropped.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Inner;
use super::store::StoreError;
use crate::error::Error;

/// The traces of one build outside this process, until they are removed.
pub(super) struct Traces {
    inner: Arc<Inner>,
    pub(super) job: String,
    pub(super) archive: String,
    /// Nothing is left, or nothing is ours to remove.
    is_done: bool,
}

impl Traces {
    pub(super) fn new(inner: &Arc<Inner>, job: String, archive: String) -> Self {
        Self {
            inner: Arc::clone(inner),
            job,
            archive,
            is_done: false,
        }
    }

    /// Removes them after the build's end. What cannot be removed is told, and does not
    /// hide how the build ended.
    pub(super) async fn remove(mut self) {
        tell(remove(&self.inner, &self.job, &self.archive).await);
        self.is_done = true;
    }
}

impl Drop for Traces {
    /// The build's future was dropped: stop what runs, in a task of the runtime.
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let inner = Arc::clone(&self.inner);
        let (job, archive) = (
            std::mem::take(&mut self.job),
            std::mem::take(&mut self.archive),
        );
        let task = runtime.spawn(async move {
            tell(remove(&inner, &job, &archive).await);
        });
        let mut leaving = self
            .inner
            .leaving
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|task| !task.is_finished());
        leaving.push(task);
    }
}

/// Waits for all clean-ups under way.
pub(super) async fn settle(leaving: &Mutex<Vec<JoinHandle<()>>>) {
    let tasks = std::mem::take(&mut *leaving.lock().unwrap_or_else(PoisonError::into_inner));
    for task in tasks {
        let _ = task.await;
    }
}

/// The Job, what it owns, and the context.
pub(super) async fn remove(inner: &Inner, job: &str, archive: &str) -> Result<(), Error> {
    let removed = inner.cluster.delete_job(job).await;
    let discarded = discard(inner, archive).await;
    removed.and(discarded)
}

fn tell(removed: Result<(), Error>) {
    if let Err(error) = removed {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, source, "something of a build is left behind");
    }
}

/// Removes the context, unless it is to be kept.
async fn discard(inner: &Inner, archive: &str) -> Result<(), Error> {
    if inner.keeps_contexts {
        return Ok(());
    }
    let deleted = inner.store.delete(archive).await;
    deleted.map_err(|source| store_failed(inner, "delete from", source))
}

pub(super) fn store_failed(inner: &Inner, action: &'static str, source: StoreError) -> Error {
    Error::Store {
        store: inner.store.to_string(),
        action,
        source,
    }
}
