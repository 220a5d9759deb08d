//! What an agent costs that has nothing to do, and how soon it begins what comes.
//!
//! ```text
//! cargo build --release -p launch-agent --features postgres,kubernetes
//! LAUNCH_TEST_PROGRAM=target/release/launch-agent \
//!     cargo run -p launch-tests --bin promptness -- [JOBS] [IDLE SECONDS] [RUNNER]…
//! ```
//!
//! JOBS jobs are submitted one by one to an idle agent: the time from the moment the queue
//! has a job to its program's first line, and for containers also to the engine's word that
//! they have started. Then JOBS jobs go through one slot: the time from the last line of one
//! to the first of the next. A cluster is also given as many bare pods, one by one, by this
//! program itself: what is more than theirs is the agent's, and its Job's.
//!
//! RUNNER is `process`, `docker` or `kubernetes`; without one, all that are there. With
//! `LAUNCH_TEST_POSTGRES` processes also come through PostgreSQL; `LAUNCH_TEST_DOCKER=1` says
//! that there is an engine with `launch-test/busybox:1`, `LAUNCH_TEST_KUBECONFIG` a cluster
//! whose node has it. No IDLE SECONDS, and the cost of idling is left out.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

mod idle;
mod pods;
mod world;

use std::time::Duration;

use launch_tests::cluster::kubeconfig;
use launch_tests::has_docker;

use self::pods::Pods;
use self::world::{Place, World};

/// A queue, and where its jobs run.
struct Kind {
    queue: &'static str,
    postgres: Option<String>,
    place: Place,
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |default: u64| {
        let text = words.next();
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let (jobs, seconds) = (number(100), number(60));
    let named: Vec<String> = words.collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|named| named == name);
    if is_wanted("process") {
        for (name, url) in queues() {
            if seconds > 0 {
                idles(name, url.as_deref(), Duration::from_secs(seconds));
            }
        }
    }
    println!("queue     runs as    what                          p50 ms  p99 ms  most");
    for kind in kinds(is_wanted) {
        measure(&kind, jobs);
    }
}

fn queues() -> Vec<(&'static str, Option<String>)> {
    let postgres = std::env::var("LAUNCH_TEST_POSTGRES").ok();
    let mut queues = vec![("sqlite", None)];
    queues.extend(postgres.map(|url| ("postgres", Some(url))));
    queues
}

fn kinds(is_wanted: impl Fn(&str) -> bool) -> Vec<Kind> {
    let mut kinds = Vec::new();
    if is_wanted("process") {
        kinds.extend(queues().into_iter().map(|(queue, postgres)| Kind {
            queue,
            postgres,
            place: Place::Process,
        }));
    }
    let mut more = |place| {
        kinds.push(Kind {
            queue: "sqlite",
            postgres: None,
            place,
        });
    };
    if is_wanted("docker") && has_docker() {
        more(Place::Container);
    }
    if let Some(file) = Some("kubernetes")
        .filter(|name| is_wanted(name))
        .and_then(|_| kubeconfig())
    {
        more(Place::Pod(Box::new(Pods::open(&file))));
    }
    kinds
}

fn idles(name: &str, url: Option<&str>, time: Duration) {
    let world = World::new(url, &Place::Process);
    let child = world.start(4);
    let (share, mib) = idle::cost(&child, time);
    println!("{name:<8}  idle: {share:.3} % of a core, {mib:.1} MiB");
    world::end(child);
}

fn measure(kind: &Kind, jobs: u64) {
    let world = World::new(kind.postgres.as_deref(), &kind.place);
    let show = |what: &str, times: &[f64]| show(kind.queue, kind.place.name(), what, times);
    let child = world.start(4);
    let (begun, started) = world.one_by_one(jobs);
    world::end(child);
    if !started.is_empty() {
        show("submitted to started, idle", &started);
    }
    show("submitted to begun, idle", &begun);
    if let Place::Pod(pods) = &kind.place {
        show("the same of a bare pod", &pods.one_by_one(jobs));
    }
    show("end of one to next begun", &world.in_a_row(jobs));
}

fn show(queue: &str, place: &str, what: &str, times: &[f64]) {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)] * 1000.0;
    println!(
        "{queue:<8}  {place:<9}  {what:<28}  {:>6.0}  {:>6.0}  {:>4.0}",
        at(50),
        at(99),
        at(100)
    );
}
