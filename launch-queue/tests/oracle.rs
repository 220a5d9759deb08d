//! Random calls: the queue in memory says what every other queue must do.

mod common;

use std::time::Duration;

use launch_queue::QueueAdmin;
use launch_queue::clock::ManualClock;
use launch_queue::config::id::{JobId, QueueName};
use launch_queue::config::outcome::{Outcome, Reason, Stage};
use launch_queue::job::{EnqueueRequest, Hold, JobRecord, LeaseRequest, Priority, Report};
use launch_queue::memory::MemoryQueue;
use proptest::prelude::*;
use proptest::sample::select;

/// Few ids and queues, so that calls meet.
const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

const QUEUES: [&str; 3] = ["first", "second", "third"];

#[derive(Debug, Clone)]
enum Call {
    Enqueue {
        id: usize,
        queue: usize,
        spec: u8,
        priority: Priority,
        wait: Duration,
    },
    Lease {
        queues: Vec<usize>,
        ttl: Duration,
        only: Option<usize>,
    },
    Renew {
        hold: Held,
        ttl: Duration,
    },
    Report(Held),
    Finish(Held, u8),
    Requeue {
        hold: Held,
        wait: Duration,
    },
    Cancel(usize),
    Create(usize),
    Advance(Duration),
}

/// A hold on job `id`, as far from the newest fence as `age` says.
#[derive(Debug, Clone, Copy)]
struct Held {
    id: usize,
    age: i64,
}

fn id(number: usize) -> JobId {
    IDS[number].parse().expect("a job id")
}

fn queue_name(number: usize) -> QueueName {
    QUEUES[number].parse().expect("a queue name")
}

fn seconds() -> impl Strategy<Value = Duration> {
    select(vec![0, 0, 0, 10, 20]).prop_map(Duration::from_secs)
}

fn held() -> impl Strategy<Value = Held> {
    // Most often the newest; sometimes older, or of the future.
    (0..IDS.len(), select(vec![0, 0, 0, 0, 1, 2, -1])).prop_map(|(id, age)| Held { id, age })
}

fn enqueue() -> impl Strategy<Value = Call> {
    let priority = select(Priority::ALL.to_vec());
    // The third queue and the second spec are rare, since they make conflicts.
    let queue = select(vec![0, 0, 0, 1, 1, 1, 2]);
    (
        0..IDS.len(),
        queue,
        select(vec![0, 0, 0, 0, 1]),
        priority,
        seconds(),
    )
        .prop_map(|(id, queue, spec, priority, wait)| Call::Enqueue {
            id,
            queue,
            spec,
            priority,
            wait,
        })
}

fn lease() -> impl Strategy<Value = Call> {
    let queues = prop_oneof![
        3 => Just(vec![0, 1, 2]),
        1 => Just(vec![2, 1, 0]),
        1 => proptest::collection::vec(0..QUEUES.len(), 0..4),
    ];
    (
        queues,
        seconds(),
        proptest::option::weighted(0.15, 0..IDS.len()),
    )
        .prop_map(|(queues, ttl, only)| Call::Lease { queues, ttl, only })
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => enqueue(),
        8 => lease(),
        3 => (held(), seconds()).prop_map(|(hold, ttl)| Call::Renew { hold, ttl }),
        2 => held().prop_map(Call::Report),
        2 => (held(), any::<u8>()).prop_map(|(hold, note)| Call::Finish(hold, note)),
        4 => (held(), seconds()).prop_map(|(hold, wait)| Call::Requeue { hold, wait }),
        2 => (0..IDS.len()).prop_map(Call::Cancel),
        1 => (0..QUEUES.len()).prop_map(Call::Create),
        3 => seconds().prop_map(Call::Advance),
    ]
}

/// The hold as the newest fence of `queue` has it.
async fn hold(queue: &dyn QueueAdmin, held: Held) -> Hold {
    let job = id(held.id);
    let record = queue.job(&job).await.expect("look up a job");
    let newest = record.map_or(0, |record| record.fence);
    Hold {
        job,
        fence: newest.saturating_add_signed(-held.age),
    }
}

