//! Runs: what is asked for, what happens, how it ends.

mod request;
mod state;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use launch_config::id::RunKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::request::{CodeMount, CodeSource, RegistryLogin, RunRequest, Workload};
pub use self::state::{RunEnd, RunEvent, RunState};
use crate::Error;

/// What finds a run again, in another process and after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunHandle {
    /// The runner it belongs to: `docker`, `process` …
    pub runner: String,
    /// What the run is named after.
    pub key: RunKey,
    /// The backend's own id: a container id, a directory.
    pub id: String,
}

impl RunHandle {
    /// A handle as a runner makes it.
    pub fn new(runner: impl Into<String>, key: RunKey, id: impl Into<String>) -> Self {
        Self {
            runner: runner.into(),
            key,
            id: id.into(),
        }
    }
}

/// One run.
///
/// # Contract
///
/// - `events` ends with exactly one [`RunEvent::Ended`], after all output that is still to
///   be had; also when the run ended before anyone watched. If the backend stops answering,
///   it keeps trying; it does not end the stream for that.
/// - `events` may be called again, also by several watchers; each gets everything from
///   `log_offset` bytes of output on.
/// - `cancel` asks nicely, waits for `grace`, then forces; when it returns `Ok`, the run has
///   ended or will have within moments. Cancelling an ended run is `Ok`.
/// - A run ended by `cancel` ends as [`Reason::Cancelled`](launch_config::outcome::Reason::Cancelled), whatever code its program left,
///   also for watchers that attach later.
/// - `clean_up` removes what is left of an ended run; afterwards `attach` answers
///   [`Error::Lost`]. Repeating it is `Ok`. Call it when the outcome is safe elsewhere.
#[async_trait]
pub trait Run: Debug + Send + Sync + 'static {
    /// What finds this run again.
    fn handle(&self) -> &RunHandle;

    /// What happens to it, output included, from `log_offset` bytes of output on.
    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent>;

    /// The output from `offset` on, as far as it is there: at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Backend`].
    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error>;

    /// Ends it: nicely for `grace`, then by force.
    ///
    /// # Errors
    /// [`Error::Backend`] if the backend does not answer; call again.
    async fn cancel(&self, grace: Duration) -> Result<(), Error>;

    /// Removes what is left of it.
    ///
    /// # Errors
    /// [`Error::Backend`] if something is left.
    async fn clean_up(&self) -> Result<(), Error>;
}

/// The name of everything that belongs to a run: `launch-<id>-<attempt>`.
///
/// Fit for containers, Kubernetes objects and directories: at most 52 characters of
/// `[a-z0-9-]`. An id that is not already that is replaced by the first 20 hex digits of
/// its SHA-256, so two ids never share a name by being cleaned to the same one.
///
/// ```
/// use launch_config::id::RunKey;
/// use launch_runner::run::run_name;
///
/// # let id = |text: &str| text.parse().unwrap();
/// assert_eq!(run_name(&RunKey::new(id("k3x9"), 0)), "launch-k3x9-0");
/// assert!(run_name(&RunKey::new(id("UnVuUXVldWU="), 2)).ends_with("-2"));
/// ```
pub fn run_name(key: &RunKey) -> String {
    let id = key.job.as_str();
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if id.len() <= 32 && id.bytes().all(fine) && !id.ends_with('-') && !id.starts_with('-') {
        return format!("launch-{id}-{}", key.attempt);
    }
    let hash = Sha256::digest(id.as_bytes());
    let number = hash
        .iter()
        .take(10)
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    format!("launch-x{number:020x}-{}", key.attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_state_follows_the_end() {
        use RunState::{Ended, Running, Starting, Stopping};
        for next in [Starting, Running, Stopping, Ended] {
            assert!(!Ended.may_become(next));
            assert!(!next.may_become(next));
        }
        assert!(Starting.may_become(Ended) && !Stopping.may_become(Running));
    }

    #[test]
    fn ids_that_differ_only_in_case_have_different_names() {
        let name = |id: &str| run_name(&RunKey::new(id.parse().unwrap(), 0));
        assert_ne!(name("aB"), name("ab"));
        assert!(name(&"x".repeat(128)).len() <= 52);
    }
}
