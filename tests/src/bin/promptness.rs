//! What an agent costs that has nothing to do, and how soon it begins what comes.
//!
//! ```text
//! cargo build --release -p launch-agent --features postgres
//! LAUNCH_TEST_PROGRAM=target/release/launch-agent \
//!     cargo run -p launch-tests --bin promptness -- [JOBS] [IDLE SECONDS]
//! ```
//!
//! JOBS jobs are submitted one by one to an idle agent: the time from the moment the queue
//! has a job to its program's first line. Then JOBS jobs go through one slot: the time from
//! the last line of one to the first of the next. With `LAUNCH_TEST_POSTGRES` also through
//! PostgreSQL; with `LAUNCH_TEST_DOCKER=1` also as containers of `launch-test/busybox:1`.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;

/// Each job says when it begins and when it ends, in seconds since the machine started.
const SAYS: &str =
    "read a rest </proc/uptime; echo begins $a; read a rest </proc/uptime; echo ends $a";

fn main() {
    let number = |index: usize, default: u64| {
        std::env::args()
            .nth(index)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (jobs, seconds) = (number(1, 100), number(2, 60));
    let postgres = std::env::var("LAUNCH_TEST_POSTGRES").ok();
    println!("queue     runs as    idle % of a core  idle MiB");
    let mut kinds = vec![("sqlite", None, false)];
    kinds.extend(
        postgres
            .as_deref()
            .map(|url| ("postgres", Some(url), false)),
    );
    for (name, url, _) in &kinds {
        let world = World::new(*url, false);
        let child = world.start(4);
        let (share, mib) = idle(&child, Duration::from_secs(seconds));
        println!("{name:<8}  {:<9}  {share:>15.3}  {mib:>8.1}", "nothing");
        end(child);
    }
    if launch_tests::has_docker() {
        kinds.push(("sqlite", None, true));
    }
    println!("queue     runs as    what                          p50 ms  p99 ms  most");
    for (name, url, docker) in kinds {
        let world = World::new(url, docker);
        let kind = if docker { "container" } else { "process" };
        let child = world.start(4);
        show(
            name,
            kind,
            "submitted to begun, idle",
            &world.one_by_one(jobs),
        );
        end(child);
        show(
            name,
            kind,
            "end of one to next begun",
            &world.in_a_row(jobs),
        );
    }
}

fn show(name: &str, kind: &str, what: &str, times: &[f64]) {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)] * 1000.0;
    println!(
        "{name:<8}  {kind:<9}  {what:<28}  {:>6.0}  {:>6.0}  {:>4.0}",
        at(50),
        at(99),
        at(100)
    );
}

/// An agent's surroundings.
struct World {
    agent: Agent,
    queue: String,
    source: Vec<String>,
}

impl World {
    fn new(postgres: Option<&str>, docker: bool) -> Self {
        let agent = if docker {
            Agent::with_docker()
        } else {
            Agent::new()
        };
        if let Some(url) = postgres {
            agent.configure(&format!("backend: {{type: postgres, url: '{url}'}}\n"));
        }
        let words = if docker {
            vec!["-d".to_owned(), "launch-test/busybox:1".to_owned()]
        } else {
            vec![
                agent.project("p", ""),
                "-r".to_owned(),
                "local-process".to_owned(),
            ]
        };
        let queue = format!("p{}", std::process::id());
        Self {
            agent,
            queue,
            source: words,
        }
    }

    fn start(&self, slots: usize) -> Child {
        let slots = slots.to_string();
        let mut command = self
            .agent
            .command(&["run", "-q", &self.queue, "-j", &slots, "--quiet"]);
        let child = command.spawn().expect("the program starts");
        eventually("the agent is ready", Duration::from_secs(20), || {
            let said = self.agent.say(&["status", "--output", "json"]);
            (said.code == 0 && said.json()[0]["ready"] == true).then_some(())
        });
        child
    }

    fn submit(&self) -> String {
        let script = format!("sh -c '{SAYS}'");
        let mut args = vec!["-q", self.queue.as_str()];
        args.extend(self.source.iter().map(String::as_str));
        args.extend(["-E", script.as_str()]);
        self.agent.submit(&args)
    }

    /// When a job began and ended, in milliseconds since 1970.
    fn times(&self, id: &str) -> (f64, f64) {
        let log = self.agent.state().join(format!("logs/launch-{id}-0.log"));
        eventually("the job says its times", Duration::from_mins(1), || {
            times(&log)
        })
    }

    fn one_by_one(&self, jobs: u64) -> Vec<f64> {
        let mut took = Vec::new();
        for _ in 0..jobs {
            let id = self.submit();
            let (began, _) = self.times(&id);
            let record = self.agent.job(&self.queue, &id);
            let submitted = record["enqueued_at_ms"].as_f64().expect("a time") / 1000.0;
            took.push(began - submitted);
            eventually("the agent is idle", Duration::from_secs(20), || {
                (self.agent.job(&self.queue, &id)["state"] == "ended").then_some(())
            });
        }
        took
    }

    fn in_a_row(&self, jobs: u64) -> Vec<f64> {
        let ids: Vec<String> = (0..jobs).map(|_| self.submit()).collect();
        let child = self.start(1);
        let times: Vec<(f64, f64)> = ids.iter().map(|id| self.times(id)).collect();
        end(child);
        times.windows(2).map(|two| two[1].0 - two[0].1).collect()
    }
}

/// The two moments in a log, once they are there, in seconds since 1970.
fn times(log: &Path) -> Option<(f64, f64)> {
    let text = fs_err::read_to_string(log).ok()?;
    let at = |word: &str| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(word))?;
        line.trim().parse().ok()
    };
    let start = started_at();
    Some((at("begins")? + start, at("ends")? + start))
}

/// When the machine started, in seconds since 1970.
fn started_at() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let seconds = |clock| {
        let time = clock_gettime(clock);
        let whole = u32::try_from(time.tv_sec).map_or(0.0, f64::from);
        whole + f64::from(u32::try_from(time.tv_nsec).unwrap_or(0)) / 1e9
    };
    seconds(ClockId::Realtime) - seconds(ClockId::Boottime)
}

/// The share of a core, in percent, and the memory of an agent that has nothing to do.
fn idle(child: &Child, time: Duration) -> (f64, f64) {
    // What the start cost is not idling.
    std::thread::sleep(Duration::from_secs(3));
    let before = nanoseconds(child);
    std::thread::sleep(time);
    let used = nanoseconds(child) - before;
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    let share = used / 1e9 / time.as_secs_f64() * 100.0;
    (share, kib.unwrap_or(0.0) / 1024.0)
}

/// Processor time of all threads, as the scheduler counts it.
fn nanoseconds(child: &Child) -> f64 {
    let tasks = format!("/proc/{}/task", child.id());
    let mut sum = 0.0;
    for task in fs_err::read_dir(tasks).expect("it lives") {
        let file = task.expect("a thread").path().join("schedstat");
        let text = fs_err::read_to_string(file).unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        sum += first.parse::<f64>().unwrap_or(0.0);
    }
    sum
}

fn end(mut child: Child) {
    signal(&child, Signal::TERM);
    child.wait().expect("the agent ends");
}
