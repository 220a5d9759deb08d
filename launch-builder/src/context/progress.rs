//! How far a pass is, told now and then.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::recipe::Found;
use crate::event::{Event, Events};

/// Progress is told every so many entries or bytes.
const TELL_ENTRIES: u64 = 512;
const TELL_BYTES: u64 = 16 << 20;

/// Counts of all threads.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    events: &'a Events,
    files: AtomicU64,
    bytes: AtomicU64,
    /// Whoever tells has it, so that numbers never fall.
    telling: Mutex<()>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(events: &'a Events) -> Self {
        Self {
            events,
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            telling: Mutex::new(()),
        }
    }

    /// Files, links and content bytes so far.
    pub(super) fn so_far(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.files), load(&self.bytes))
    }

    /// A file or link is done.
    pub(super) fn file(&self) {
        let before = self.files.fetch_add(1, Ordering::Relaxed);
        if (before + 1).is_multiple_of(TELL_ENTRIES) {
            self.tell(false);
        }
    }

    /// Bytes of a file are done.
    pub(super) fn bytes(&self, count: u64) {
        let before = self.bytes.fetch_add(count, Ordering::Relaxed);
        if before / TELL_BYTES != (before + count) / TELL_BYTES {
            self.tell(false);
        }
    }

    /// An entry is done that was not read bit by bit.
    pub(super) fn found(&self, found: &Found) {
        match found {
            Found::Directory => {}
            Found::Link(_) => self.file(),
            Found::File { size, .. } => {
                self.bytes(*size);
                self.file();
            }
        }
    }

    /// Says the last word.
    pub(super) fn end(&self) {
        self.tell(true);
    }

    /// Tells under the lock; whoever finds it taken leaves it to the other.
    fn tell(&self, is_last: bool) {
        let telling = if is_last {
            self.telling.lock().ok()
        } else {
            self.telling.try_lock().ok()
        };
        if telling.is_some() {
            let (files, bytes) = self.so_far();
            self.events.say(Event::Context { files, bytes });
        }
    }
}
