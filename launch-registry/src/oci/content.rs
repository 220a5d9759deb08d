//! A blob's bytes on their way out: read by a thread of their own, hashed as they pass.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::client::same_digest;
use super::layout::{self, Blob};
use crate::Error;
use launch_config::image::Digest;

/// As much is read at once.
const CHUNK: usize = 128 * 1024;
/// As many pieces may wait for the connection.
const QUEUE: usize = 4;

type Piece = io::Result<Bytes>;

/// How far a blob was read, with the hash of all before.
#[derive(Clone, Default)]
pub(crate) struct Cursor {
    pub(crate) offset: u64,
    hash: Sha256,
}

/// What became of reading a blob.
#[derive(Clone, Default)]
pub(crate) struct Reading {
    outcome: Arc<Mutex<Option<Result<Cursor, Error>>>>,
    sent: Arc<AtomicU64>,
}

impl Reading {
    /// The end of what was read, or why the blob could not be read: then the request failed
    /// for our sake. `None` while it is being read.
    pub(crate) fn take(&self) -> Option<Result<Cursor, Error>> {
        self.outcome
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Up to where the connection took it.
    pub(crate) fn position(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The bytes of `blob` in `range`, as a stream that tells `on_sent` how far it came.
///
/// Everything is hashed, what lies between `cursor` and the range too, and the last piece of
/// the blob is held back until the digest is known to be right: wrong content never arrives
/// whole.
pub(crate) fn stream(
    blob: &Blob,
    cursor: Cursor,
    range: Range<u64>,
    on_sent: impl Fn(u64) + Send + 'static,
) -> (impl Stream<Item = Piece> + Send + 'static, Reading) {
    let (pieces, queue) = mpsc::channel(QUEUE);
    let reading = Reading::default();
    reading.sent.store(range.start, Ordering::Relaxed);
    let (blob, outcome) = (blob.clone(), Arc::clone(&reading.outcome));
    tokio::task::spawn_blocking(move || {
        let read = read(&blob, cursor, &range, &pieces);
        let is_broken = read.is_err();
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        if is_broken {
            // The receiver may have gone: then nobody needs to know.
            let _ = pieces.blocking_send(Err(io::Error::other("the blob cannot be read")));
        }
    });
    let sent = Arc::clone(&reading.sent);
    (counted(queue, sent, on_sent), reading)
}

/// What the connection takes from `queue`, counted as it goes.
fn counted(
    queue: mpsc::Receiver<Piece>,
    sent: Arc<AtomicU64>,
    on_sent: impl Fn(u64) + Send + 'static,
) -> impl Stream<Item = Piece> + Send + 'static {
    let state = (queue, sent, on_sent);
    stream::unfold(state, |(mut queue, sent, on_sent)| async move {
        let piece = queue.recv().await?;
        if let Ok(bytes) = &piece {
            let length = bytes.len() as u64;
            on_sent(sent.fetch_add(length, Ordering::Relaxed) + length);
        }
        Some((piece, (queue, sent, on_sent)))
    })
}

/// Reads to the end of `range`, or until nobody listens any more.
fn read(
    blob: &Blob,
    mut cursor: Cursor,
    range: &Range<u64>,
    pieces: &mpsc::Sender<Piece>,
) -> Result<Cursor, Error> {
    let mut file = fs_err::File::open(&blob.path)?;
    file.seek(SeekFrom::Start(cursor.offset))?;
    while cursor.offset < range.end {
        let mut piece = vec![0; CHUNK.min(to_usize(range.end - cursor.offset))];
        fill(&mut file, &mut piece, blob)?;
        cursor.hash.update(&piece);
        let start = cursor.offset;
        cursor.offset += piece.len() as u64;
        if cursor.offset == blob.size {
            let found = Digest::from_sha256(cursor.hash.clone().finalize().into());
            check_end(&mut file, blob, found)?;
        }
        let skip = to_usize(range.start.saturating_sub(start)).min(piece.len());
        let piece = Bytes::from(piece).slice(skip..);
        if !piece.is_empty() && pieces.blocking_send(Ok(piece)).is_err() {
            break;
        }
    }
    Ok(cursor)
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn fill(file: &mut fs_err::File, piece: &mut [u8], blob: &Blob) -> Result<(), Error> {
    file.read_exact(piece).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => layout::invalid(&blob.path, "the blob was shortened"),
        _ => Error::Io(error),
    })
}

fn check_end(file: &mut fs_err::File, blob: &Blob, found: Digest) -> Result<(), Error> {
    if file.stream_position()? != file.metadata()?.len() {
        return Err(layout::invalid(&blob.path, "the blob has grown"));
    }
    same_digest(
        &format!("blob `{}`", blob.path.display()),
        blob.digest,
        found,
    )
}

/// The whole of a small blob, checked.
pub(crate) async fn read_whole(blob: &Blob) -> Result<Bytes, Error> {
    let blob = blob.clone();
    let read = move || -> Result<Bytes, Error> {
        let mut file = fs_err::File::open(&blob.path)?;
        let mut bytes = vec![0; to_usize(blob.size)];
        fill(&mut file, &mut bytes, &blob)?;
        check_end(&mut file, &blob, super::client::sha256(&bytes))?;
        Ok(bytes.into())
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    fn blob(content: &[u8]) -> (tempfile::NamedTempFile, Blob) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), content).unwrap();
        let (digest, size) = (super::super::client::sha256(content), content.len() as u64);
        let path = file.path().to_owned();
        (file, Blob { digest, size, path })
    }

    async fn collect(blob: &Blob, offset: u64) -> (Vec<u8>, Option<Error>) {
        let (bytes, outcome) = collect_range(blob, Cursor::default(), offset..blob.size).await;
        (bytes, outcome.err())
    }

    async fn collect_range(
        blob: &Blob,
        cursor: Cursor,
        range: Range<u64>,
    ) -> (Vec<u8>, Result<Cursor, Error>) {
        let (stream, reading) = stream(blob, cursor, range, |_| ());
        let pieces: Vec<_> = stream.collect().await;
        let bytes = pieces.into_iter().flatten().flatten().collect();
        (bytes, reading.take().unwrap())
    }

    #[tokio::test]
    async fn a_blob_comes_in_ranges_and_is_hashed_once() {
        let content: Vec<u8> = (0..CHUNK * 3 + 5).map(|n| n.to_le_bytes()[0]).collect();
        let (_file, mut blob) = blob(&content);
        for wrong in [false, true] {
            if wrong {
                blob.digest = Digest::from_sha256([0; 32]);
            }
            let (mut cursor, mut all) = (Cursor::default(), Vec::new());
            for end in [CHUNK as u64 + 7, CHUNK as u64 * 2, blob.size] {
                let (bytes, outcome) =
                    collect_range(&blob, cursor.clone(), cursor.offset..end).await;
                all.extend(bytes);
                match outcome {
                    Ok(reached) => cursor = reached,
                    Err(error) => assert!(wrong && matches!(error, Error::Digest { .. })),
                }
            }
            assert_eq!(all == content, !wrong);
        }
    }

    #[tokio::test]
    async fn bytes_come_from_the_offset_on() {
        let content: Vec<u8> = (0..CHUNK * 3 + 5).map(|n| n.to_le_bytes()[0]).collect();
        let (_file, blob) = blob(&content);
        for offset in [0, 1, CHUNK, CHUNK + 1, CHUNK * 3 + 4] {
            let (bytes, failure) = collect(&blob, offset as u64).await;
            assert!(
                failure.is_none() && bytes == content[offset..],
                "from {offset}"
            );
        }
    }

    #[tokio::test]
    async fn wrong_content_never_arrives_whole() {
        let content = vec![7; CHUNK + 1];
        let (_file, mut blob) = blob(&content);
        blob.digest = Digest::from_sha256([0; 32]);
        let (bytes, failure) = collect(&blob, 0).await;
        assert!(bytes.len() < content.len());
        assert!(matches!(failure, Some(Error::Digest { .. })), "{failure:?}");
        assert!(matches!(read_whole(&blob).await, Err(Error::Digest { .. })));
    }

    #[tokio::test]
    async fn a_file_that_changes_its_size_is_refused() {
        let (_file, mut blob) = blob(b"12345");
        for size in [4, 6] {
            blob.size = size;
            assert!(
                matches!(collect(&blob, 0).await.1, Some(Error::Layout { .. })),
                "{size}"
            );
            assert!(
                matches!(read_whole(&blob).await, Err(Error::Layout { .. })),
                "{size}"
            );
        }
    }
}
