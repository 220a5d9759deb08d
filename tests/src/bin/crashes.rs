//! Kills the agent at every place between two steps, and at random moments.
//!
//! ```text
//! cargo build -p launch-agent --features postgres,failpoints
//! cargo run -p launch-tests --bin crashes -- [JOBS] [RANDOM KILLS]
//! ```
//!
//! Each kill at a place is that of an agent with one job; the random ones fall on an agent
//! with JOBS jobs. Every job ends with a code of its own and notes its start, so that one
//! that is lost, runs twice or ends as another shows. With `LAUNCH_TEST_POSTGRES` also
//! through PostgreSQL; with `LAUNCH_TEST_DOCKER=1` also as containers of
//! `launch-test/busybox:1`, whose starts the engine's events count.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;

const PLACES: [&str; 10] = [
    "leased",
    "journalled",
    "fetched",
    "planned",
    "provided",
    "submitted",
    "watching",
    "watched",
    "finished",
    "cleaned",
];

const IMAGE: &str = "launch-test/busybox:1";

/// What became of the jobs of one row.
#[derive(Default)]
struct Row {
    kills: usize,
    jobs: usize,
    lost: usize,
    twice: usize,
    wrong: usize,
    /// From each kill to the line that says the job is taken up.
    adopted: Vec<Duration>,
}

fn main() {
    let number = |index: usize, default: usize| {
        std::env::args()
            .nth(index)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (jobs, kills) = (number(1, 100), number(2, 25));
    let postgres = std::env::var("LAUNCH_TEST_POSTGRES").ok();
    let mut queues = vec![("sqlite", None)];
    queues.extend(postgres.as_deref().map(|url| ("postgres", Some(url))));
    let mut runners = vec![("process", false)];
    if launch_tests::has_docker() {
        runners.push(("docker", true));
    }
    println!(
        "runner   queue     killed at    kills  jobs  lost  twice  wrong  adopted after, median / most"
    );
    for (runner, docker) in runners {
        for (queue, url) in &queues {
            for place in PLACES {
                show(runner, queue, place, &at_place(*url, docker, place));
            }
            show(
                runner,
                queue,
                "random",
                &at_random(*url, docker, jobs, kills),
            );
        }
    }
}

fn show(runner: &str, queue: &str, place: &str, row: &Row) {
    let mut times = row.adopted.clone();
    times.sort();
    let at = |index: usize| times.get(index).map_or(0, Duration::as_millis);
    let adopted = if times.is_empty() {
        "nothing was left to adopt".to_owned()
    } else {
        format!("{} / {} ms", at(times.len() / 2), at(times.len() - 1))
    };
    println!(
        "{runner:<7}  {queue:<8}  {place:<11}  {:>5}  {:>4}  {:>4}  {:>5}  {:>5}  {adopted}",
        row.kills, row.jobs, row.lost, row.twice, row.wrong
    );
}

/// An agent's surroundings, and who counts the starts.
struct World {
    agent: Agent,
    queue: String,
    docker: bool,
    starts: Arc<Mutex<BTreeMap<String, usize>>>,
    events: Option<Child>,
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
        let mut world = Self {
            queue: format!("c{}", unique()),
            agent,
            docker,
            starts: Arc::default(),
            events: None,
        };
        if docker {
            world.events = Some(world.count_containers());
        }
        world
    }

    fn count_containers(&self) -> Child {
        let label = format!("label=launch.owner={}", self.agent.state().display());
        let mut command = Command::new("docker");
        command.args(["events", "--filter", &label, "--filter", "event=start"]);
        command.args(["--format", "{{.Actor.Attributes.name}}"]);
        let child = command.stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the docker program");
        let out = child.stdout.take().expect("a pipe");
        let starts = Arc::clone(&self.starts);
        std::thread::spawn(move || {
            for name in BufReader::new(out).lines().map_while(Result::ok) {
                let mut starts = starts.lock().unwrap_or_else(PoisonError::into_inner);
                *starts.entry(name).or_default() += 1;
            }
        });
        // It has to listen before the first container starts.
        std::thread::sleep(Duration::from_millis(500));
        child
    }

    /// A job that notes its start and ends with `code`.
    fn submit(&self, code: usize) -> String {
        let file = self.agent.dir("out").join("starts");
        let note = format!("echo $LAUNCH_JOB_ID >>{}", file.display());
        let note = if self.docker { "true" } else { note.as_str() };
        let script = format!("sh -c '{note}; sleep 0.3; exit {code}'");
        let project = self.agent.project("p", "");
        let source = if self.docker {
            ["-d", IMAGE, "-E", &script].map(str::to_owned).to_vec()
        } else {
            let words = [&project, "-r", "local-process", "-E", &script];
            words.map(str::to_owned).to_vec()
        };
        let mut args = vec!["-q", self.queue.as_str()];
        args.extend(source.iter().map(String::as_str));
        self.agent.submit(&args)
    }

    fn started(&self, id: &str) -> usize {
        let file = self.agent.dir("out").join("starts");
        let text = fs_err::read_to_string(file).unwrap_or_default();
        let noted = text.lines().filter(|line| *line == id).count();
        let name = format!("launch-{id}-0");
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        noted + starts.get(&name).copied().unwrap_or(0)
    }

    fn command(&self, more: &[&str]) -> Command {
        let args = ["run", "-q", &self.queue, "-j", "8", "--log-format", "json"];
        let mut command = self.agent.command(&[&args, more].concat());
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        command
    }

    /// Runs until the queue is empty; answers when a job was taken up.
    fn drain(&self, since: Instant) -> Option<Duration> {
        let mut child = self.command(&["--drain"]).spawn().expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut adopted = None;
        for line in lines.map_while(Result::ok) {
            if line.contains("taking up a job of an earlier agent") {
                adopted = adopted.or_else(|| Some(since.elapsed()));
            }
        }
        assert!(child.wait().expect("it ends").success(), "the agent failed");
        adopted
    }

    fn judge(&self, row: &mut Row, expected: &[(String, usize)]) {
        for (id, code) in expected {
            let outcome = self.agent.job(&self.queue, id)["outcome"].clone();
            let is_right = outcome["reason"] == "failed" && outcome["code"] == *code;
            row.jobs += 1;
            row.lost += usize::from(outcome.is_null());
            row.wrong += usize::from(!outcome.is_null() && !is_right);
            row.twice += usize::from(self.started(id) > 1);
            assert!(self.started(id) > 0 || outcome.is_null(), "{id}: {outcome}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut events) = self.events.take() {
            let _ = events.kill();
            let _ = events.wait();
        }
    }
}

fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}", std::process::id())
}

