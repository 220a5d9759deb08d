//! The output of a run, read so that it can be read on after an interruption.
//!
//! It is the output of the first container of the run's first pod; when that pod has ended
//! or was replaced, that of the next one made after it. Pods that work side by side write
//! logs of their own, which are not mixed into it.
//!
//! The API gives a log from its beginning or from a second on, not from a byte. So each
//! message is asked for with its time, and while we count bytes we remember where seconds
//! began: from there the log is asked for again, and what was told is passed over.

mod stamps;

use std::pin::Pin;

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt as _};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Error as ApiError;
use kube::api::{Api, LogParams};

use self::stamps::Stamps;
use super::failure::{answered, code};
use super::hub::Pod;

/// Output that is there already is told in pieces of about this size.
const PIECE: usize = 64 * 1024;

/// One start of a pod's program.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    uid: String,
    pod: String,
    container: String,
    restarts: u64,
}

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

/// A log being read.
struct Reading {
    source: Source,
    stamps: Stamps,
    /// How much of this log was read, told or not.
    read: u64,
    stream: Option<Pin<Box<dyn AsyncBufRead + Send>>>,
    /// Whether the program had ended when the stream was opened, so that its end is that
    /// of the log.
    is_last: bool,
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
        self.current
            .as_ref()
            .is_some_and(|reading| reading.stream.is_some())
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
            reading.stream = None;
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

impl Reading {
    fn new(source: Source) -> Self {
        Self {
            source,
            stamps: Stamps::default(),
            read: 0,
            stream: None,
            is_last: false,
        }
    }

    async fn open(
        &mut self,
        pods: &Api<ApiPod>,
        follow: bool,
        is_last: bool,
    ) -> Result<(), ApiError> {
        let since = self.stamps.restart();
        let params = LogParams {
            container: Some(self.source.container.clone()),
            follow,
            timestamps: true,
            since_time: since.and_then(|time| time.parse().ok()),
            ..LogParams::default()
        };
        let stream = answered(pods.log_stream(&self.source.pod, &params)).await?;
        self.stream = Some(Box::pin(stream));
        self.is_last = is_last;
        Ok(())
    }

    /// Output that was not told, without the first `skip` bytes of the run; `None` at the
    /// end of the stream.
    async fn next(&mut self, skip: &mut u64) -> Result<Option<Bytes>, ApiError> {
        loop {
            let Some(stream) = &mut self.stream else {
                return Ok(None);
            };
            let mut piece = Vec::new();
            let chunk = stream.fill_buf().await.map_err(ApiError::ReadEvents)?;
            let mut at_end = chunk.is_empty();
            let length = chunk.len();
            self.stamps.feed(chunk, &mut piece);
            stream.consume_unpin(length);
            while !at_end && piece.len() < PIECE {
                let Some(more) = stream.fill_buf().now_or_never() else {
                    break;
                };
                let Ok(chunk) = more else { break };
                at_end = chunk.is_empty();
                let length = chunk.len();
                self.stamps.feed(chunk, &mut piece);
                stream.consume_unpin(length);
            }
            if at_end {
                self.stamps.finish(&mut piece);
                self.stream = None;
            }
            let piece = self.untold(Bytes::from(piece), skip);
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if self.stream.is_none() {
                return Ok(None);
            }
        }
    }

    /// Passes over what was read before this stream was opened, and what need not be told.
    fn untold(&mut self, mut piece: Bytes, skip: &mut u64) -> Bytes {
        let end = self.stamps.position();
        let start = end - piece.len() as u64;
        piece.advance(within(self.read.saturating_sub(start), &piece));
        self.read = self.read.max(end);
        let passed = within(*skip, &piece);
        *skip -= passed as u64;
        piece.advance(passed);
        piece
    }
}

fn within(number: u64, piece: &Bytes) -> usize {
    usize::try_from(number).map_or(piece.len(), |number| number.min(piece.len()))
}
