//! Reading a container's log so that it can be read on after an interruption.
//!
//! The API gives a log from its beginning or from a point in time, not from a byte. So
//! every message is asked for with its time, and while we count bytes we remember where
//! seconds began: from there the log is asked for again, and what was told is passed over.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::stream::{BoxStream, StreamExt as _};

/// Output that is there already is told in pieces of about this size.
const CHUNK: usize = 64 * 1024;
/// The length of `2006-01-02T15:04:05.000000000Z `.
const STAMP: usize = 31;

/// Where in the output the messages of a second begin: all before it are older, none
/// after it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Checkpoint {
    second: i64,
    offset: u64,
}

/// The last two checkpoints. The older one is used: stdout and stderr are stamped apart,
/// so that messages may still come late for the newer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checkpoints {
    older: Checkpoint,
    newer: Checkpoint,
    latest: i64,
}

impl Checkpoints {
    /// Notes that the message at `offset` is of `second`.
    fn note(&mut self, second: i64, offset: u64) {
        if second > self.latest {
            (self.older, self.newer) = (self.newer, Checkpoint { second, offset });
            self.latest = second;
        }
        // A message that came late takes the checkpoints it is too old for with it.
        if second < self.newer.second {
            self.newer = self.older;
        }
        if second < self.older.second {
            (self.older, self.newer) = (Checkpoint::default(), Checkpoint::default());
        }
    }
}

/// A log being read.
pub(super) struct Output {
    stream: BoxStream<'static, Result<LogOutput, EngineError>>,
    /// The offset of the next message.
    position: u64,
    /// How much is still to be passed over.
    skip: u64,
    /// What went wrong after the output that was told last.
    failure: Option<EngineError>,
}

impl Output {
    /// Opens the log of `name`, to be read from the byte `offset` on.
    pub(super) fn open(
        docker: &Docker,
        name: &str,
        follow: bool,
        checkpoints: &Checkpoints,
        offset: u64,
    ) -> Self {
        let Checkpoint {
            second,
            offset: position,
        } = checkpoints.older;
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(second).unwrap_or(0))
            .follow(follow)
            .build();
        let stream = docker.logs(name, Some(options)).fuse().boxed();
        Self {
            stream,
            position,
            skip: offset.saturating_sub(position),
            failure: None,
        }
    }

    /// The next message, without what is to be passed over.
    pub(super) async fn next(
        &mut self,
        checkpoints: &mut Checkpoints,
    ) -> Option<Result<Bytes, EngineError>> {
        if let Some(error) = self.failure.take() {
            return Some(Err(error));
        }
        let message = match self.stream.next().await? {
            Ok(message) => message.into_bytes(),
            Err(error) => return Some(Err(error)),
        };
        let (second, mut text) = unstamped(message);
        if let Some(second) = second {
            checkpoints.note(second, self.position);
        }
        self.position += text.len() as u64;
        let passed = usize::try_from(self.skip).map_or(text.len(), |skip| skip.min(text.len()));
        self.skip -= passed as u64;
        text.advance(passed);
        Some(Ok(text))
    }

    /// `first`, with what is there already.
    pub(super) fn gather(&mut self, first: Bytes, checkpoints: &mut Checkpoints) -> Bytes {
        let mut rest = BytesMut::new();
        while first.len() + rest.len() < CHUNK {
            match self.next(checkpoints).now_or_never().flatten() {
                Some(Ok(piece)) => rest.extend_from_slice(&piece),
                Some(Err(error)) => {
                    self.failure = Some(error);
                    break;
                }
                None => break,
            }
        }
        if rest.is_empty() {
            first
        } else {
            [first, rest.freeze()].concat().into()
        }
    }
}

/// A message without its time, and the second it is of. What has no time stays whole.
fn unstamped(mut message: Bytes) -> (Option<i64>, Bytes) {
    let second = message
        .get(..STAMP)
        .and_then(|stamp| second_of(std::str::from_utf8(stamp).ok()?));
    if second.is_some() {
        message.advance(STAMP);
    }
    (second, message)
}

/// Seconds since 1970 of a UTC time such as `2006-01-02T15:04:05.000000000Z `.
fn second_of(stamp: &str) -> Option<i64> {
    let shape = |at: usize, text: &str| stamp.get(at..at + text.len()) == Some(text);
    let shaped = [
        (4, "-"),
        (7, "-"),
        (10, "T"),
        (13, ":"),
        (16, ":"),
        (19, "."),
        (29, "Z "),
    ];
    if !shaped.iter().all(|(at, text)| shape(*at, text)) {
        return None;
    }
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // Days since 1970, in years that begin in March, so that a leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(((days * 24 + number(11, 13)?) * 60 + number(14, 16)?) * 60 + number(17, 19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        let known = [
            ("1970-01-01T00:00:00.000000000Z ", 0),
            ("2000-02-29T12:00:00.999999999Z ", 951_825_600),
            ("2024-02-29T23:59:59.000000000Z ", 1_709_251_199),
            ("2026-11-23T03:14:31.123456789Z ", 1_795_403_671),
        ];
        for (stamp, second) in known {
            assert_eq!(second_of(stamp), Some(second), "{stamp}");
        }
        assert_eq!(second_of("2026-11-23 03:14:31.123456789Z "), None);
    }

    #[test]
    fn only_times_are_taken_off() {
        let stamped = Bytes::from_static(b"1970-01-01T00:00:07.000000000Z \n");
        assert_eq!(unstamped(stamped), (Some(7), Bytes::from_static(b"\n")));
        let plain = Bytes::from_static(b"a line that is longer than any time stamp\n");
        assert_eq!(unstamped(plain.clone()), (None, plain));
    }

    #[test]
    fn late_messages_take_checkpoints_with_them() {
        let mut checkpoints = Checkpoints::default();
        for (second, offset) in [(5, 0), (5, 10), (6, 20), (7, 30)] {
            checkpoints.note(second, offset);
        }
        assert_eq!(
            checkpoints.older,
            Checkpoint {
                second: 6,
                offset: 20
            }
        );
        checkpoints.note(6, 40);
        assert_eq!(
            checkpoints.older,
            Checkpoint {
                second: 6,
                offset: 20
            }
        );
        checkpoints.note(7, 45);
        assert_eq!(checkpoints.newer.second, 6, "7 does not begin at 45");
        checkpoints.note(5, 50);
        assert_eq!(checkpoints.older, Checkpoint::default());
        checkpoints.note(8, 60);
        checkpoints.note(9, 70);
        assert_eq!(
            checkpoints.older,
            Checkpoint {
                second: 8,
                offset: 60
            }
        );
    }
}
