//! Between a thread that reads or writes blocks of bytes and the engine's streams.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use tokio::sync::mpsc;

/// So many blocks wait at most; with their size this bounds the memory of a stream.
const BLOCKS: usize = 8;
const BLOCK: usize = 64 * 1024;

/// A writer for a thread, and the stream of what it writes. If the stream is dropped, the
/// writer fails; if the writer is dropped without [`BodyWriter::finish`], the stream does,
/// so that half of something is never taken for all of it.
pub(super) fn body() -> (
    BodyWriter,
    impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) {
    let (sender, receiver) = mpsc::channel(BLOCKS);
    let is_finished = Arc::new(AtomicBool::new(false));
    let stream = stream(receiver, Arc::clone(&is_finished));
    (
        BodyWriter {
            sender,
            block: BytesMut::new(),
            is_finished,
        },
        stream,
    )
}

fn stream(
    receiver: mpsc::Receiver<Bytes>,
    is_finished: Arc<AtomicBool>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    futures_util::stream::unfold(receiver, move |mut receiver| {
        let is_finished = Arc::clone(&is_finished);
        async move {
            let block = receiver.recv().await.map(Ok).or_else(|| {
                // Said once: the next time the answer is "finished", that is, nothing.
                let was_finished = is_finished.swap(true, Ordering::AcqRel);
                (!was_finished).then(|| Err(io::ErrorKind::UnexpectedEof.into()))
            });
            block.map(|block| (block, receiver))
        }
    })
}

/// Writes blocks into a stream. Blocks its thread while the stream is full.
#[derive(Debug)]
pub(super) struct BodyWriter {
    sender: mpsc::Sender<Bytes>,
    block: BytesMut,
    is_finished: Arc<AtomicBool>,
}

impl BodyWriter {
    /// The end, on purpose.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.is_finished.store(true, Ordering::Release);
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = self.block.split().freeze();
        self.sender
            .blocking_send(block)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for BodyWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        if self.block.len() == BLOCK {
            self.send()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// A reader for a thread, fed by whoever holds the sender.
pub(super) fn reader() -> (mpsc::Sender<Bytes>, BodyReader) {
    let (sender, receiver) = mpsc::channel(BLOCKS);
    (
        sender,
        BodyReader {
            receiver,
            block: Bytes::new(),
        },
    )
}

/// Reads what was sent; at its end when the sender is dropped.
#[derive(Debug)]
pub(super) struct BodyReader {
    receiver: mpsc::Receiver<Bytes>,
    block: Bytes,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            match self.receiver.blocking_recv() {
                Some(block) => self.block = block,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.block.len());
        self.block.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_come_out_as_they_went_in() {
        let (mut writer, stream) = body();
        let sent: Vec<u8> = (0..3 * BLOCK + 7)
            .map(|at| u8::try_from(at % 251).unwrap())
            .collect();
        let expected = sent.clone();
        let thread =
            std::thread::spawn(move || writer.write_all(&sent).and_then(|()| writer.finish()));
        let blocks: Vec<_> = stream.collect().await;
        thread.join().unwrap().unwrap();
        assert_eq!(
            blocks
                .into_iter()
                .flat_map(Result::unwrap)
                .collect::<Vec<u8>>(),
            expected
        );
    }

    #[tokio::test]
    async fn half_is_not_all() {
        let (mut writer, stream) = body();
        // As many blocks as fit, so that there is no room left for a word of warning.
        let half = vec![0; BLOCKS * BLOCK];
        std::thread::spawn(move || writer.write_all(&half))
            .join()
            .unwrap()
            .unwrap();
        let blocks: Vec<_> = stream.collect().await;
        assert_eq!(blocks.len(), BLOCKS + 1);
        assert!(blocks.last().unwrap().is_err());
    }

    #[tokio::test]
    async fn a_writer_without_readers_fails() {
        let (mut writer, stream) = body();
        drop(stream);
        let written = std::thread::spawn(move || writer.write_all(&vec![0; BLOCK]))
            .join()
            .unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_reader_reads_what_is_sent() {
        let (sender, mut reader) = reader();
        let thread = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        for part in ["a", "", "bc"] {
            sender
                .send(Bytes::from_static(part.as_bytes()))
                .await
                .unwrap();
        }
        drop(sender);
        assert_eq!(thread.join().unwrap().unwrap(), "abc");
    }
}
