//! What time it is, for queues that keep leases themselves.
//!
//! A queue on one host measures leases by that host's wall clock, because it is the one
//! clock that all its processes share and that goes on through a crash and a reboot. If
//! somebody sets it forward, leases expire early: their jobs are taken over, and the
//! fencing token keeps the old holders out. If it is set back, leases last longer.

pub mod date;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The farthest moment there is: SQLite's integers end here, and 292 million years do.
const FAR_FUTURE_MS: u64 = i64::MAX.unsigned_abs();

/// Where a queue reads the time.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Clock {
    /// The wall clock of this host.
    #[default]
    System,
    /// A clock that stands still until it is told otherwise.
    Manual(ManualClock),
}

impl Clock {
    /// The time, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System => system_ms(),
            Self::Manual(clock) => clock.now_ms(),
        }
    }
}

impl From<ManualClock> for Clock {
    fn from(clock: ManualClock) -> Self {
        Self::Manual(clock)
    }
}

/// A clock for tests: leases expire when the test says so, without sleeping.
///
/// Clones show the same time, so a test keeps one and gives the queue another.
///
/// ```
/// use std::time::Duration;
/// use launch_queue::clock::{Clock, ManualClock};
///
/// let hand = ManualClock::at_ms(1_000);
/// let clock = Clock::from(hand.clone());
/// hand.advance(Duration::from_secs(2));
/// assert_eq!(clock.now_ms(), 3_000);
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that shows `ms` milliseconds since 1970.
    pub fn at_ms(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    /// Sets it forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// The time it shows, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The moment `wait` after `now_ms`, in milliseconds since 1970; never in the past.
pub(crate) fn deadline_ms(now_ms: u64, wait: Duration) -> u64 {
    now_ms.saturating_add(millis(wait)).min(FAR_FUTURE_MS)
}

/// Whole milliseconds, rounded up: a lease is never shorter than was asked.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(FAR_FUTURE_MS)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
fn system_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_round_up_and_do_not_overflow() {
        assert_eq!(deadline_ms(5, Duration::from_nanos(1)), 6);
        assert_eq!(deadline_ms(5, Duration::ZERO), 5);
        assert_eq!(deadline_ms(5, Duration::MAX), FAR_FUTURE_MS);
    }

    #[test]
    fn the_system_clock_is_past_2020() {
        assert!(Clock::default().now_ms() > 1_577_836_800_000);
    }
}
