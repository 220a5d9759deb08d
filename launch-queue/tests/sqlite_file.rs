//! The file of a queue: made, kept, shared, refused.

use std::path::Path;
use std::time::Duration;

use launch_queue::clock::ManualClock;
use launch_queue::config::id::{JobId, QueueName};
use launch_queue::config::outcome::{Outcome, Reason, Stage};
use launch_queue::job::{EnqueueRequest, JobState, LeaseRequest, Priority, Report};
use launch_queue::sqlite::{SqliteOptions, SqliteQueue};
use launch_queue::{Error, Queue, QueueAdmin};
use rusqlite::Connection;

fn queue_name() -> QueueName {
    "q".parse().expect("a queue name")
}

fn job() -> EnqueueRequest {
    EnqueueRequest::new(queue_name(), serde_json::json!({"entry": "train.py"}))
}

fn lease() -> LeaseRequest {
    let worker = "w".parse().expect("a worker name");
    LeaseRequest::new(vec![queue_name()], worker, Duration::from_mins(10))
}

/// Makes a queue with `count` jobs in it, and closes it.
async fn filled(path: &Path, count: usize) -> Vec<JobId> {
    let queue = SqliteQueue::open(path).await.expect("open the queue");
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(queue.enqueue(job()).await.expect("enqueue"));
    }
    queue.close().await;
    ids
}

/// An error and its causes, as the edge of a program prints them.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[tokio::test]
async fn everything_is_there_when_the_file_is_opened_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let queue = SqliteQueue::open(&path).await.unwrap();
    let urgent = queue
        .enqueue(job().with_priority(Priority::Critical))
        .await
        .unwrap();
    let held = queue.lease(lease()).await.unwrap().unwrap();
    let waiting = queue.enqueue(job()).await.unwrap();
    queue.close().await;

    let queue = SqliteQueue::open(&path).await.unwrap();
    queue
        .renew(&held.hold, Duration::from_secs(1))
        .await
        .unwrap();
    let next = queue.lease(lease()).await.unwrap().unwrap();
    assert_eq!((held.job.id, next.job.id), (urgent, waiting));
}

#[tokio::test]
async fn a_call_that_was_handed_over_is_done_before_the_file_closes() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let ids = filled(&path, 3).await;
    assert!(
        !path.with_extension("db-wal").exists(),
        "the log is folded into the file"
    );
    let queue = SqliteQueue::open(&path).await.unwrap();
    for id in ids {
        assert_eq!(
            queue.job(&id).await.unwrap().unwrap().state,
            JobState::Waiting
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;

    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state/launch/queue.db");
    let queue = SqliteQueue::open(&path).await.unwrap();
    queue.enqueue(job()).await.unwrap();
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&home.path().join("state")), 0o700);
    assert_eq!(mode(&home.path().join("state/launch")), 0o700);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let ids = filled(&path, 1).await;
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    let before = fs_err::read(&path).unwrap();
    let error = SqliteQueue::open(&path).await.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Version {
                found: 99,
                known: 3,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(&path.display().to_string()),
        "{error}"
    );
    assert!(!error.is_retryable());
    assert_eq!(fs_err::read(&path).unwrap(), before, "{ids:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let text = "queue: default\n".repeat(1_000);
    fs_err::write(&path, &text).unwrap();
    let error = SqliteQueue::open(&path).await.unwrap_err();
    let shown = format!("queue `{}` is damaged, or is not a queue", path.display());
    assert_eq!(chain(&error), format!("{shown}: file is not a database"));
    assert!(error.hint().is_some() && !error.is_retryable());
    assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("CREATE TABLE bookmarks (url TEXT)")
        .unwrap();
    other.close().unwrap();
    let before = fs_err::read(&path).unwrap();
    let error = SqliteQueue::open(&path).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(
        chain(&error).ends_with(": it is a database of another program"),
        "{error:?}"
    );
    assert_eq!(fs_err::read(&path).unwrap(), before);
}

#[tokio::test]
async fn damaged_pages_are_reported_as_damage() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    filled(&path, 200).await;
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[4_096..].fill(0xa5);
    fs_err::write(&path, bytes).unwrap();
    let queue = SqliteQueue::open(&path).await.unwrap();
    let error = queue.lease(lease()).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("queue.db"), "{error}");
}

#[tokio::test]
async fn a_path_that_cannot_be_made_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs_err::write(&file, "").unwrap();
    let error = SqliteQueue::open(file.join("queue.db")).await.unwrap_err();
    assert!(
        matches!(error, Error::Backend { action: "open", .. }),
        "{error:?}"
    );
    assert!(chain(&error).contains("file/queue.db"), "{error:?}");
    let error = SqliteQueue::open(home.path()).await.unwrap_err();
    assert!(
        matches!(error, Error::Backend { .. }),
        "a directory: {error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_open_a_new_file_at_once() {
    let home = tempfile::tempdir().unwrap();
    let mut openings = tokio::task::JoinSet::new();
    for number in 0..16 {
        let path = home.path().join("new/queue.db");
        openings.spawn(async move {
            let queue = SqliteQueue::open(path).await.unwrap();
            let id: JobId = format!("job-{number}").parse().unwrap();
            queue.enqueue(job().with_id(id)).await.unwrap();
        });
    }
    openings.join_all().await;
    let queue = SqliteQueue::open(home.path().join("new/queue.db"))
        .await
        .unwrap();
    assert_eq!(queue.queues().await.unwrap()[0].waiting, 16);
}

