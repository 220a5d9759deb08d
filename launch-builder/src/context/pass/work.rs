//! Entries still to be read, shared by the threads.

use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// So many neighbours are taken at a time: they are in the same directory, mostly.
const RUN: usize = 32;

/// Entries still to be read.
pub(super) struct Work {
    entries: Vec<usize>,
    next: AtomicUsize,
    step: usize,
    large: Mutex<Large>,
    more: Condvar,
}

/// Large files by their size, and how many threads may still find one.
struct Large {
    files: BinaryHeap<(u64, usize)>,
    looking: usize,
}

impl Work {
    pub(super) fn new(entries: Vec<usize>, threads: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            step: (entries.len() / (threads * 16)).clamp(1, RUN),
            entries,
            large: Mutex::new(Large {
                files: BinaryHeap::new(),
                looking: threads,
            }),
            more: Condvar::new(),
        }
    }

    /// The next neighbours.
    pub(super) fn take(&self) -> Option<&[usize]> {
        let from = self.next.fetch_add(self.step, Ordering::Relaxed);
        let (_, rest) = self.entries.split_at_checked(from)?;
        let some = &rest[..rest.len().min(self.step)];
        (!some.is_empty()).then_some(some)
    }

    /// Leaves a large file for the end.
    pub(super) fn leave(&self, size: u64, index: usize) {
        self.large().files.push((size, index));
        self.more.notify_one();
    }

    /// The largest file that is left, when the thread that asks has found the last one of its
    /// own.
    pub(super) fn pop(&self) -> Option<usize> {
        let mut large = self.large();
        loop {
            if let Some((_, index)) = large.files.pop() {
                return Some(index);
            }
            if large.looking == 0 {
                return None;
            }
            large = self
                .more
                .wait(large)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// There is nothing left, for anybody.
    pub(super) fn stop(&self) {
        self.next.store(self.entries.len(), Ordering::Relaxed);
        self.large().files.clear();
    }

    fn large(&self) -> MutexGuard<'_, Large> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that looks for large files; in the end it does no more, even if it panics.
pub(super) struct Looking<'a>(pub(super) &'a Work);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.large().looking -= 1;
        self.0.more.notify_all();
    }
}