fn at_place(postgres: Option<&str>, docker: bool, place: &str) -> Row {
    let world = World::new(postgres, docker);
    let expected = vec![(world.submit(7), 7)];
    let mut command = world.command(&[]);
    command.env("LAUNCH_FAILPOINT", place).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let what = format!("the agent dies at `{place}`: has it the feature `failpoints`?");
    eventually(&what, Duration::from_mins(1), || {
        child.try_wait().expect("a child can be waited for")
    });
    let mut row = Row {
        kills: 1,
        ..Row::default()
    };
    row.adopted.extend(world.drain(Instant::now()));
    world.judge(&mut row, &expected);
    row
}

fn at_random(postgres: Option<&str>, docker: bool, jobs: usize, kills: usize) -> Row {
    let world = World::new(postgres, docker);
    let codes = (0..jobs).map(|number| 1 + number % 100);
    let expected: Vec<_> = codes.map(|code| (world.submit(code), code)).collect();
    let mut row = Row {
        kills,
        ..Row::default()
    };
    let mut seed = u64::from(std::process::id());
    let mut killed: Option<Instant> = None;
    for _ in 0..kills {
        let mut child = world.command(&[]).spawn().expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let taken = std::thread::spawn(move || {
            let mut lines = lines.map_while(Result::ok);
            lines
                .find(|line| line.contains("taking up a job of an earlier agent"))
                .map(|_| Instant::now())
        });
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(100 + (seed >> 33) % 1000));
        signal(&child, Signal::KILL);
        let now = Instant::now();
        child.wait().expect("a killed child ends");
        if let (Ok(Some(taken)), Some(killed)) = (taken.join(), killed) {
            row.adopted.push(taken - killed);
        }
        killed = Some(now);
    }
    row.adopted
        .extend(world.drain(killed.unwrap_or_else(Instant::now)));
    world.judge(&mut row, &expected);
    row
}
