//! Stopping is not cancelling: what each signal means.
//!
//! 1. The first SIGINT or SIGTERM: lease nothing new, let work finish for the grace period.
//! 2. The second: cancel the runs.
//! 3. The third: leave at once. Runs go on and the journal keeps them; the next agent of
//!    this machine finds them again.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How far the end has come; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Lease nothing new.
    pub(crate) drain: CancellationToken,
    /// End the runs.
    pub(crate) cancel: CancellationToken,
    /// Leave the runs as they are.
    pub(crate) leave: CancellationToken,
}

impl Shutdown {
    /// Listens to signals from now on.
    pub(crate) fn listen(say: impl Fn(&str) + Send + 'static) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| Failure::doing("cannot listen to signals", &error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
        let shutdown = Self::default();
        let steps = [
            (
                shutdown.drain.clone(),
                "stopping: no new jobs; once more cancels the running ones",
            ),
            (
                shutdown.cancel.clone(),
                "cancelling; once more leaves the runs as they are",
            ),
            (
                shutdown.leave.clone(),
                "leaving; runs go on, and the next agent finds them again",
            ),
        ];
        tokio::spawn(async move {
            for (step, what) in steps {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                say(what);
                step.cancel();
            }
        });
        Ok(shutdown)
    }
}
