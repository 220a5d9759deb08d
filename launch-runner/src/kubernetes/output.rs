//! The output of a run, read so that it can be read on after an interruption.
//!
//! It is the output of the first container of the run's first pod; when that pod has ended
//! or was replaced, that of the next one made after it. Pods that work side by side write
//! logs of their own, which are not mixed into it.
//!
//! The API gives a log from its beginning or from a second on, not from a byte. So each
//! message is asked for with its time, and while we count bytes we remember where seconds
//! began: from there the log is asked for again, and what was told is passed over.

mod reading;
mod stamps;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Error as ApiError;
use kube::api::Api;

use self::reading::{Reading, Source};
use super::failure::code;
use super::hub::Pod;
use super::run::KubernetesRun;

/// How long reading a piece of a log may take.
const SLICE_TIMEOUT: Duration = Duration::from_mins(1);

/// Where the reading of a run's output stands.
pub(super) struct Output {
    pods: Api<ApiPod>,
    /// How many bytes of output need not be told.
    skip: u64,
    current: Option<Reading>,
    /// What was read to its end.
    done: Vec<Source>,
    /// Whether to wait for what is still to be written.
    follows: bool,
}

/// What reading came to.
pub(super) enum Read {
    /// Output.
    Piece(Bytes),
    /// Nothing more is there now.
    Pause,
}

impl Output {
    /// The output of pods in `pods`, from `offset` bytes on.
    pub(super) fn new(pods: Api<ApiPod>, offset: u64) -> Self {
        Self {
            pods,
            skip: offset,
            current: None,
            done: Vec::new(),
            follows: true,
        }
    }

    /// Reads only what is there.
    pub(super) fn without_following(mut self) -> Self {
        self.follows = false;
        self
    }

    /// Whether a log is open, so that reading waits for the program to write.
    pub(super) fn is_open(&self) -> bool {
        self.current.as_ref().is_some_and(Reading::is_open)
    }

    /// Opens what is to be read next, if there is something.
    ///
    /// `false`: everything that there is was read.
    pub(super) async fn open(&mut self, pods: &[Pod]) -> Result<bool, ApiError> {
        while !self.is_open() {
            if self.current.is_none() {
                let Some(source) = self.next_source(pods) else {
                    return Ok(false);
                };
                self.current = Some(Reading::new(source));
            }
            self.open_current(pods).await?;
        }
        Ok(true)
    }

    /// Opens the current log, or gives it up.
    async fn open_current(&mut self, pods: &[Pod]) -> Result<(), ApiError> {
        let Some(reading) = &mut self.current else {
            return Ok(());
        };
        let pod = pods.iter().find(|pod| pod.uid == reading.source.uid);
        let restarts = reading.source.restarts;
        // Only the log of the last start is kept, and only while there is a pod.
        let Some(pod) = pod.filter(|pod| !pod.gone && pod.restarts() <= restarts) else {
            self.finish();
            return Ok(());
        };
        let is_last = !self.follows || pod.has_ended(restarts);
        let follow = self.follows && !pod.has_stopped(restarts);
        match reading.open(&self.pods, follow, is_last).await {
            // Its pod is gone, and the log with it; or its node is.
            Err(error) if code(&error) == Some(404) => {
                self.finish();
                Ok(())
            }
            other => other,
        }
    }

    /// The next output of the log that is open; waits for it.
    pub(super) async fn read(&mut self) -> Result<Read, ApiError> {
        let Some(reading) = &mut self.current else {
            return Ok(Read::Pause);
        };
        let piece = reading.next(&mut self.skip).await?;
        if let Some(piece) = piece {
            return Ok(Read::Piece(piece));
        }
        if reading.is_last {
            self.finish();
        }
        Ok(Read::Pause)
    }

    /// Whether a log was open that has to be opened again.
    pub(super) fn interrupt(&mut self) {
        if let Some(reading) = &mut self.current {
            reading.close();
        }
    }

    fn finish(&mut self) {
        self.done
            .extend(self.current.take().map(|reading| reading.source));
    }

    /// The first start of the first pod; then, of the pods made after the last one was,
    /// the first.
    fn next_source(&self, pods: &[Pod]) -> Option<Source> {
        let Some(last) = self.done.last() else {
            let first = pods.iter().find(|pod| pod.has_started(0) && !pod.gone)?;
            return Some(source(first, first.restarts()));
        };
        if let Some(pod) = pods.iter().find(|pod| pod.uid == last.uid) {
            let again = pod.restarts();
            if again > last.restarts {
                return (pod.has_started(again) && !pod.gone).then(|| source(pod, again));
            }
            if !(pod.gone || pod.phase == "Failed") {
                return None;
            }
        }
        let known = |pod: &&Pod| self.done.iter().any(|source| source.uid == pod.uid);
        let made = pods
            .iter()
            .find(|pod| pod.uid == last.uid)
            .map(|pod| &pod.created);
        let mut later = pods
            .iter()
            .filter(|pod| !known(pod) && !pod.gone && pod.has_started(0))
            .filter(|pod| made.is_none_or(|made| pod.created > *made));
        later.next().map(|pod| source(pod, pod.restarts()))
    }
}

fn source(pod: &Pod, restarts: u64) -> Source {
    Source {
        uid: pod.uid.clone(),
        pod: pod.name.clone(),
        container: pod.leader.clone(),
        restarts,
    }
}

/// At most `limit` bytes of output from `offset` on, as far as it is there.
pub(super) async fn slice(
    run: &KubernetesRun,
    offset: u64,
    limit: usize,
) -> Result<Bytes, ApiError> {
    let reading = async {
        let pods = run.pods().await?;
        let mut output = Output::new(run.cluster.logs(&run.namespace), offset).without_following();
        let mut slice = BytesMut::new();
        while slice.len() < limit && output.open(&pods).await? {
            if let Read::Piece(piece) = output.read().await? {
                slice.extend_from_slice(&piece);
            }
        }
        slice.truncate(limit);
        Ok(slice.freeze())
    };
    tokio::time::timeout(SLICE_TIMEOUT, reading)
        .await
        .unwrap_or_else(|_| Err(ApiError::Service("the log took too long".into())))
}
