//! Runners against their backends.

#![cfg(all(
    feature = "conformance",
    any(
        feature = "docker",
        feature = "kubernetes",
        feature = "sagemaker",
        feature = "vertex",
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
                crate::conformance(&harness, stringify!($name)).await;
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
        }
    };
}

/// Puts one case to a harness, unless its backend lacks the concept.
#[expect(clippy::print_stderr, reason = "a case that is left out says so")]
async fn conformance(harness: &dyn launch_runner::conformance::Harness, name: &str) {
    let cases = launch_runner::conformance::CASES;
    let (_, case) = cases.iter().find(|(case, _)| *case == name).unwrap();
    match harness.not_applicable(name) {
        Some(why) => eprintln!("not applicable: {why}"),
        None => case(harness).await,
    }
}

#[cfg(any(feature = "sagemaker", feature = "vertex"))]
mod clouds;
#[cfg(all(feature = "process", unix))]
mod crash;
#[cfg(feature = "docker")]
mod docker;
#[cfg(all(feature = "docker", unix))]
mod docker_wire;
#[cfg(any(all(feature = "docker", unix), feature = "kubernetes"))]
mod door;
#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(all(feature = "process", unix))]
mod process;
#[cfg(feature = "sagemaker")]
mod sagemaker;
mod table;
#[cfg(feature = "vertex")]
mod vertex;
