//! Directories still to be read, shared by the threads of a walk.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::super::ignore::Inherited;

/// A directory to look into.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) path: Vec<u8>,
    pub(super) number: usize,
    /// The number of the one it is in.
    pub(super) above: usize,
    pub(super) inherited: Inherited,
}

/// Directories that whoever has nothing to do may take.
pub(super) struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    /// How many threads wait for some.
    hungry: AtomicUsize,
    /// The number of the next directory that is found; the root's is 0.
    next: AtomicUsize,
}

struct Queue {
    waiting: Vec<Waiting>,
    /// How many threads may still find some.
    looking: usize,
}

impl Shared {
    /// The root waits, and so many threads look.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                waiting: vec![Waiting::default()],
                looking: threads,
            }),
            more: Condvar::new(),
            hungry: AtomicUsize::new(0),
            next: AtomicUsize::new(1),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a directory.
    pub(super) fn number(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A directory of somebody else's, when there are none of one's own.
    pub(super) fn take(&self) -> Option<Waiting> {
        let mut queue = self.queue();
        queue.looking -= 1;
        self.hungry.fetch_add(1, Ordering::Relaxed);
        while queue.waiting.is_empty() && queue.looking > 0 {
            queue = self
                .more
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.hungry.fetch_sub(1, Ordering::Relaxed);
        let taken = queue.waiting.pop();
        if taken.is_some() {
            queue.looking += 1;
        } else {
            self.more.notify_all();
        }
        taken
    }

    /// Leaves the older half to others, if anybody waits: it is the higher one in the tree.
    pub(super) fn share(&self, waiting: &mut Vec<Waiting>) {
        if waiting.len() > 1 && self.hungry.load(Ordering::Relaxed) > 0 {
            let half = waiting.len() / 2;
            self.queue().waiting.extend(waiting.drain(..half));
            self.more.notify_one();
        }
    }
}

/// A thread that may find directories; in the end it does no more, even if it panics.
pub(super) struct Looking<'a>(pub(super) &'a Shared);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue().looking -= 1;
            self.0.more.notify_all();
        }
    }
}
