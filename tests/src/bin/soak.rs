//! Many container jobs through one agent, which may be killed on the way.
//!
//! ```text
//! cargo run --release -p launch-tests --bin soak -- [JOBS] [SLOTS] [KILLS] [PROGRAM]
//! ```
//!
//! Needs a Docker Engine with the image `launch-test/busybox:1`, and the program built.
//! The engine's own event log is the judge of how often each container was started.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use launch_tests::engine::Starts;
use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;

const IMAGE: &str = "launch-test/busybox:1";

fn main() {
    let number = |index: usize, default: u64| {
        std::env::args()
            .nth(index)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (jobs, slots, kills) = (number(1, 100), number(2, 8), number(3, 0));
    let agent = Agent::with_docker();
    let starts = Starts::watch(&agent);
    // Every job has an end of its own, so that a mixed-up outcome shows.
    let expected: BTreeMap<String, u64> =
        (0..jobs).map(|n| (submit(&agent, n % 7), n % 7)).collect();
    let (start, mut peak) = (Instant::now(), 0);
    let mut seed = u64::from(std::process::id());
    for _ in 0..kills {
        let mut child = agent.start(&run_args(slots, false));
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(150 + (seed >> 33) % 1500));
        peak = peak.max(memory(&child));
        signal(&child, Signal::KILL);
        child.wait().expect("a killed child ends");
    }
    peak = peak.max(drain(&agent, slots));
    let took = start.elapsed();
    report(&agent, &expected, &starts, kills);
    println!("wall time           {:.1} s", took.as_secs_f64());
    println!(
        "agent's peak memory {:.1} MiB",
        f64::from(u32::try_from(peak).unwrap_or(u32::MAX)) / 1024.0
    );
}

fn run_args(slots: u64, drain: bool) -> Vec<&'static str> {
    let slots: &'static str = slots.to_string().leak();
    let mut args = vec!["run", "-q", "q", "-j", slots, "--quiet"];
    args.extend(drain.then_some("--drain"));
    args
}

fn submit(agent: &Agent, code: u64) -> String {
    let script = format!("sh -c 'echo started; sleep 0.2; echo ends; exit {code}'");
    agent.submit(&["-q", "q", "-d", IMAGE, "-E", &script])
}

/// Runs the agent until the queue is empty; answers its peak memory in KiB.
fn drain(agent: &Agent, slots: u64) -> u64 {
    let mut child = agent.start(&run_args(slots, true));
    let mut peak = 0;
    let status = eventually("the queue drains", Duration::from_mins(30), || {
        peak = peak.max(memory(&child));
        child.try_wait().expect("a child can be waited for")
    });
    assert!(status.success(), "the agent ended with {status}");
    peak
}

/// The peak memory of a process so far, in KiB, as the kernel counts it.
fn memory(child: &Child) -> u64 {
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn report(agent: &Agent, expected: &BTreeMap<String, u64>, starts: &Starts, kills: u64) {
    let (mut lost, mut twice, mut wrong, mut torn) = (0, 0, 0, 0);
    for (id, code) in expected {
        let outcome = agent.job("q", id)["outcome"].clone();
        let name = format!("launch-{id}-0");
        let ended = if *code == 0 {
            outcome["reason"] == "succeeded"
        } else {
            outcome["code"] == *code
        };
        lost += u64::from(outcome.is_null());
        wrong += u64::from(!outcome.is_null() && !ended);
        twice += u64::from(starts.of(&name).len() != 1);
        let log = fs_err::read_to_string(agent.state().join(format!("logs/{name}.log")));
        torn += u64::from(log.unwrap_or_default() != "started\nends\n");
    }
    let label = format!("label=launch.owner={}", agent.state().display());
    let left = Command::new("docker")
        .args(["ps", "-aq", "--filter", &label])
        .output();
    let left = String::from_utf8_lossy(&left.expect("the docker program").stdout)
        .lines()
        .count();
    println!("jobs                {}", expected.len());
    println!("kills               {kills}");
    println!("without an outcome  {lost}");
    println!("wrong outcome       {wrong}");
    println!("not started once    {twice}");
    println!("log not exact       {torn}");
    println!("containers left     {left}");
}
