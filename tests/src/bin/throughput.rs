//! Instant process jobs through one agent, with a short queue and with a long one.
//!
//! ```text
//! cargo build --release -p launch-agent --features postgres
//! LAUNCH_TEST_PROGRAM=target/release/launch-agent \
//!     cargo run -p launch-tests --bin throughput -- [JOBS] [DEPTH] [SLOTS] [QUEUE]
//! ```
//!
//! Runs JOBS jobs from a queue that holds no more, then from one that holds DEPTH more, and
//! says what a job costs in either: time, processor time of the agent, its peak memory. QUEUE
//! is `sqlite` or `postgres`, which needs `LAUNCH_TEST_POSTGRES`; without it, both.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

use std::process::Child;
use std::time::{Duration, Instant};

use launch_tests::running::Running;
use launch_tests::{Agent, eventually, page, series, signal};
use rustix::process::Signal;

/// This share of the jobs is not counted, since the first are slow.
const WARM_UP: f64 = 0.02;

const ENDED: &str = "launch_jobs_ended_total{queue=\"q\",reason=\"succeeded\"}";

/// What a measured stretch of jobs cost.
struct Cost {
    jobs: f64,
    wall: f64,
    processor: f64,
    peak_mib: f64,
}

impl Cost {
    fn per_job_ms(&self) -> f64 {
        self.wall * 1000.0 / self.jobs
    }
}

fn main() {
    let number = |index: usize, default: u64| {
        std::env::args()
            .nth(index)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (jobs, depth, slots) = (number(1, 5000), number(2, 500_000), number(3, 4));
    println!("queue     more queued  jobs  jobs/s  ms/job  agent's ms/job  peak MiB");
    let only = std::env::args().nth(4);
    let is_wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let names = ["sqlite", "postgres"];
    assert!(
        names.into_iter().any(is_wanted),
        "{only:?} is none of {names:?}"
    );
    if is_wanted("sqlite") {
        measure("sqlite", None, jobs, depth, slots);
    }
    if !is_wanted("postgres") {
        return;
    }
    match std::env::var("LAUNCH_TEST_POSTGRES") {
        Ok(url) => measure("postgres", Some(&url), jobs, depth, slots),
        Err(_) => launch_tests::skip("LAUNCH_TEST_POSTGRES is not set: no PostgreSQL for tests"),
    }
}

fn measure(name: &str, postgres: Option<&str>, jobs: u64, depth: u64, slots: u64) {
    let costs = [0, depth].map(|more| {
        let cost = run(postgres, jobs, more, slots);
        println!(
            "{name:<8}  {more:>11}  {:>4}  {:>6.1}  {:>6.2}  {:>14.2}  {:>8.1}",
            cost.jobs,
            cost.jobs / cost.wall,
            cost.per_job_ms(),
            cost.processor * 1000.0 / cost.jobs,
            cost.peak_mib
        );
        cost
    });
    let wall = costs[1].per_job_ms() / costs[0].per_job_ms();
    let processor = costs[1].processor / costs[1].jobs / (costs[0].processor / costs[0].jobs);
    println!(
        "{name:<8}  cost per job, long queue to short: {wall:.2} (agent's processor {processor:.2})"
    );
}

fn run(postgres: Option<&str>, jobs: u64, more: u64, slots: u64) -> Cost {
    let agent = Agent::new();
    let backend = match postgres {
        Some(url) => format!("backend: {{type: postgres, url: '{url}'}}\n"),
        None => String::new(),
    };
    agent.configure(&format!(
        "{backend}observability: {{address: '127.0.0.1:0'}}\n"
    ));
    if let Some(url) = postgres {
        in_postgres(url, "DROP SCHEMA IF EXISTS launch CASCADE");
    }
    let project = agent.project("p", "");
    agent.submit(&["-q", "q", &project, "-r", "local-process", "-E", "true"]);
    fill(&agent, postgres, jobs + more);
    let slots = slots.to_string();
    let args = ["run", "-q", "q", "-j", &slots, "--quiet"];
    let mut command = agent.command(&args);
    let child = command.stderr(std::process::Stdio::inherit()).spawn();
    let child = Running::from(child.expect("the program starts"));
    let cost = watch(&agent, child, jobs);
    if let Some(url) = postgres {
        in_postgres(url, "DROP SCHEMA launch CASCADE");
    }
    cost
}

/// Copies the one job there is, in statements of the store: enqueueing so many would take
/// longer than running them. What the server would do about so many new rows while it is
/// measured, it does before.
fn fill(agent: &Agent, postgres: Option<&str>, count: u64) {
    if let Some(url) = postgres {
        return in_postgres(
            url,
            &format!(
                "INSERT INTO launch.jobs (id, queue, priority, state, ready, enqueued_at)
                 SELECT 'fill-' || n, 'q', 2, 'waiting', true, 0 FROM generate_series(2, {count}) n;
                 INSERT INTO launch.specs (job, spec)
                 SELECT seq, (SELECT spec FROM launch.specs LIMIT 1) FROM launch.jobs
                 WHERE id LIKE 'fill-%';
                 VACUUM ANALYZE launch.jobs;
                 VACUUM ANALYZE launch.specs;
                 CHECKPOINT"
            ),
        );
    }
    let file = rusqlite::Connection::open(agent.state().join("queue.db")).expect("the queue");
    file.busy_timeout(Duration::from_mins(1))
        .expect("a timeout");
    let sql = format!(
        "BEGIN IMMEDIATE;
         WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO jobs (id, queue, priority, state, ready, enqueued_at)
         SELECT 'fill-' || i, 'q', 2, 'waiting', 1, 0 FROM n;
         INSERT INTO specs (job, spec)
         SELECT seq, (SELECT spec FROM specs LIMIT 1) FROM jobs WHERE id LIKE 'fill-%';
         COMMIT"
    );
    file.execute_batch(&sql).expect("the jobs are copied");
}

fn in_postgres(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .expect("the server answers");
        let work = async {
            for statement in sql.split(';') {
                client.batch_execute(statement).await.expect("it is done");
            }
        };
        tokio::select! {
            () = work => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    });
}

