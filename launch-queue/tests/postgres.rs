//! What only a server on a network can get wrong.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use launch_queue::clock::ManualClock;
use launch_queue::config::id::{JobId, QueueName, WorkerName};
use launch_queue::config::outcome::{Outcome, Reason, Stage};
use launch_queue::config::secret::Secret;
use launch_queue::job::{EnqueueRequest, LeaseRequest};
use launch_queue::postgres::{PostgresOptions, PostgresQueue};
use launch_queue::{Error, Queue, QueueAdmin};
use tokio::task::JoinSet;

const TTL: Duration = Duration::from_mins(1);

fn queue_name() -> QueueName {
    "q".parse().expect("a queue name")
}

fn worker(number: usize) -> WorkerName {
    format!("w{number}").parse().expect("a worker name")
}

fn ask(number: usize) -> LeaseRequest {
    LeaseRequest::new(vec![queue_name()], worker(number), TTL)
}

fn succeeded() -> Outcome {
    Outcome::new(Reason::Succeeded, Stage::Watch)
}

async fn enqueue(queue: &PostgresQueue, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for number in 0..count {
        let request = EnqueueRequest::new(queue_name(), number.into());
        ids.push(queue.enqueue(request).await.expect("enqueue"));
    }
    ids
}

/// Leases until nothing is left; every third job is put back once.
async fn work(queue: Arc<PostgresQueue>, number: usize) -> Vec<(JobId, u64)> {
    let mut held = Vec::new();
    while let Some(lease) = queue.lease(ask(number)).await.expect("lease") {
        held.push((lease.hold.job.clone(), lease.hold.fence));
        tokio::task::yield_now().await;
        let wants_again = lease.job.spec.as_u64().is_some_and(|spec| spec % 3 == 0);
        if wants_again && lease.job.attempt == 0 {
            queue
                .requeue(&lease.hold, Duration::ZERO)
                .await
                .expect("requeue");
        } else {
            queue
                .finish(&lease.hold, succeeded())
                .await
                .expect("finish");
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_agents_never_hold_one_job_at_once() {
    const JOBS: usize = 300;
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let first = server.open(&schema, None).await.unwrap();
    let jobs = enqueue(&first, JOBS).await;
    let mut agents = JoinSet::new();
    for number in 0..8 {
        let queue = Arc::new(server.open(&schema, None).await.unwrap());
        agents.spawn(work(queue, number));
    }
    let mut fences: HashMap<JobId, Vec<u64>> = HashMap::new();
    while let Some(held) = agents.join_next().await {
        for (job, fence) in held.expect("an agent") {
            fences.entry(job).or_default().push(fence);
        }
    }
    assert_eq!(fences.len(), jobs.len());
    let mut total = 0;
    for fences in fences.values_mut() {
        fences.sort_unstable();
        total += fences.len();
        let expected: Vec<u64> = (1..=fences.len() as u64).collect();
        assert_eq!(*fences, expected, "each fence was given once");
    }
    assert_eq!(total, JOBS + JOBS.div_ceil(3), "each third job ran twice");
    let record = &first.queues().await.unwrap()[0];
    assert_eq!(
        (record.waiting, record.leased, record.ended),
        (0, 0, JOBS as u64)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_start_together_migrate_once() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let mut agents = JoinSet::new();
    for _ in 0..8 {
        let (server, schema) = (server.clone(), schema.clone());
        agents.spawn(async move { server.open(&schema, None).await.map(drop) });
    }
    for opened in agents.join_all().await {
        opened.unwrap();
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    server.open(&schema, None).await.unwrap();
    server
        .run(&format!("UPDATE {schema}.version SET version = 1000"))
        .await;
    let error = server.open(&schema, None).await.unwrap_err();
    assert!(
        matches!(error, Error::Version { found: 1000, .. }),
        "{error:?}"
    );
    server
        .run(&format!("UPDATE {schema}.version SET version = 1"))
        .await;
    server.open(&schema, None).await.unwrap();
}

#[tokio::test]
async fn a_schema_of_the_first_version_is_brought_up_to_date_with_its_jobs() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let first = include_str!("../src/postgres/schema/v1.sql");
    let first = first.replace("launch.", &format!("{schema}."));
    let before = format!(
        "CREATE SCHEMA {schema}; {first};
         CREATE TABLE {schema}.version (
             version integer NOT NULL,
             only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row)
         );
         INSERT INTO {schema}.version VALUES (1);
         INSERT INTO {schema}.jobs (id, queue, priority, state, ready, enqueued_at)
         VALUES ('old', 'q', 2, 'waiting', true, 0);
         INSERT INTO {schema}.specs (job, spec) SELECT seq, '7' FROM {schema}.jobs"
    );
    server.run(&before).await;
    let queue = server.open(&schema, None).await.unwrap();
    let version = format!("SELECT version::bigint FROM {schema}.version");
    assert!(server.number(&version).await > 1);
    let lease = queue.lease(ask(1)).await.unwrap().expect("the job waits");
    assert_eq!((lease.hold.job.as_str(), lease.job.spec), ("old", 7.into()));
    queue.finish(&lease.hold, succeeded()).await.unwrap();
}

#[tokio::test]
async fn tables_that_are_gone_are_damage() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let queue = server.open(&schema, None).await.unwrap();
    server
        .run(&format!(
            "DROP TABLE {schema}.reports, {schema}.specs, {schema}.jobs"
        ))
        .await;
    let error = queue.lease(ask(0)).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn broken_connections_are_replaced() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let queue = server.open(&schema, None).await.unwrap();
    let jobs = enqueue(&queue, 1).await;
    let mut arrivals = queue.arrivals();
    arrivals.changed().await.unwrap();
    for _ in 0..3 {
        // Only what belongs to this test: its statements name its schema.
        server
            .run(&format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE pid <> pg_backend_pid() AND query LIKE '%{schema}%'"
            ))
            .await;
        // Each broken one of the pool may cost a call, until its end is noticed.
        let began = Instant::now();
        let found = loop {
            match queue.job(&jobs[0]).await {
                Err(error) if error.is_retryable() && began.elapsed().as_secs() < 20 => {}
                answer => break answer,
            }
        };
        assert!(found.unwrap().is_some());
    }
    tokio::time::timeout(Duration::from_secs(20), arrivals.changed())
        .await
        .expect("the listener connects again")
        .unwrap();
}

#[tokio::test]
async fn arrivals_are_told_at_once() {
    let Some(server) = common::server() else {
        return;
    };
    let schema = common::fresh_schema();
    let (listens, submits) = (
        server.open(&schema, None).await.unwrap(),
        server.open(&schema, None).await.unwrap(),
    );
    let mut arrivals = listens.arrivals();
    arrivals.changed().await.unwrap();
    let began = Instant::now();
    enqueue(&submits, 1).await;
    tokio::time::timeout(Duration::from_secs(10), arrivals.changed())
        .await
        .expect("it is told")
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let lease = listens.lease(ask(0)).await.unwrap().expect("the job");
    listens.requeue(&lease.hold, Duration::ZERO).await.unwrap();
    arrivals.changed().await.unwrap();
    let lease = submits.lease(ask(1)).await.unwrap().expect("the job");
    listens.cancel(&lease.hold.job).await.unwrap();
    arrivals.changed().await.unwrap();
}

#[tokio::test]
async fn old_jobs_are_forgotten_and_no_others() {
    let Some(server) = common::server() else {
        return;
    };
    let clock = ManualClock::at_ms(1_000_000);
    let options = PostgresOptions::default()
        .with_schema(common::fresh_schema())
        .with_clock(clock.clone())
        .with_retention(Duration::from_secs(100));
    let queue = server.open_with(options).await.unwrap();
    let old = enqueue(&queue, 3).await;
    for _ in 0..2 {
        let lease = queue.lease(ask(0)).await.unwrap().expect("a job");
        queue.finish(&lease.hold, succeeded()).await.unwrap();
    }
    clock.advance(Duration::from_secs(100));
    assert_eq!(queue.prune(Duration::from_secs(100), 1).await.unwrap(), 1);
    assert_eq!(queue.prune(Duration::from_secs(100), 9).await.unwrap(), 1);
    assert!(queue.job(&old[0]).await.unwrap().is_none());
    assert!(
        queue.job(&old[2]).await.unwrap().is_some(),
        "it has not ended"
    );
}

#[tokio::test]
async fn the_oldest_of_too_many_ended_jobs_are_forgotten() {
    let Some(server) = common::server() else {
        return;
    };
    let clock = ManualClock::at_ms(1_000_000);
    let schema = common::fresh_schema();
    let options = |most| {
        PostgresOptions::default()
            .with_schema(schema.as_str())
            .with_clock(clock.clone())
            .with_most_ended(most)
    };
    let queue = server.open_with(options(None)).await.unwrap();
    let jobs = enqueue(&queue, 10).await;
    for _ in &jobs {
        let lease = queue.lease(ask(0)).await.unwrap().expect("a job");
        queue.finish(&lease.hold, succeeded()).await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    for (most, left) in [(Some(11), 10), (Some(10), 10), (Some(3), 3), (Some(0), 1)] {
        let queue = server.open_with(options(most)).await.unwrap();
        assert!(queue.lease(ask(0)).await.unwrap().is_none());
        let there = queue.queues().await.unwrap()[0].ended;
        assert_eq!(there, left, "{most:?}");
        assert!(queue.job(&jobs[9]).await.unwrap().is_some(), "the newest");
    }
}

#[tokio::test]
async fn a_certificate_is_checked_whenever_tls_is_spoken() {
    let Some(server) = common::server() else {
        return;
    };
    let ca = std::env::var("LAUNCH_TEST_POSTGRES_CA").expect("beside LAUNCH_TEST_POSTGRES");
    let open = |query: String| {
        let url = Secret::new(server.url.replace("sslmode=disable", &query));
        async move {
            let options = PostgresOptions::default().with_schema(common::fresh_schema());
            PostgresQueue::connect_with(&url, options).await
        }
    };
    open(format!("sslmode=verify-full&sslrootcert={ca}"))
        .await
        .unwrap();
    for query in ["sslmode=require", "sslmode=verify-full"] {
        let error = open(query.to_owned()).await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_said_without_it() {
    let Some(server) = common::server() else {
        return;
    };
    let url = server.url.replace("s3cret-postgres", "planted-secret");
    let error = PostgresQueue::connect(&Secret::new(url)).await.unwrap_err();
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    assert!(text.contains("password authentication failed"), "{text}");
    assert!(!text.contains("planted"), "{text}");
}