#[tokio::test]
async fn a_writer_in_the_way_is_waited_for_and_then_reported() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let options = SqliteOptions::default().with_busy_timeout(Duration::from_millis(50));
    let queue = SqliteQueue::open_with(&path, options).await.unwrap();
    let id = queue.enqueue(job()).await.unwrap();
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = queue.lease(lease()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(
        chain(&error).contains("failed to lease a job: database is locked"),
        "{error:?}"
    );
    assert!(
        queue.job(&id).await.unwrap().is_some(),
        "readers are not kept out"
    );
    writer.execute_batch("ROLLBACK").unwrap();
    assert_eq!(queue.lease(lease()).await.unwrap().unwrap().job.id, id);
}

#[tokio::test]
async fn a_spec_that_somebody_damaged_reaches_a_worker_as_text() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    filled(&path, 1).await;
    let editor = Connection::open(&path).unwrap();
    editor
        .execute("UPDATE specs SET spec = '{\"entry\": '", [])
        .unwrap();
    let queue = SqliteQueue::open(&path).await.unwrap();
    let lease = queue.lease(lease()).await.unwrap().unwrap();
    assert_eq!(lease.job.spec, "{\"entry\": ");
}

#[tokio::test]
async fn jobs_that_ended_long_ago_are_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let clock = ManualClock::at_ms(1_000_000);
    let day = Duration::from_hours(24);
    let options = SqliteOptions::default()
        .with_clock(clock.clone())
        .with_retention(day);
    let queue = SqliteQueue::open_with(&path, options).await.unwrap();
    for _ in 0..1100 {
        queue.enqueue(job()).await.unwrap();
        let lease = queue.lease(lease()).await.unwrap().unwrap();
        let report = Report::new(Stage::Watch, "as said");
        queue.report(&lease.hold, report).await.unwrap();
        let outcome = Outcome::new(Reason::Succeeded, Stage::Watch);
        queue.finish(&lease.hold, outcome).await.unwrap();
    }
    let waits = queue.enqueue(job()).await.unwrap();
    assert_eq!(
        queue.prune(day, 10_000).await.unwrap(),
        0,
        "none is that old"
    );
    clock.advance(day);
    assert_eq!(queue.prune(day, 7).await.unwrap(), 7);
    // Leasing does the rest: the first step is due a minute after the queue was opened,
    // and a full one calls for the next.
    queue.close().await;
    let options = SqliteOptions::default()
        .with_clock(clock)
        .with_retention(day);
    let queue = SqliteQueue::open_with(&path, options).await.unwrap();
    for _ in 0..3 {
        drop(queue.lease(lease()).await.unwrap());
    }
    let record = &queue.queues().await.unwrap()[0];
    assert_eq!((record.ended, record.leased), (0, 1));
    assert!(queue.job(&waits).await.unwrap().is_some());
    queue.close().await;
    let file = Connection::open(&path).unwrap();
    for table in ["specs", "reports"] {
        let count = format!("SELECT count(*) FROM {table}");
        let left: i64 = file.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, i64::from(table == "specs"), "{table}");
    }
}

#[tokio::test]
async fn the_oldest_of_too_many_ended_jobs_are_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let clock = ManualClock::at_ms(1_000_000);
    let options = |most| {
        SqliteOptions::default()
            .with_clock(clock.clone())
            .with_most_ended(most)
    };
    let queue = SqliteQueue::open_with(&path, options(None)).await.unwrap();
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(queue.enqueue(job()).await.unwrap());
        let lease = queue.lease(lease()).await.unwrap().unwrap();
        let outcome = Outcome::new(Reason::Succeeded, Stage::Watch);
        queue.finish(&lease.hold, outcome).await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    queue.close().await;
    for (most, left) in [(Some(11), 10), (Some(10), 10), (Some(3), 3), (Some(0), 1)] {
        let queue = SqliteQueue::open_with(&path, options(most)).await.unwrap();
        assert!(queue.lease(lease()).await.unwrap().is_none());
        let there = queue.queues().await.unwrap()[0].ended;
        assert_eq!(there, left, "{most:?}");
        assert!(queue.job(&jobs[9]).await.unwrap().is_some(), "the newest");
        queue.close().await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_job_that_another_process_enqueues_is_heard_of() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("queue.db");
    let queue = SqliteQueue::open(&path).await.unwrap();
    let mut arrivals = queue.arrivals().unwrap();
    let other = SqliteQueue::open(&path).await.unwrap();
    fs_err::write(home.path().join("other"), "not the queue").unwrap();
    let quiet = tokio::time::timeout(Duration::from_millis(100), async {
        arrivals.mark_unchanged();
        arrivals.changed().await
    });
    assert!(quiet.await.is_err(), "another file is none of ours");
    for _ in 0..3 {
        arrivals.mark_unchanged();
        other.enqueue(job()).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(5), arrivals.changed());
        heard.await.expect("it is told").unwrap();
        assert!(queue.lease(lease()).await.unwrap().is_some());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
