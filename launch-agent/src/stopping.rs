//! Stopping one job: a wish first, an order later.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// A wish for the job to end, and how it becomes an order.
pub(crate) struct Stopping {
    /// Somebody asked for it.
    pub(crate) asked: CancellationToken,
    /// It ends now.
    pub(crate) cancel: CancellationToken,
    /// There is a run, which may hear of the wish by itself.
    pub(crate) submitted: AtomicBool,
}

impl Stopping {
    /// A wish that nobody has yet; its order is this token.
    pub(crate) fn new(cancel: CancellationToken) -> Self {
        Self {
            asked: CancellationToken::new(),
            cancel,
            submitted: AtomicBool::new(false),
        }
    }

    pub(crate) fn ask(&self) {
        if !self.asked.is_cancelled() {
            tracing::info!("somebody asked for this job to stop");
            self.asked.cancel();
        }
    }

    /// Gives a run the time to end by itself; what is no run yet ends at once. Never ends.
    pub(crate) async fn insist(&self, grace: Duration) {
        self.asked.cancelled().await;
        if self.submitted.load(Ordering::Relaxed) {
            tokio::time::sleep(grace).await;
        }
        self.cancel.cancel();
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_run_may_end_by_itself_and_what_is_none_yet_ends_at_once() {
        for (is_run, earliest) in [(true, 60), (false, 0)] {
            let stop = Stopping::new(CancellationToken::new());
            stop.submitted.store(is_run, Ordering::Relaxed);
            stop.ask();
            let began = tokio::time::Instant::now();
            tokio::select! {
                () = stop.insist(Duration::from_mins(1)) => {}
                () = stop.cancel.cancelled() => {}
            }
            assert_eq!(began.elapsed().as_secs(), earliest);
        }
    }
}
