//! The suite of all queues, as far as the protocol has what it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_queue::config::id::JobId;
use launch_queue::config::outcome::{Reason, Stage};
use launch_queue::conformance::Harness;
use launch_queue::job::{EnqueueRequest, LeaseRequest};
use launch_queue::{Queue as _, QueueAdmin};
use tokio::task::JoinSet;

use super::server::Server;
use super::{connect, options, outcome, spec, worker};

/// What the server has no place for, and the cases that ask for it.
const NOT_THE_SERVERS: [(&str, &[&str]); 8] = [
    (
        "ids of a submitter's choice, or a wait before the first lease",
        &[
            "a_job_id_is_enqueued_once",
            "a_job_id_of_another_job_is_refused",
            "concurrent_enqueues_of_one_id_are_one_job",
            "a_dropped_enqueue_is_done_or_not_done",
            "urgent_jobs_come_first",
            "priority_decides_across_queues",
            "equals_come_in_the_order_of_queues_then_of_age",
            "an_expired_job_keeps_its_place",
            "a_job_is_not_leased_before_its_time",
            "only_one_job_can_be_asked_for",
            "queues_not_asked_for_are_left_alone",
            "reports_are_bounded",
            "jobs_are_listed_newest_first",
        ],
    ),
    (
        "leases that end: an item is given for a minute, then claimed for good",
        &[
            "an_expired_lease_is_taken_over_by_one_worker",
            "a_takeover_keeps_the_attempt_and_raises_the_fence",
            "a_renewed_lease_does_not_expire",
            "an_expired_hold_that_nobody_took_can_be_renewed",
            "a_stale_hold_is_refused_on_every_call",
            "a_hold_of_the_future_is_stale",
            "finishing_after_another_holder_is_stale",
            "cancelling_an_expired_job_tells_the_next_holder",
        ],
    ),
    (
        "outcomes: runs report themselves, and only failures are told",
        &[
            "finishing_twice_is_one_finish",
            "an_expired_hold_that_nobody_took_can_finish",
            "outcomes_come_out_as_they_went_in",
            "a_record_follows_its_job",
            "a_dropped_write_is_done_or_not_done",
            "cancelling_a_held_job_tells_its_holder",
            "a_job_cancelled_while_held_is_not_put_back",
            // All are held once, but none is listed as ended; see below.
            "two_workers_never_hold_one_job",
        ],
    ),
    (
        "a requeue in place: it is a new item",
        &[
            "a_hold_that_put_its_job_back_is_stale",
            "a_requeue_keeps_id_priority_and_age_and_raises_the_attempt",
            "a_requeue_waits",
            "a_requeued_job_is_never_missing",
        ],
    ),
    (
        "the name of who holds an item",
        &[
            "a_worker_finds_what_it_holds",
            "a_dropped_lease_is_done_or_not_done",
        ],
    ),
    (
        "specs as they came: each gets the id of its run",
        &[
            "specs_come_out_as_they_went_in",
            "large_specs_come_out_as_they_went_in",
            "a_spec_that_cannot_be_read_back_is_refused",
        ],
    ),
    (
        "reports, and items that are gone once they are cancelled",
        &[
            "reports_keep_their_order",
            "cancelling_a_waiting_job_ends_it",
        ],
    ),
    (
        "pauses and counts, and templates that are filled before an item is popped",
        &[
            "a_paused_queue_gives_nothing_out",
            "queues_are_listed_with_their_counts",
            "settings_come_out_as_they_went_in",
            "a_template_is_filled_when_a_job_is_submitted",
            "what_the_settings_do_not_allow_is_refused",
        ],
    ),
];

struct Wandb {
    server: Server,
    home: tempfile::TempDir,
}

#[async_trait]
impl Harness for Wandb {
    async fn handle(&self) -> Arc<dyn QueueAdmin> {
        let options = options(&self.server)
            .with_directory(self.home.path())
            .with_poll_interval(Duration::ZERO);
        Arc::new(connect(options))
    }

    async fn advance(&self, _: Duration) {
        self.server.state().expire();
    }
}

async fn fresh() -> Arc<dyn Harness> {
    let server = Server::start().await;
    server.state().queues = vec!["q".to_owned()];
    let home = tempfile::tempdir().expect("a directory");
    Arc::new(Wandb { server, home })
}

macro_rules! hold {
    ($($case:ident)*) => {
        const HOLD: &[&str] = &[$(stringify!($case)),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                launch_queue::conformance::$case(fresh().await).await;
            }
        )*
    };
}

hold! {
    a_finished_job_is_never_leased_again
    a_job_that_does_not_exist_is_unknown
    an_ended_job_refuses_its_last_holder
    cancelling_an_ended_job_changes_nothing
    made_ids_are_distinct_and_fit_names
    the_jobs_asked_to_stop_are_told_at_once
}

macro_rules! names {
    ([] $($case:ident)*) => {
        vec![$(stringify!($case)),*]
    };
}

#[test]
fn every_case_of_the_suite_holds_or_asks_for_what_the_server_has_not() {
    let mut suite: Vec<&str> = launch_queue::for_each_queue_case!(names, []);
    let not = NOT_THE_SERVERS.iter().flat_map(|(_, cases)| *cases);
    let mut known: Vec<&str> = HOLD.iter().chain(not).copied().collect();
    suite.sort_unstable();
    known.sort_unstable();
    assert_eq!(suite, known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn agents_that_drain_a_queue_together_have_each_item_once() {
    const ITEMS: usize = 120;
    let server = Server::start().await;
    let submitter = connect(options(&server));
    for _ in 0..ITEMS {
        let request = EnqueueRequest::new("first".parse().expect("a name"), spec());
        submitter.enqueue(request).await.expect("enqueue");
    }
    let mut agents = JoinSet::new();
    for _ in 0..6 {
        agents.spawn(drain(server.clone()));
    }
    let mut times: BTreeMap<JobId, usize> = BTreeMap::new();
    for id in agents.join_all().await.into_iter().flatten() {
        *times.entry(id).or_default() += 1;
    }
    assert_eq!(times.len(), ITEMS);
    assert!(times.values().all(|count| *count == 1), "{times:?}");
}

/// What one agent, with a directory of its own, has until nothing is left.
async fn drain(server: Server) -> Vec<JobId> {
    let home = tempfile::tempdir().expect("a directory");
    let options = options(&server).with_directory(home.path());
    let queue = connect(options.with_poll_interval(Duration::ZERO));
    let queues = vec!["first".parse().expect("a name")];
    let ask = LeaseRequest::new(queues, worker(), Duration::from_mins(1));
    let mut had = Vec::new();
    while let Some(lease) = queue.lease(ask.clone()).await.expect("lease") {
        let hold = &lease.hold;
        queue.renew(hold, ask.ttl).await.expect("claim");
        let failed = outcome(Reason::Failed { code: 1 }, Stage::Watch);
        queue.finish(hold, failed).await.expect("finish");
        had.push(lease.job.id);
    }
    had
}
