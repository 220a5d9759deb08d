//! Runners against their backends.

#![cfg(all(
    feature = "conformance",
    any(
        feature = "docker",
        feature = "kubernetes",
        all(feature = "process", unix)
    )
))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

/// One test of each function of the conformance suite.
macro_rules! conformance {
    ($harness:expr; $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let Some(harness) = $harness else { return };
                launch_runner::conformance::$name(&harness).await;
            }
        )*
    };
    ($harness:expr) => {
        conformance! { $harness;
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
            cancelling_an_ended_run_changes_nothing,
            a_later_watcher_sees_the_cancel,
            large_output_is_complete,
            odd_bytes_survive,
            every_watcher_gets_everything,
            watching_from_an_offset,
            logs_are_slices,
            the_environment_arrives,
        }
    };
}

#[cfg(all(feature = "process", unix))]
mod crash;
#[cfg(feature = "docker")]
mod docker;
#[cfg(all(feature = "docker", unix))]
mod docker_wire;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(all(feature = "process", unix))]
mod process;
