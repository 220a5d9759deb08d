//! Several processes on one file, and processes that are killed.
//!
//! The other processes are this test binary again, running only [`child`]. Each writes
//! down what the queue told it, in a log of its own.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use launch_queue::clock::{Clock, ManualClock};
use launch_queue::config::id::{JobId, QueueName};
use launch_queue::config::outcome::{Outcome, Reason, Stage};
use launch_queue::job::{EnqueueRequest, JobState, Lease, LeaseRequest};
use launch_queue::sqlite::{SqliteOptions, SqliteQueue};
use launch_queue::{Queue, QueueAdmin};

/// Tells a child which directory to work in.
const HOME: &str = "LAUNCH_QUEUE_TEST_HOME";

/// Tells a child its name.
const NAME: &str = "LAUNCH_QUEUE_TEST_NAME";

/// Tells a child how many milliseconds its leases last, and thereby what to do: leases of
/// no time at all are finished by whoever is first.
const TTL_MS: &str = "LAUNCH_QUEUE_TEST_TTL_MS";

const FAR_TOO_LONG: Duration = Duration::from_mins(2);

fn queue_name() -> QueueName {
    "q".parse().expect("a queue name")
}

async fn open(home: &Path, clock: Clock) -> SqliteQueue {
    let options = SqliteOptions::default().with_clock(clock);
    let queue = SqliteQueue::open_with(home.join("queue.db"), options).await;
    queue.expect("open the queue")
}

async fn filled(home: &Path, count: usize) -> HashSet<JobId> {
    let queue = open(home, Clock::System).await;
    let mut ids = HashSet::new();
    for number in 0..count {
        let request = EnqueueRequest::new(queue_name(), number.into());
        ids.insert(queue.enqueue(request).await.expect("enqueue"));
    }
    queue.close().await;
    ids
}

