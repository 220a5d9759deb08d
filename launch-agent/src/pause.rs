//! Asking again, ever later.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The pauses between questions to a queue that does not answer, ever longer.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(200))
    }
}

impl Pause {
    /// Waits; answers whether the agent leaves meanwhile.
    pub(crate) async fn is_left(&mut self, leave: &CancellationToken) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.0) => {}
            () = leave.cancelled() => return true,
        }
        self.0 = (self.0 * 2).min(Duration::from_secs(15));
        false
    }
}