fn watch(agent: &Agent, mut child: Running, jobs: u64) -> Cost {
    let address = eventually("the agent answers", Duration::from_mins(1), || {
        let said = agent.say(&["status", "--output", "json"]);
        let address = (said.code == 0).then(|| said.json()[0]["address"].clone())?;
        address.as_str().map(str::to_owned)
    });
    let ended = || series(&page(&address, "/metrics"), ENDED).unwrap_or(0.0);
    let reached = |goal: f64| {
        eventually("the jobs end", Duration::from_mins(30), || {
            Some(ended()).filter(|ended| *ended >= goal)
        })
    };
    let jobs = f64::from(u32::try_from(jobs).unwrap_or(u32::MAX));
    let first = reached(jobs * WARM_UP);
    assert!(
        first < jobs,
        "{jobs} jobs ended before they could be measured: give more"
    );
    let (since, used) = (Instant::now(), processor(&child));
    let last = reached(jobs);
    let (wall, used) = (since.elapsed(), processor(&child) - used);
    let peak_mib = peak_mib(&child);
    signal(&child, Signal::TERM);
    child.wait().expect("the agent ends");
    Cost {
        jobs: last - first,
        wall: wall.as_secs_f64(),
        processor: used,
        peak_mib,
    }
}

/// Seconds of processor time of a process, without its children's.
fn processor(child: &Child) -> f64 {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", child.id())).expect("it lives");
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = |index: usize| -> f64 {
        let word = rest.split(' ').nth(index).unwrap_or_default();
        word.parse().unwrap_or(0.0)
    };
    let second = rustix::param::clock_ticks_per_second();
    (ticks(11) + ticks(12)) / f64::from(u32::try_from(second).unwrap_or(100))
}

fn peak_mib(child: &Child) -> f64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
