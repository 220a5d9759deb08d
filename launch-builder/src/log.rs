//! The log of a build: lines out of pieces, and the last of them kept.

use std::collections::{HashMap, VecDeque};

use launch_config::secret::{Secret, mask};

use crate::dockerfile::failed_packages;
use crate::event::{Event, Events};

/// So many lines go into an error.
const KEPT: usize = 50;
/// A line is cut here; a progress bar may never end its own.
const LONGEST: usize = 4096;
/// So many steps may have begun a line at once.
const STEPS: usize = 64;

/// Makes lines of the engine's pieces, says each without its secrets, and remembers the end.
#[derive(Debug)]
pub(super) struct Log<'a> {
    events: &'a Events,
    hidden: Vec<Secret>,
    partial: HashMap<String, String>,
    tail: VecDeque<String>,
}

impl<'a> Log<'a> {
    pub(super) fn new(events: &'a Events, hidden: Vec<Secret>) -> Self {
        Self {
            events,
            hidden,
            partial: HashMap::new(),
            tail: VecDeque::with_capacity(KEPT),
        }
    }

    /// Takes the next piece, which may hold many lines or a part of one.
    pub(super) fn take(&mut self, piece: &str) {
        self.take_from("", piece);
    }

    /// The same, for one of several steps that speak at once.
    pub(super) fn take_from(&mut self, step: &str, piece: &str) {
        let mut partial = self.partial.remove(step).unwrap_or_default();
        for part in piece.split_inclusive(['\n', '\r']) {
            let text = part.trim_end_matches(['\n', '\r']);
            let room = LONGEST.saturating_sub(partial.len());
            partial.push_str(&text[..text.floor_char_boundary(room)]);
            if text.len() < part.len() {
                self.line(&std::mem::take(&mut partial));
            }
        }
        if !partial.is_empty() && self.partial.len() < STEPS {
            self.partial.insert(step.to_owned(), partial);
        }
    }

    /// A whole line.
    pub(super) fn line(&mut self, line: &str) {
        let line = self.shown(line);
        if line.is_empty() {
            return;
        }
        if let Some(packages) = failed_packages(&line) {
            let text = format!("could not be installed, and is left out: {packages}");
            self.events.say(Event::Warning(text));
            return;
        }
        if self.tail.len() == KEPT {
            self.tail.pop_front();
        }
        self.tail.push_back(line.clone());
        self.events.say(Event::Log(line));
    }

    #[cfg(feature = "docker")]
    /// What only matters while it happens.
    pub(super) fn progress(&self, text: &str) {
        self.events.say(Event::Fetch(self.shown(text)));
    }

    #[cfg(feature = "docker")]
    /// A remark for a person.
    pub(super) fn warn(&self, text: &str) {
        self.events.say(Event::Warning(self.shown(text)));
    }

    fn shown(&self, text: &str) -> String {
        mask(text, &self.hidden)
    }

    #[cfg(feature = "docker")]
    /// Text of the engine's without the secrets.
    pub(super) fn masked(&self, text: &str) -> String {
        self.shown(text)
    }

    /// The last lines.
    pub(super) fn into_tail(mut self) -> Vec<String> {
        for (_, partial) in std::mem::take(&mut self.partial) {
            self.line(&partial);
        }
        self.tail.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn listening() -> (Events, Arc<Mutex<Vec<Event>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&said);
        (
            Events::new(move |event| sink.lock().unwrap().push(event)),
            said,
        )
    }

    #[test]
    fn lines_are_made_of_pieces() {
        let (events, said) = listening();
        let mut log = Log::new(&events, Vec::new());
        for piece in ["Step 1", "/2 : RUN\n", "\none\r\ntwo", ""] {
            log.take(piece);
        }
        assert_eq!(log.into_tail(), ["Step 1/2 : RUN", "one", "two"]);
        assert_eq!(said.lock().unwrap().len(), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let events = Events::silent();
        let mut log = Log::new(&events, Vec::new());
        (0..10_000).for_each(|_| log.take("é and no end"));
        (0..200).for_each(|line| log.take(&format!("\n{line}")));
        (0..10_000).for_each(|step| log.take_from(&step.to_string(), "half"));
        assert!(log.partial.len() <= STEPS);
        log.partial.retain(|step, _| step.is_empty());
        let tail = log.into_tail();
        assert_eq!((tail.len(), tail.last().unwrap().as_str()), (KEPT, "199"));
        assert!(tail.iter().all(|line| line.len() <= LONGEST));
    }

    #[test]
    fn secrets_are_hidden_in_every_line() {
        let (events, said) = listening();
        let mut log = Log::new(&events, vec![Secret::new("planted")]);
        log.take("token pla");
        log.take("nted!\n");
        log.progress("planted");
        log.warn("planted");
        assert_eq!(log.into_tail(), ["token ***!"]);
        assert!(!format!("{:?}", said.lock().unwrap()).contains("planted"));
    }

    #[test]
    fn packages_that_failed_are_a_warning() {
        let (events, said) = listening();
        let mut log = Log::new(&events, Vec::new());
        log.take("launch-failed-packages: [\"a==1\", \"b @ x\"]\n");
        log.take("launch-failed-packages: not a list\n");
        assert_eq!(log.into_tail(), ["launch-failed-packages: not a list"]);
        let text = "could not be installed, and is left out: `a==1`, `b @ x`";
        assert_eq!(said.lock().unwrap()[0], Event::Warning(text.to_owned()));
    }
}
