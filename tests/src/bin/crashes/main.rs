//! Kills the agent at every place between two steps, and at random moments.
//!
//! ```text
//! cargo build -p launch-agent --features postgres,failpoints,kubernetes,wandb
//! cargo run -p launch-tests --bin crashes -- \
//!     [--runner RUNNER]… [--queue QUEUE]… [--at PLACE]… [JOBS [KILLS]]
//! ```
//!
//! RUNNER is `process`, `docker` or `kubernetes`, QUEUE is `sqlite`, `postgres` or `wandb`, a
//! stand-in of W&B's server; without them, all that are there. Each kill at a place is that
//! of an agent with one job; KILLS `random` ones fall on an agent with JOBS jobs. Every job
//! ends with a code of its own, and its starts are counted by somebody other than the agent,
//! so that one that is lost, runs twice or ends as another shows.
//!
//! `LAUNCH_TEST_DOCKER=1` says that there is an engine with `launch-test/busybox:1`,
//! `LAUNCH_TEST_KUBECONFIG` a cluster whose node has it, `LAUNCH_TEST_POSTGRES` a server.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

mod queue;
mod rounds;
mod runner;
#[allow(
    dead_code,
    unused_imports,
    reason = "the suites of the queue and of the whole program use the rest"
)]
#[path = "../../../../launch-queue/tests/wandb/server.rs"]
mod server;
mod starts;
mod world;

use std::time::Duration;

use self::queue::Queue;
use self::runner::Runner;

/// The places, in the order in which a job comes by them.
const PLACES: [&str; 11] = [
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
    RANDOM,
];

/// The place that is none: any moment.
const RANDOM: &str = "random";

/// What became of the jobs of one row.
#[derive(Debug, Default)]
struct Row {
    kills: usize,
    jobs: usize,
    lost: usize,
    twice: usize,
    wrong: usize,
    /// From each kill that left something in flight to the line that says it is taken up.
    adopted: Vec<Duration>,
}

/// What the command line asks for.
#[derive(Debug, Default)]
struct Wanted {
    runners: Vec<String>,
    queues: Vec<String>,
    places: Vec<String>,
    numbers: Vec<usize>,
}

impl Wanted {
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let mut wanted = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--runner" => wanted.runners.extend(words.next()),
                "--queue" => wanted.queues.extend(words.next()),
                "--at" => wanted.places.extend(words.next()),
                number => wanted.numbers.push(number.parse().expect("a number")),
            }
        }
        wanted.runners = known(wanted.runners, &runner::NAMES);
        wanted.queues = known(wanted.queues, &queue::NAMES);
        wanted.places = known(wanted.places, &PLACES);
        wanted
    }
}

/// What was named, or else all there is.
fn known(named: Vec<String>, all: &[&str]) -> Vec<String> {
    for name in &named {
        assert!(all.contains(&name.as_str()), "`{name}` is none of {all:?}");
    }
    if named.is_empty() {
        return all.iter().map(|name| (*name).to_owned()).collect();
    }
    named
}

fn main() {
    let wanted = Wanted::read(std::env::args().skip(1));
    let runners = wanted.runners.iter().filter_map(|name| Runner::find(name));
    let runners: Vec<Runner> = runners.collect();
    let queues = wanted.queues.iter().filter_map(|name| Queue::find(name));
    let queues: Vec<Queue> = queues.collect();
    println!(
        "runner      queue     killed at    kills  jobs  lost  twice  wrong  adopted  after, median / most"
    );
    for runner in &runners {
        let number = |index: usize, default| *wanted.numbers.get(index).unwrap_or(&default);
        let (jobs, kills) = (number(0, runner.jobs()), number(1, 25));
        for queue in &queues {
            for place in &wanted.places {
                let row = match place.as_str() {
                    RANDOM => rounds::at_random(runner, queue, jobs, kills),
                    place => rounds::at_place(runner, queue, place),
                };
                show(runner, queue, place, &row);
            }
        }
    }
}

fn show(runner: &Runner, queue: &Queue, place: &str, row: &Row) {
    let mut times = row.adopted.clone();
    times.sort();
    let at = |index: usize| times.get(index).map_or(0, Duration::as_millis);
    let after = if times.is_empty() {
        "nothing was left to adopt".to_owned()
    } else {
        format!("{} / {} ms", at(times.len() / 2), at(times.len() - 1))
    };
    println!(
        "{:<10}  {:<8}  {place:<11}  {:>5}  {:>4}  {:>4}  {:>5}  {:>5}  {:>7}  {after}",
        runner.name(),
        queue.name(),
        row.kills,
        row.jobs,
        row.lost,
        row.twice,
        row.wrong,
        times.len()
    );
}