/// A process that is killed with its test.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(home: &Path, name: &str, ttl: Duration) -> Self {
        let this = std::env::current_exe().expect("the path of this program");
        let child = Command::new(this)
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(HOME, home)
            .env(NAME, name)
            .env(TTL_MS, ttl.as_millis().to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("start a child");
        Self {
            child,
            log: home.join(name),
        }
    }

    /// What it has written, as lines of words; a torn last line is left out.
    fn lines(&self) -> Vec<Vec<String>> {
        let text = fs_err::read_to_string(&self.log).unwrap_or_default();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        whole.lines().map(words).collect()
    }

    /// Fails if it has ended, or if this has gone on for too long.
    fn check_alive(&mut self, started: Instant) {
        let ended = self.child.try_wait().expect("ask for the child");
        assert!(ended.is_none(), "the child ended early: {ended:?}");
        assert!(
            started.elapsed() < FAR_TOO_LONG,
            "the children do not get on"
        );
    }

    fn wait(&mut self) {
        let started = Instant::now();
        loop {
            match self.child.try_wait().expect("ask for the child") {
                Some(status) => return assert!(status.success(), "the child failed: {status}"),
                None => assert!(started.elapsed() < FAR_TOO_LONG, "the child does not end"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(&mut self) {
        self.child.kill().expect("kill the child");
        self.child.wait().expect("collect the child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless a test has failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until the processes have written `count` lines between them.
fn wait_for_lines(processes: &mut [Process], count: usize) {
    let started = Instant::now();
    while processes
        .iter()
        .map(|process| process.lines().len())
        .sum::<usize>()
        < count
    {
        for process in processes.iter_mut() {
            process.check_alive(started);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The part of a child: leases until nothing is left, and finishes, puts back or abandons
/// what it got.
#[tokio::test]
#[ignore = "a part of the other tests, run by them in a process of its own"]
async fn child() {
    let read = |name: &str| std::env::var(name).expect("started by another test");
    let (home, name) = (PathBuf::from(read(HOME)), read(NAME));
    let ttl = Duration::from_millis(read(TTL_MS).parse().unwrap());
    let mut log = fs_err::File::create(home.join(&name)).unwrap();
    let queue = open(&home, Clock::System).await;
    let request = LeaseRequest::new(vec![queue_name()], name.parse().unwrap(), ttl);
    let mut turn = 0;
    while let Some(lease) = queue.lease(request.clone()).await.unwrap() {
        writeln!(log, "took {} {}", lease.job.id, lease.hold.fence).unwrap();
        let is_careless = ttl < Duration::from_secs(1);
        let said = act(&queue, &name, &lease, if is_careless { turn } else { 0 }).await;
        writeln!(log, "{said} {} {}", lease.job.id, lease.hold.fence).unwrap();
        turn += 1;
    }
}

/// What a holder does on its n-th turn; answers a word for it, once the queue has agreed.
async fn act(queue: &SqliteQueue, name: &str, lease: &Lease, turn: u32) -> &'static str {
    let message = format!("{name} {}", lease.hold.fence);
    let outcome = Outcome::new(Reason::Succeeded, Stage::Watch).with_message(message);
    // Few are finished, so that some are left however long the killer takes.
    let (word, answer) = match turn % 8 {
        0 => ("finished", queue.finish(&lease.hold, outcome).await),
        1..=4 => ("requeued", queue.requeue(&lease.hold, Duration::ZERO).await),
        _ => return "abandoned",
    };
    match answer {
        Ok(()) => word,
        Err(launch_queue::Error::Stale { .. }) => "lost",
        Err(other) => panic!("{word}: {other}"),
    }
}

#[tokio::test]
async fn processes_share_a_file() {
    let home = tempfile::tempdir().unwrap();
    let ids = filled(home.path(), 300).await;
    let start = |name| Process::start(home.path(), name, Duration::from_mins(10));
    let mut processes = [start("one"), start("two"), start("three")];
    let mut taken = Vec::new();
    for process in &mut processes {
        process.wait();
        let took = process.lines().into_iter().filter(|line| line[0] == "took");
        taken.extend(took.map(|line| line[1].parse::<JobId>().unwrap()));
    }
    assert_eq!(taken.len(), 300, "a job was held twice, or never");
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), ids);
    let queue = open(home.path(), Clock::System).await;
    assert_eq!(queue.queues().await.unwrap()[0].ended, 300);
}

/// What all logs say: every hold that was given, and every finish that was acknowledged.
#[derive(Default)]
struct Story {
    holds: HashSet<(String, String)>,
    finished: HashMap<String, String>,
}

impl Story {
    fn hear(&mut self, name: &str, lines: Vec<Vec<String>>) {
        for line in lines {
            let [word, job, fence] = <[String; 3]>::try_from(line).expect("three words");
            if word == "took" {
                let is_new = self.holds.insert((job.clone(), fence.clone()));
                assert!(is_new, "the hold {fence} of `{job}` was given twice");
            }
            if word == "finished" {
                let before = self.finished.insert(job.clone(), format!("{name} {fence}"));
                assert_eq!(before, None, "`{job}` was finished twice");
            }
        }
    }
}

#[tokio::test]
async fn killed_processes_lose_nothing_and_hold_nothing_twice() {
    let home = tempfile::tempdir().unwrap();
    let ids = filled(home.path(), 800).await;
    let mut story = Story::default();
    for round in 0..8 {
        let names = [format!("left-{round}"), format!("right-{round}")];
        // Leases so short that they are taken over while their holders live.
        let ttl = Duration::from_millis(round % 3);
        let mut processes = names
            .clone()
            .map(|name| Process::start(home.path(), &name, ttl));
        wait_for_lines(&mut processes, 20 + usize::try_from(round).unwrap() * 7);
        processes.iter_mut().for_each(Process::kill);
        for (name, process) in names.iter().zip(&processes) {
            story.hear(name, process.lines());
        }
    }
    assert!(
        !story.finished.is_empty(),
        "the children did hardly anything"
    );

    // A day later, somebody does what is left.
    let clock = ManualClock::at_ms(Clock::System.now_ms() + 86_400_000);
    let queue = open(home.path(), clock.into()).await;
    let ttl = Duration::from_mins(10);
    let request = LeaseRequest::new(vec![queue_name()], "last".parse().unwrap(), ttl);
    let mut left = 0;
    while let Some(lease) = queue.lease(request.clone()).await.unwrap() {
        let hold = (lease.job.id.to_string(), lease.hold.fence.to_string());
        assert!(story.holds.insert(hold), "a hold was given twice");
        assert!(
            !story.finished.contains_key(lease.job.id.as_str()),
            "an end was lost"
        );
        act(&queue, "last", &lease, 0).await;
        left += 1;
    }
    assert!(
        left > 0,
        "the children were not killed in the middle of their work"
    );
    let jobs = queue.jobs(&queue_name(), 1_000).await.unwrap();
    assert_eq!(
        jobs.iter()
            .map(|record| record.job.id.clone())
            .collect::<HashSet<_>>(),
        ids
    );
    for record in jobs {
        assert_eq!(record.state, JobState::Ended);
        if let Some(said) = story.finished.get(record.job.id.as_str()) {
            assert_eq!(
                record.outcome.map(|outcome| outcome.message).as_ref(),
                Some(said)
            );
        }
    }
    queue.close().await;
    let file = rusqlite::Connection::open(home.path().join("queue.db")).unwrap();
    let verdict: String = file
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}
