//! What a lease costs: measured by SQLite's own plan and its own count of steps.

use launch_config::id::QueueName;
use rusqlite::{Connection, StatementStatus};

use super::*;
use crate::sqlite::schema;

fn plan(connection: &Connection, sql: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let count = statement.parameter_count();
    let nulls = rusqlite::params_from_iter(std::iter::repeat_n(1, count));
    let rows = statement
        .query_map(nulls, |row| row.get::<_, String>(3))
        .unwrap();
    rows.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

fn open() -> (tempfile::TempDir, Connection) {
    let home = tempfile::tempdir().unwrap();
    let connection = schema::open(&home.path().join("q.db"), Duration::from_secs(5)).unwrap();
    (home, connection)
}

#[test]
fn every_statement_of_a_lease_seeks() {
    let (_home, connection) = open();
    for (sql, index) in [
        (MAKE_READY, "jobs_due"),
        (FIRST_OF_QUEUE, "jobs_ready"),
        (ONLY, "sqlite_autoindex_jobs_1"),
        (TAKE, "INTEGER PRIMARY KEY"),
        (TAKEN, "INTEGER PRIMARY KEY"),
    ] {
        let plan = plan(&connection, sql);
        assert!(plan.contains(index), "{sql}: {plan}");
        assert!(!plan.contains("SCAN"), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// Fills a queue with `count` jobs of each kind: ready, not yet due, held and ended.
fn fill(connection: &Connection, count: u32) {
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
        INSERT INTO jobs (id, queue, priority, state, ready, due_at, enqueued_at)
        SELECT kind || '-' || i, 'q', i % 4, state, ready, due_at, 0 FROM n, (
            SELECT 'w' AS kind, 'waiting' AS state, 1 AS ready, NULL AS due_at
            UNION ALL SELECT 'l', 'waiting', 0, 9000
            UNION ALL SELECT 'h', 'leased', 0, 9000
            UNION ALL SELECT 'e', 'ended', 0, NULL)";
    connection.execute(sql, [count]).unwrap();
    connection
        .execute(
            "INSERT INTO specs (job, spec) SELECT seq, '1' FROM jobs",
            [],
        )
        .unwrap();
}

/// The steps of SQLite's virtual machine that one lease takes.
fn steps_of_a_lease(count: u32) -> i32 {
    let (_home, mut connection) = open();
    fill(&connection, count);
    let queue: QueueName = "q".parse().unwrap();
    let ttl = Duration::from_secs(1);
    let request = LeaseRequest::new(vec![queue], "w".parse().unwrap(), ttl);
    let tx = connection.transaction().unwrap();
    assert!(lease(&tx, &request, 1_000).unwrap().is_some());
    [MAKE_READY, FIRST_OF_QUEUE, TAKE, TAKEN]
        .map(|sql| {
            tx.prepare_cached(sql)
                .unwrap()
                .get_status(StatementStatus::VmStep)
        })
        .into_iter()
        .sum()
}

#[test]
fn a_lease_from_a_deep_queue_costs_what_a_lease_from_a_shallow_one_does() {
    let shallow = steps_of_a_lease(4);
    assert!(shallow > 0);
    assert_eq!(shallow, steps_of_a_lease(20_000));
}
