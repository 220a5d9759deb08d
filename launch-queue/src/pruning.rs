//! Forgetting old jobs now and then, beside leases: no other process is needed for it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a handle looks for old jobs once it has found the last of them.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// How many go at once: a step that short holds nobody up.
pub(crate) const PRUNE_AT_ONCE: usize = 1000;

/// Which jobs to forget, and when.
#[derive(Debug)]
pub(crate) struct Pruning {
    retention: Duration,
    most: Option<u64>,
    next: Mutex<Option<Instant>>,
}

impl Pruning {
    /// Jobs that ended `retention` ago are to be forgotten, and the oldest of more than
    /// `most` that ended.
    pub(crate) fn new(retention: Duration, most: Option<u64>) -> Self {
        let next = Mutex::new(None);
        Self {
            retention,
            most,
            next,
        }
    }

    pub(crate) fn retention(&self) -> Duration {
        self.retention
    }

    /// How many newer jobs have to have ended before one is forgotten, if that counts.
    pub(crate) fn newer(&self) -> Option<i64> {
        let newer = self.most?.max(1) - 1;
        Some(i64::try_from(newer).unwrap_or(i64::MAX))
    }

    /// Whether a step is due; then it is the caller's.
    pub(crate) fn is_time(&self) -> bool {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_time = next.is_none_or(|next| next <= now);
        if is_time {
            *next = Some(now + PRUNE_EVERY);
        }
        is_time
    }

    /// Says how many jobs a step forgot. After a full one the next is due at once, so that
    /// jobs are forgotten at least as fast as they are leased.
    pub(crate) fn pruned(&self, jobs: u64) {
        if jobs == 0 {
            return;
        }
        tracing::debug!(jobs, "forgot old jobs");
        if jobs >= PRUNE_AT_ONCE as u64 {
            *self.next.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_step_is_followed_by_another_and_the_last_by_a_pause() {
        let pruning = Pruning::new(Duration::ZERO, None);
        assert!(pruning.is_time());
        assert!(!pruning.is_time(), "one step at a time");
        pruning.pruned(PRUNE_AT_ONCE as u64);
        assert!(pruning.is_time());
        pruning.pruned(1);
        assert!(!pruning.is_time());
    }
}
