//! The log of a build: lines out of pieces, and the last of them kept.

use std::collections::VecDeque;

use crate::event::{Event, Events};

/// So many lines go into an error.
const KEPT: usize = 50;
/// A line is cut here; a progress bar may never end its own.
const LONGEST: usize = 4096;

/// Makes lines of the engine's pieces, says each, and remembers the end.
#[derive(Debug)]
pub(super) struct Log<'a> {
    events: &'a Events,
    partial: String,
    tail: VecDeque<String>,
}

impl<'a> Log<'a> {
    pub(super) fn new(events: &'a Events) -> Self {
        Self {
            events,
            partial: String::new(),
            tail: VecDeque::with_capacity(KEPT),
        }
    }

    /// Takes the next piece, which may hold many lines or a part of one.
    pub(super) fn take(&mut self, piece: &str) {
        for part in piece.split_inclusive(['\n', '\r']) {
            let text = part.trim_end_matches(['\n', '\r']);
            let room = LONGEST.saturating_sub(self.partial.len());
            let cut = (0..=text.len().min(room))
                .rev()
                .find(|at| text.is_char_boundary(*at));
            self.partial.push_str(&text[..cut.unwrap_or(0)]);
            if text.len() < part.len() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.partial);
        if line.is_empty() {
            return;
        }
        if self.tail.len() == KEPT {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        self.events.say(Event::Log(line));
    }

    /// The last lines.
    pub(super) fn into_tail(mut self) -> Vec<String> {
        self.end_line();
        self.tail.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn lines_are_made_of_pieces() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&said);
        let events = Events::new(move |event| sink.lock().unwrap().push(event));
        let mut log = Log::new(&events);
        for piece in ["Step 1", "/2 : RUN\n", "\none\r\ntwo", ""] {
            log.take(piece);
        }
        assert_eq!(log.into_tail(), ["Step 1/2 : RUN", "one", "two"]);
        assert_eq!(said.lock().unwrap().len(), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let events = Events::silent();
        let mut log = Log::new(&events);
        (0..10_000).for_each(|_| log.take("é and no end"));
        (0..200).for_each(|line| log.take(&format!("\n{line}")));
        let tail = log.into_tail();
        assert_eq!((tail.len(), tail.last().unwrap().as_str()), (KEPT, "199"));
        assert!(tail.iter().all(|line| line.len() <= LONGEST));
    }
}
