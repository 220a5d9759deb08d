//! Buffers that are filled again: fresh memory costs as much as copying into it.

use std::sync::{Mutex, PoisonError};

/// Buffers nobody needs just now. As many come to be as are in use at a time.
#[derive(Debug, Default)]
pub(super) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// A buffer, with whatever was in it.
    pub(super) fn take(&self) -> Vec<u8> {
        self.buffers(Vec::pop).unwrap_or_default()
    }

    /// A buffer is no longer needed.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        self.buffers(|buffers| buffers.push(buffer));
    }

    fn buffers<T>(&self, change: impl FnOnce(&mut Vec<Vec<u8>>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