/// Makes the call, and answers everything it gave, as text.
async fn make(queue: &dyn QueueAdmin, call: Call) -> String {
    match call {
        Call::Enqueue {
            id: number,
            queue: name,
            spec,
            priority,
            wait,
        } => {
            let request = EnqueueRequest::new(queue_name(name), spec.into())
                .with_id(id(number))
                .with_priority(priority)
                .with_not_before(wait);
            format!("{:?}", queue.enqueue(request).await)
        }
        Call::Lease { queues, ttl, only } => {
            let queues = queues.into_iter().map(queue_name).collect();
            let mut request = LeaseRequest::new(queues, "w".parse().expect("a name"), ttl);
            request.only = only.map(id);
            format!("{:?}", queue.lease(request).await)
        }
        Call::Renew { hold: held, ttl } => {
            format!("{:?}", queue.renew(&hold(queue, held).await, ttl).await)
        }
        Call::Report(held) => {
            let report = Report::new(Stage::Build, "building");
            format!("{:?}", queue.report(&hold(queue, held).await, report).await)
        }
        Call::Finish(held, note) => {
            let outcome = Outcome::new(Reason::Succeeded, Stage::Watch);
            let outcome = outcome.with_message(note.to_string());
            format!(
                "{:?}",
                queue.finish(&hold(queue, held).await, outcome).await
            )
        }
        Call::Requeue { hold: held, wait } => {
            format!("{:?}", queue.requeue(&hold(queue, held).await, wait).await)
        }
        Call::Cancel(number) => format!("{:?}", queue.cancel(&id(number)).await),
        Call::Create(number) => format!("{:?}", queue.create(&queue_name(number)).await),
        Call::Advance(_) => String::new(),
    }
}

/// Everything that can be seen of a queue.
async fn view(queue: &dyn QueueAdmin) -> (String, Vec<JobRecord>, Vec<Option<JobRecord>>) {
    let queues = queue.queues().await.expect("list queues");
    let mut listed = Vec::new();
    for name in 0..QUEUES.len() {
        listed.extend(queue.jobs(&queue_name(name), 4).await.expect("list jobs"));
    }
    let holder = "w".parse().expect("a name");
    listed.extend(queue.held(&holder).await.expect("list the held"));
    let mut jobs = Vec::new();
    for number in 0..IDS.len() {
        jobs.push(queue.job(&id(number)).await.expect("look up a job"));
    }
    (format!("{queues:?}"), listed, jobs)
}

/// A queue that reads its time from the clock, and what must outlive it.
type Fresh<Q, Keep> = (Q, Keep);

async fn compare<Q, Keep, Fut>(
    calls: Vec<Call>,
    fresh: impl Fn(ManualClock) -> Fut,
) -> Result<(), TestCaseError>
where
    Q: QueueAdmin,
    Fut: Future<Output = Fresh<Q, Keep>>,
{
    let clock = ManualClock::at_ms(1_000_000);
    let memory = MemoryQueue::new().with_clock(clock.clone());
    let (tried, _keep) = fresh(clock.clone()).await;
    for call in calls {
        if let Call::Advance(by) = call {
            clock.advance(by);
        }
        let expected = make(&memory, call.clone()).await;
        prop_assert_eq!(make(&tried, call.clone()).await, expected, "{:?}", call);
        prop_assert_eq!(view(&tried).await, view(&memory).await, "after {:?}", call);
    }
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("start a runtime").block_on(future)
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use launch_queue::sqlite::{SqliteOptions, SqliteQueue};

    use super::*;

    async fn fresh(clock: ManualClock) -> Fresh<SqliteQueue, tempfile::TempDir> {
        let home = tempfile::tempdir().expect("make a directory");
        let options = SqliteOptions::default().with_clock(clock);
        let queue = SqliteQueue::open_with(home.path().join("q.db"), options).await;
        (queue.expect("open the queue"), home)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn a_file_does_what_memory_does(calls in proptest::collection::vec(call(), 1..60)) {
            block_on(compare(calls, fresh))?;
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use launch_queue::postgres::PostgresQueue;

    use super::*;

    async fn fresh(clock: ManualClock) -> Fresh<PostgresQueue, ()> {
        let server = common::server().expect("asked before");
        let schema = common::fresh_schema();
        (
            server.open(&schema, Some(clock)).await.expect("connect"),
            (),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn a_database_does_what_memory_does(calls in proptest::collection::vec(call(), 1..60)) {
            if common::server().is_none() {
                return Ok(());
            }
            block_on(compare(calls, fresh))?;
        }
    }
}
