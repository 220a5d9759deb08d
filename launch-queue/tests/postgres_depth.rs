//! What a lease costs in PostgreSQL does not grow with what the table holds.

mod common;

use std::time::Duration;

use launch_queue::Queue as _;
use launch_queue::job::LeaseRequest;
use launch_queue::postgres::PostgresQueue;

const LEASES: i64 = 20;

/// So many jobs ended before the ones that wait, and so many wait. All are of one priority,
/// so that the server has nothing to choose its indexes by.
const ENDED: u32 = 2000;
const WAITING: u32 = 20_000;

fn fill(schema: &str) -> String {
    format!(
        "INSERT INTO {schema}.jobs (id, queue, priority, state, ready, enqueued_at, ended_at)
         SELECT 'ended-' || n, 'q', 2, 'ended', false, 0, launch_now
         FROM generate_series(1, {ENDED}) n, {schema}.moment(NULL) AS launch_now;
         INSERT INTO {schema}.jobs (id, queue, priority, state, ready, enqueued_at)
         SELECT 'waits-' || n, 'q', 2, 'waiting', true, 0 FROM generate_series(1, {WAITING}) n;
         INSERT INTO {schema}.specs (job, spec) SELECT seq, '{{}}' FROM {schema}.jobs;
         VACUUM ANALYZE {schema}.jobs"
    )
}

async fn lease(queue: &PostgresQueue) {
    let queues = vec!["q".parse().expect("a queue name")];
    let worker = "w".parse().expect("a worker name");
    let ask = LeaseRequest::new(queues, worker, Duration::from_mins(1));
    let lease = queue.lease(ask).await.expect("lease");
    assert!(lease.is_some(), "a job waits");
}

#[tokio::test]
async fn a_lease_reads_what_it_takes_and_not_what_waits_or_has_ended() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let queue = server.open(&schema, None).await.unwrap();
    for statement in fill(&schema).split(';') {
        server.run(statement).await;
    }
    let read = format!(
        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes
         WHERE schemaname = '{schema}' AND relname = 'jobs'"
    );
    let leased = format!(
        "SELECT n_tup_upd FROM pg_stat_user_tables
         WHERE schemaname = '{schema}' AND relname = 'jobs'"
    );
    let before = server.number(&read).await;
    // Enough for the server to stop planning each by itself.
    for _ in 0..LEASES {
        lease(&queue).await;
    }
    // A connection tells its figures with a transaction, once a second.
    let mut more = 0;
    while server.number(&leased).await < LEASES {
        assert!(more < 10, "the figures never come");
        tokio::time::sleep(Duration::from_millis(1100)).await;
        lease(&queue).await;
        more += 1;
    }
    let read = server.number(&read).await - before;
    let most = 20 * (LEASES + more);
    assert!(read <= most, "{read} index entries read, not {most}");
}
