//! Who has a slot: jobs and sweep schedulers, counted apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// What a job counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An ordinary job (`max_jobs`).
    Job,
    /// A sweep scheduler (`max_schedulers`).
    Scheduler,
}

/// The slots of an agent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    jobs: AtomicUsize,
    schedulers: AtomicUsize,
    freed: Notify,
}

/// A slot in use; free again when it is dropped. A run that has ended needs none, also if
/// its end is still to be told.
#[derive(Debug)]
pub(crate) struct Slot {
    counts: Arc<Counts>,
    kind: Kind,
}

impl Counts {
    fn of(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Job => &self.jobs,
            Kind::Scheduler => &self.schedulers,
        }
    }
}

impl Slots {
    /// Takes a slot, whether or not there is one: what was taken up before is not refused.
    pub(crate) fn take(&self, kind: Kind) -> Slot {
        self.0.of(kind).fetch_add(1, Ordering::SeqCst);
        let counts = Arc::clone(&self.0);
        Slot { counts, kind }
    }

    /// Whether there is a free one of so many; `None` has no limit.
    pub(crate) fn has_free(&self, kind: Kind, limit: Option<usize>) -> bool {
        limit.is_none_or(|limit| self.0.of(kind).load(Ordering::SeqCst) < limit)
    }

    /// Waits until somebody leaves.
    pub(crate) async fn freed(&self) {
        self.0.freed.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.of(self.kind).fetch_sub(1, Ordering::SeqCst);
        self.counts.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_and_schedulers_have_seats_of_their_own() {
        let slots = Slots::default();
        let job = slots.take(Kind::Job);
        assert!(!slots.has_free(Kind::Job, Some(1)));
        assert!(slots.has_free(Kind::Scheduler, Some(1)));
        assert!(slots.has_free(Kind::Job, None));
        let more = slots.take(Kind::Job);
        drop(job);
        assert!(!slots.has_free(Kind::Job, Some(1)));
        drop(more);
        assert!(slots.has_free(Kind::Job, Some(1)));
        assert!(!slots.has_free(Kind::Job, Some(0)));
    }
}
