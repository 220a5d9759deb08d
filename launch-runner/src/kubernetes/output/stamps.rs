//! Taking the times off a log.

/// The length of `2006-01-02T15:04:05.000000000Z `.
const STAMP: usize = 31;
/// Container engines write long lines in parts, and old nodes stamp each part. A part is
/// as long as the engine's buffer, which is a multiple of this.
const PART: u64 = 4096;

/// Where in a log the messages of a second begin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Checkpoint {
    /// The second, as text: `2006-01-02T15:04:05`; empty is the beginning.
    second: String,
    offset: u64,
}

/// Takes times off a log as it arrives, and counts what is left.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    /// What has come of a time.
    held: Vec<u8>,
    /// Whether a time was just taken off, so that what follows is none.
    stamped: bool,
    /// How much of the line was read; 0 where a line begins.
    in_line: u64,
    position: u64,
    /// The last two checkpoints. The older one is used: stdout and stderr are stamped
    /// apart, so that messages may still come late for the newer.
    older: Checkpoint,
    newer: Checkpoint,
    latest: String,
}

impl Stamps {
    /// How many bytes of the log are behind us.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes back to where the log can be asked for again; answers from which time on.
    pub(super) fn restart(&mut self) -> Option<String> {
        self.held.clear();
        (self.in_line, self.stamped) = (0, false);
        self.position = self.older.offset;
        self.newer = self.older.clone();
        self.latest.clone_from(&self.older.second);
        let second = &self.older.second;
        (!second.is_empty()).then(|| format!("{second}Z"))
    }

    /// Reads `chunk`, appending what is no time to `output`.
    pub(super) fn feed(&mut self, mut chunk: &[u8], output: &mut Vec<u8>) {
        while !chunk.is_empty() {
            if self.may_be_stamp() {
                chunk = self.hold(chunk, output);
            } else {
                chunk = self.pass(chunk, output);
            }
        }
    }

    /// The log has ended; what was held back is output.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.take(&held, output);
    }

    fn may_be_stamp(&self) -> bool {
        !self.stamped && (!self.held.is_empty() || self.in_line.is_multiple_of(PART))
    }

    /// Collects what may be a time. One byte that does not fit shows that it is none.
    fn hold<'a>(&mut self, chunk: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
        for (index, byte) in chunk.iter().enumerate() {
            if !fits(self.held.len(), *byte) {
                let held = std::mem::take(&mut self.held);
                let rest = &chunk[index..];
                if held.is_empty() {
                    // Nothing was held: the byte itself has to be passed on.
                    return self.pass(rest, output);
                }
                self.take(&held, output);
                return rest;
            }
            self.held.push(*byte);
            if self.held.len() == STAMP {
                let held = std::mem::take(&mut self.held);
                let second = String::from_utf8_lossy(&held[..19]).into_owned();
                self.note(&second);
                self.stamped = true;
                return &chunk[index + 1..];
            }
        }
        &[]
    }

    /// Passes output on, up to the next place where a time may stand.
    fn pass<'a>(&mut self, chunk: &'a [u8], output: &mut Vec<u8>) -> &'a [u8] {
        let to_part = PART - self.in_line % PART;
        let part = usize::try_from(to_part)
            .unwrap_or(chunk.len())
            .min(chunk.len());
        let line = chunk[..part].iter().position(|byte| *byte == b'\n');
        let end = line.map_or(part, |index| index + 1);
        self.take(&chunk[..end], output);
        &chunk[end..]
    }

    fn take(&mut self, text: &[u8], output: &mut Vec<u8>) {
        self.stamped = false;
        output.extend_from_slice(text);
        self.position += text.len() as u64;
        match text.iter().rposition(|byte| *byte == b'\n') {
            Some(index) => self.in_line = (text.len() - index - 1) as u64,
            None => self.in_line += text.len() as u64,
        }
    }

    /// Notes that what follows is of `second`; a part of a line is no place to begin.
    fn note(&mut self, second: &str) {
        if self.in_line > 0 {
            return;
        }
        if second > self.latest.as_str() {
            let newer = Checkpoint {
                second: second.to_owned(),
                offset: self.position,
            };
            self.older = std::mem::replace(&mut self.newer, newer);
            second.clone_into(&mut self.latest);
        }
        // A message that came late takes the checkpoints it is too old for with it.
        if second < self.newer.second.as_str() {
            self.newer = self.older.clone();
        }
        if second < self.older.second.as_str() {
            (self.older, self.newer) = (Checkpoint::default(), Checkpoint::default());
        }
    }
}

/// Whether `byte` can stand at `index` of a time.
fn fits(index: usize, byte: u8) -> bool {
    match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        29 => byte == b'Z',
        30 => byte == b' ',
        _ => byte.is_ascii_digit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(second: u32) -> String {
        format!("2026-11-26T10:00:{second:02}.123456789Z ")
    }

    fn read(stamps: &mut Stamps, text: &[u8], step: usize) -> Vec<u8> {
        let mut output = Vec::new();
        text.chunks(step)
            .for_each(|chunk| stamps.feed(chunk, &mut output));
        stamps.finish(&mut output);
        output
    }

    #[test]
    fn only_times_are_taken_off_wherever_the_stream_is_cut() {
        let text = format!(
            "{}one\n{}\n{}2026-11-26T10 is no time\n\nplain 1",
            stamp(1),
            stamp(1),
            stamp(2)
        );
        let wanted = b"one\n\n2026-11-26T10 is no time\n\nplain 1";
        for step in [1, 2, 7, 31, 1000] {
            let mut stamps = Stamps::default();
            assert_eq!(read(&mut stamps, text.as_bytes(), step), wanted, "{step}");
            assert_eq!(stamps.position(), wanted.len() as u64);
        }
    }

    #[test]
    fn parts_of_a_long_line_have_times_of_their_own() {
        let part = "y".repeat(16 * 1024);
        let text = format!("{}{part}{}{part}{}rest\n", stamp(1), stamp(1), stamp(2));
        let wanted = format!("{part}{part}rest\n");
        for step in [5, 4096, 100_000] {
            let mut stamps = Stamps::default();
            assert_eq!(read(&mut stamps, text.as_bytes(), step), wanted.as_bytes());
        }
    }

    #[test]
    fn reading_goes_on_at_the_second_before_the_last() {
        let text = [1, 2, 3, 4]
            .map(|second| {
                format!(
                    "{}line
",
                    stamp(second)
                )
            })
            .concat();
        let mut stamps = Stamps::default();
        read(&mut stamps, text.as_bytes(), 64);
        assert_eq!(stamps.restart().as_deref(), Some("2026-11-26T10:00:03Z"));
        assert_eq!(stamps.position(), 10);
        let rest = [3, 4, 5]
            .map(|second| {
                format!(
                    "{}line
",
                    stamp(second)
                )
            })
            .concat();
        read(&mut stamps, rest.as_bytes(), 64);
        assert_eq!(stamps.position(), 25);
    }

    #[test]
    fn late_messages_take_checkpoints_with_them() {
        let mut stamps = Stamps::default();
        let text: String = [5, 6, 7, 6, 4]
            .map(|second| format!("{}x\n", stamp(second)))
            .concat();
        read(&mut stamps, text.as_bytes(), 64);
        assert_eq!(stamps.restart(), None);
    }
}
