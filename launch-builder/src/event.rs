//! What libraries say while they work; whoever embeds them draws it.

use std::fmt;
use std::sync::Arc;

/// Something that happened on the way to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Bytes of a source arrived, or git said something of its progress.
    Fetch(String),
    /// Files and bytes of a context read so far.
    Context {
        /// Files and links so far.
        files: u64,
        /// Content bytes so far.
        bytes: u64,
    },
    /// An entry was left out although no rule names it: a socket, a fifo, a device.
    Skipped(String),
    /// A line of the build's log.
    Log(String),
    /// Something a person should know.
    Warning(String),
}

/// Receives events; clone-cheap, called from any thread, must not block for long.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<dyn Fn(Event) + Send + Sync>>);

impl Events {
    /// Calls `sink` with every event.
    pub fn new(sink: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    /// Nobody listens.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Says something.
    pub fn say(&self, event: Event) {
        if let Some(sink) = &self.0 {
            sink(event);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Events(..)"
        } else {
            "Events(silent)"
        })
    }
}
