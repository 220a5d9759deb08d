//! How the server fares, so that nobody makes it worse.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failure::Failure;

/// What the last answers said of the server.
#[derive(Debug, Default)]
pub(super) struct Weather {
    /// The last call was given up. Until one goes through, each is tried once: whoever
    /// needs it asks again at a pace of its own.
    is_out: AtomicBool,
    rests_until: Mutex<Option<Instant>>,
}

impl Weather {
    /// How long a call may be tried, if it may be for `patience` in good weather.
    pub(super) fn patience(&self, patience: Duration) -> Duration {
        if self.is_out.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            patience
        }
    }

    /// What is left of a pause the server asked for.
    pub(super) fn rest(&self) -> Option<Duration> {
        let rests = self.rests_until.lock();
        let until = (*rests.unwrap_or_else(PoisonError::into_inner))?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// A try failed.
    pub(super) fn failed(&self, failure: &Failure) {
        if let (Some(wait), false) = (
            failure.retry_after(),
            matches!(failure, Failure::Resting(_)),
        ) {
            let mut rests = self
                .rests_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *rests = Some(Instant::now() + wait);
        }
    }

    /// A call came to its end.
    pub(super) fn ended<T>(&self, answer: &Result<T, Failure>) {
        let is_out = match answer {
            Ok(_) => false,
            Err(failure) => failure.is_passing() || failure.is_unauthorized(),
        };
        self.is_out.store(is_out, Ordering::Relaxed);
    }
}
