//! What git and ssh say while they work, line by line.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::credentials::Login;
use crate::event::{Event, Events};

/// So many lines are kept.
const KEPT: usize = 60;
/// A longer line is cut; no sentence of git is.
const LONGEST: usize = 4096;

/// Errors and progress, masked before anyone sees them.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    login: &'a Login,
    events: &'a Events,
    kept: VecDeque<String>,
    partial: Vec<u8>,
    returned: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(login: &'a Login, events: &'a Events) -> Self {
        Self {
            login,
            events,
            kept: VecDeque::new(),
            partial: Vec::new(),
            returned: false,
        }
    }

    /// Reads to the end. A pipe that breaks is at its end.
    pub(super) async fn read(&mut self, mut from: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            buffer[..count].iter().for_each(|byte| self.take(*byte));
        }
    }

    /// A line that ends with a carriage return alone will be overwritten: it is progress.
    /// ssh ends its lines with both characters, as it may have made the terminal raw.
    fn take(&mut self, byte: u8) {
        let was_returned = std::mem::replace(&mut self.returned, byte == b'\r');
        match byte {
            b'\n' => self.end_line(false),
            // Whether the line has ended is for the next character to say.
            b'\r' => {}
            _ => {
                if was_returned {
                    self.end_line(true);
                }
                if self.partial.len() < LONGEST {
                    self.partial.push(byte);
                }
            }
        }
    }

    /// Progress is told, not kept.
    fn end_line(&mut self, is_progress: bool) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.partial)).into_owned();
        let line = self.login.mask(line.trim_end());
        if line.is_empty() {
            return;
        }
        self.events.say(Event::Fetch(line.clone()));
        if !is_progress {
            self.kept.push_back(line);
            if self.kept.len() > KEPT {
                self.kept.pop_front();
            }
        }
    }

    /// The last lines.
    pub(super) fn into_text(mut self) -> String {
        let is_progress = self.returned;
        self.end_line(is_progress);
        Vec::from(self.kept).join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn progress_is_told_and_sentences_are_kept() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&told);
        let events = Events::new(move |event| sink.lock().unwrap().push(event));
        let login = Login::of(&"https://u:planted@host/r".parse().unwrap()).unwrap();
        let mut lines = Lines::new(&login, &events);
        lines
            .read(&b"Receiving 1%\rReceiving 2%\rHost key\r\nfatal: planted\nlast"[..])
            .await;
        assert_eq!(lines.into_text(), "Host key\nfatal: ***\nlast");
        assert_eq!(told.lock().unwrap().len(), 5);
    }
}
