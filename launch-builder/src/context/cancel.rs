//! Whether work is to go on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Error;

/// Asked between two chunks: shall this go on?
#[derive(Debug, Clone, Default)]
pub(super) struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// An error once nobody waits for the result; nobody sees it.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for the result").into());
        }
        Ok(())
    }

    /// Nobody waits any more.
    pub(super) fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
