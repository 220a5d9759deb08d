//! The kills.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{ChildStderr, Stdio};
use std::time::{Duration, Instant};

use launch_tests::running::Running;
use launch_tests::{eventually, signal};
use rustix::process::Signal;

use crate::Row;
use crate::queue::Queue;
use crate::runner::Runner;
use crate::world::World;

/// What an agent says when it goes on with what an earlier one began.
const TAKEN_UP: &str = "taking up a job of an earlier agent";

/// One job, whose agent dies at the place; another agent ends it. Where it makes a difference,
/// there is a second one, which tells of itself.
pub(crate) fn at_place(runner: &Runner, queue: &Queue, place: &str) -> Row {
    let world = World::new(runner, queue);
    let codes = if world.is_told_of_runs() {
        7..=8
    } else {
        7..=7
    };
    let expected: Vec<_> = codes.map(|code| world.submit(code)).collect();
    let mut command = world.command(&[]);
    command.env("LAUNCH_FAILPOINT", place).stderr(Stdio::null());
    let mut child = Running::from(command.spawn().expect("it starts"));
    let what = format!("the agent dies at `{place}`: has it the feature `failpoints`?");
    eventually(&what, Duration::from_mins(1), || {
        child.try_wait().expect("a child can be waited for")
    });
    let mut row = Row {
        kills: 1,
        ..Row::default()
    };
    row.adopted.extend(drain(&world, Instant::now()));
    world.judge(&mut row, &expected);
    row
}

/// Many jobs, whose agents die at moments that nobody chose.
pub(crate) fn at_random(runner: &Runner, queue: &Queue, jobs: usize, kills: usize) -> Row {
    let world = World::new(runner, queue);
    let expected: Vec<_> = (0..jobs).map(|n| world.submit(1 + n % 100)).collect();
    let mut row = Row {
        kills,
        ..Row::default()
    };
    let mut seed = u64::from(std::process::id());
    let mut killed: Option<Instant> = None;
    for round in 0..kills {
        let mut child = Running::from(world.command(&[]).spawn().expect("it starts"));
        let lines = lines(&mut child);
        let taken = std::thread::spawn(move || {
            let mut lines = lines.map_while(Result::ok);
            let found = lines.find(|line| line.contains(TAKEN_UP));
            let found = found.map(|_| Instant::now());
            // It has to be able to go on talking.
            lines.for_each(drop);
            found
        });
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(Duration::from_millis(100 + (seed >> 33) % runner.life()));
        signal(&child, Signal::KILL);
        let now = Instant::now();
        child.wait().expect("a killed child ends");
        if let (Ok(Some(taken)), Some(killed)) = (taken.join(), killed) {
            row.adopted.push(taken - killed);
        }
        killed = Some(now);
        // What was popped and not claimed goes back, now or when the next agent is there.
        if round % 2 == 0 {
            world.store.expire();
        }
    }
    let since = killed.unwrap_or_else(Instant::now);
    row.adopted.extend(drain(&world, since));
    world.judge(&mut row, &expected);
    row
}

/// Runs until the queue is empty; answers when a job was taken up.
fn drain(world: &World, since: Instant) -> Option<Duration> {
    let mut adopted = None;
    for turn in 0..2 {
        let child = world.command(&["--drain"]).spawn();
        let mut child = Running::from(child.expect("it starts"));
        for line in lines(&mut child).map_while(Result::ok) {
            if turn == 0 && line.contains(TAKEN_UP) {
                adopted = adopted.or_else(|| Some(since.elapsed()));
            }
        }
        assert!(child.wait().expect("it ends").success(), "the agent failed");
        // What a dead agent popped last comes back only now, for the second turn.
        world.store.expire();
    }
    adopted
}

fn lines(child: &mut Running) -> Lines<BufReader<ChildStderr>> {
    BufReader::new(child.stderr.take().expect("a pipe")).lines()
}
