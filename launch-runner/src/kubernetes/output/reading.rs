//! The log of one start of a program.

use std::pin::Pin;

use bytes::{Buf as _, Bytes};
use futures_util::FutureExt as _;
use futures_util::io::{AsyncBufRead, AsyncBufReadExt as _};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Error as ApiError;
use kube::api::{Api, LogParams};

use super::super::failure::answered;
use super::stamps::Stamps;

/// Output that is there already is told in pieces of about this size.
const PIECE: usize = 64 * 1024;

/// One start of a pod's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uid: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) restarts: u64,
}

/// A log being read.
pub(super) struct Reading {
    pub(super) source: Source,
    stamps: Stamps,
    /// How much of this log was read, told or not.
    read: u64,
    stream: Option<Pin<Box<dyn AsyncBufRead + Send>>>,
    /// Whether the program had ended when the stream was opened, so that its end is that
    /// of the log.
    pub(super) is_last: bool,
}

impl Reading {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            stamps: Stamps::default(),
            read: 0,
            stream: None,
            is_last: false,
        }
    }

    /// Whether the program may still write to what is read.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub(super) fn close(&mut self) {
        self.stream = None;
    }

    pub(super) async fn open(
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
    pub(super) async fn next(&mut self, skip: &mut u64) -> Result<Option<Bytes>, ApiError> {
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
