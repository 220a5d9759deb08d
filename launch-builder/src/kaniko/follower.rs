//! A pod's log as it is written, in whole characters.

use futures_util::{AsyncBufRead, AsyncBufReadExt as _};

type Stream = std::pin::Pin<Box<dyn AsyncBufRead + Send>>;

/// A log's bytes as texts, from a position on.
pub(super) struct Follower {
    stream: Stream,
    /// Bytes to leave out, because we had them from a stream that broke off.
    skip: u64,
    /// Bytes read and left out so far.
    pub(super) position: u64,
    /// The begin of a character whose end is still to come.
    partial: Vec<u8>,
}

impl Follower {
    pub(super) fn new(stream: impl AsyncBufRead + Send + 'static, skip: u64) -> Self {
        Self {
            stream: Box::pin(stream),
            skip,
            position: 0,
            partial: Vec::new(),
        }
    }

    /// The next piece; `None` at the end. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<std::io::Result<String>> {
        loop {
            let bytes = match self.stream.fill_buf().await {
                Ok([]) => return None,
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error)),
            };
            let length = bytes.len();
            let old =
                usize::try_from(self.skip - self.position.min(self.skip)).unwrap_or(usize::MAX);
            self.partial.extend_from_slice(&bytes[old.min(length)..]);
            self.position += length as u64;
            self.stream.consume_unpin(length);
            if !self.partial.is_empty() {
                return Some(Ok(self.text()));
            }
        }
    }

    /// The whole characters so far; what is none is shown as such.
    fn text(&mut self) -> String {
        let valid = match std::str::from_utf8(&self.partial) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.partial.len(),
        };
        let rest = self.partial.split_off(valid);
        let whole = std::mem::replace(&mut self.partial, rest);
        String::from_utf8_lossy(&whole).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, TryStreamExt as _};

    use super::*;

    async fn texts(pieces: &[&[u8]], skip: u64) -> String {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(piece.to_vec())).collect();
        let mut follower = Follower::new(stream::iter(pieces).into_async_read(), skip);
        let mut all = String::new();
        while let Some(text) = follower.next().await {
            all += &text.unwrap();
        }
        all
    }

    #[tokio::test]
    async fn a_log_is_text_wherever_it_is_cut() {
        assert_eq!(
            texts(&[b"caf\xc3", b"\xa9 au", b" lait\n"], 0).await,
            "café au lait\n"
        );
        assert_eq!(texts(&[b"a\xffb"], 0).await, "a\u{fffd}b");
    }

    #[tokio::test]
    async fn a_log_that_broke_off_goes_on_where_it_stood() {
        assert_eq!(texts(&[b"one\n", b"two\nth", b"ree\n"], 8).await, "three\n");
        assert_eq!(texts(&[b"one\n"], 4).await, "");
    }
}
