//! What every runner must do, as tests that run against yours.
//!
//! Implement [`Harness`] for your runner and call [`all`], or each function from a test
//! of its own, which says more when one fails. The functions panic with what they saw.
//! Scripts are POSIX `sh` and use `sleep`, `head`, `yes`, `printf`, nothing else. They run
//! for seconds, not minutes; each uses keys of its own, so they may run side by side.
//!
//! ```no_run
//! use async_trait::async_trait;
//! use launch_runner::Runner;
//! use launch_runner::config::id::RunKey;
//! use launch_runner::conformance::{self, Fidelity, Harness};
//! use launch_runner::run::{RunHandle, RunRequest, Workload};
//! # use launch_runner::process::ProcessRunner;
//!
//! #[derive(Debug)]
//! struct Mine;
//!
//! #[async_trait]
//! impl Harness for Mine {
//!     async fn open(&self) -> Box<dyn Runner> {
//!         Box::new(ProcessRunner::open("/tmp/runs").expect("a directory"))
//!     }
//!     fn script(&self, key: RunKey, script: &str) -> RunRequest {
//!         RunRequest::new(key, Workload::Tree("/tmp".into())).with_command(["sh", "-c", script])
//!     }
//!     fn fidelity(&self) -> Fidelity {
//!         Fidelity::Bytes
//!     }
//!     async fn abandon(&self, _request: RunRequest) -> Option<RunHandle> {
//!         None
//!     }
//! }
//!
//! # async fn test() {
//! conformance::all(&Mine).await;
//! # }
//! ```

mod cancelling;
mod ending;
mod identity;
mod output;
mod watching;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use launch_config::id::RunKey;

pub use self::cancelling::{
    a_later_watcher_sees_the_cancel, cancelling_an_ended_run_changes_nothing,
    cancelling_before_the_start, cancelling_ends_a_silent_run, cancelling_ends_a_stopped_run,
    cancelling_forces_after_the_grace, cancelling_lets_the_program_tidy_up,
    cancelling_right_after_the_submit,
};
pub use self::ending::{
    a_missing_program_is_not_a_success, background_children_do_not_keep_a_run, exit_codes_are_told,
    the_backend_may_be_away, the_end_is_known_although_nobody_watched,
};
pub use self::identity::{
    a_dropped_submit_is_finished_by_the_next, a_foreign_handle_is_refused,
    a_run_outlives_its_client, cleaning_up_leaves_nothing, one_key_is_one_run,
    owned_runs_are_listed, submitting_at_once_is_one_run,
};
pub use self::output::{
    every_watcher_gets_everything, large_output_is_complete, logs_are_slices, odd_bytes_survive,
    the_environment_arrives, watching_from_an_offset,
};
pub use self::watching::{Seen, fresh_key, watch};
use crate::Runner;
use crate::run::{RunHandle, RunRequest};

/// How true a backend keeps output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fidelity {
    /// Byte for byte.
    Bytes,
    /// Line by line: a last line gets a newline if it has none, and bytes that are not
    /// UTF-8 may be replaced.
    Lines,
}

/// A runner under test.
#[async_trait]
pub trait Harness: Debug + Send + Sync {
    /// A runner, opened as a new process would: each call the same backend state.
    async fn open(&self) -> Box<dyn Runner>;

    /// A request that runs `script` with `sh`.
    fn script(&self, key: RunKey, script: &str) -> RunRequest;

    /// How true output is kept.
    fn fidelity(&self) -> Fidelity;

    /// Leaves what a submit leaves that dies right before the program starts, and the
    /// handle of it. `None` if the backend starts in the same step that creates.
    async fn abandon(&self, request: RunRequest) -> Option<RunHandle>;

    /// Why a case of this name cannot be put to the backend, if it cannot: it lacks the
    /// concept. What a runner merely does badly is no reason.
    fn not_applicable(&self, _case: &str) -> Option<&'static str> {
        None
    }

    /// How many bytes of output are a lot: 100 MiB, unless the backend keeps less.
    fn large_output(&self) -> usize {
        100 << 20
    }

    /// Makes the backend silent for `time` to runners that were opened here, and returns at
    /// once. `false` if it cannot be.
    async fn go_away(&self, _time: Duration) -> bool {
        false
    }
}

/// One case of the suite: its name, and what it does with a runner.
pub type Case = (
    &'static str,
    for<'a> fn(&'a dyn Harness) -> BoxFuture<'a, ()>,
);

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// Every case, in order.
        pub const CASES: &[Case] = &[
            $((stringify!($name), |harness| Box::pin($name(harness)))),*
        ];
    };
}

cases![
    exit_codes_are_told,
    a_missing_program_is_not_a_success,
    the_end_is_known_although_nobody_watched,
    background_children_do_not_keep_a_run,
    one_key_is_one_run,
    submitting_at_once_is_one_run,
    a_run_outlives_its_client,
    a_foreign_handle_is_refused,
    cleaning_up_leaves_nothing,
    owned_runs_are_listed,
    a_dropped_submit_is_finished_by_the_next,
    cancelling_lets_the_program_tidy_up,
    cancelling_forces_after_the_grace,
    cancelling_ends_a_silent_run,
    cancelling_ends_a_stopped_run,
    cancelling_before_the_start,
    cancelling_right_after_the_submit,
    cancelling_an_ended_run_changes_nothing,
    a_later_watcher_sees_the_cancel,
    large_output_is_complete,
    odd_bytes_survive,
    every_watcher_gets_everything,
    watching_from_an_offset,
    logs_are_slices,
    the_environment_arrives,
    the_backend_may_be_away,
];

/// Everything that can be put to the backend, one after the other.
///
/// # Panics
/// If the runner does not do what every runner must.
pub async fn all(harness: &dyn Harness) {
    for (name, case) in CASES {
        match harness.not_applicable(name) {
            Some(why) => tracing::info!(case = name, why, "not applicable"),
            None => case(harness).await,
        }
    }
}
