//! An agent's surroundings, and the judge of what it did.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use launch_tests::Agent;

use crate::Row;
use crate::queue::{Fate, Queue, Store, calling_in};
use crate::runner::Runner;
use crate::starts::Starts;

/// A job, and how it is to end.
#[derive(Debug)]
pub(crate) struct Expected {
    id: String,
    code: usize,
    calls_in: bool,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: Store,
    agent: Agent,
    runner: Runner,
    starts: Starts,
}

impl World {
    pub(crate) fn new(runner: &Runner, queue: &Queue) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("crash-{number}");
        let of_queue = format!("{name}-{}", std::process::id());
        let (store, agent) = Store::open(queue, runner.agent(), &of_queue);
        Self {
            starts: Starts::count(runner, &agent, &name),
            store,
            agent,
            runner: runner.clone(),
        }
    }

    /// Whether runs tell a server of themselves.
    pub(crate) fn is_told_of_runs(&self) -> bool {
        self.store.is_called() && self.runner.reaches_loopback()
    }

    /// A job that is counted and ends with `code`; every other one tells W&B of itself,
    /// where there is one and it can.
    pub(crate) fn submit(&self, code: usize) -> Expected {
        let calls_in = self.is_told_of_runs() && code.is_multiple_of(2);
        let note = self.starts.note();
        let said = if calls_in {
            calling_in(code)
        } else {
            String::new()
        };
        // Some last longer than their agent.
        let tenths = 3 + code % 5 * 4;
        let (whole, tenths) = (tenths / 10, tenths % 10);
        let script = format!("sh -c '{note}{said}sleep {whole}.{tenths}; exit {code}'");
        let source = self.runner.source(&self.agent, self.starts.namespace());
        let mut args = self.store.place();
        args.extend(source.iter().map(String::as_str));
        args.extend(["-E", &script]);
        Expected {
            id: self.agent.submit(&args),
            code,
            calls_in,
        }
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let queue = self.store.name.as_str();
        let args = ["run", "-q", queue, "-j", "8", "--log-format", "json"];
        let mut command = self.agent.command(&[&args, more].concat());
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        command
    }

    #[expect(clippy::print_stdout, reason = "what is wrong is said in full")]
    pub(crate) fn judge(&self, row: &mut Row, expected: &[Expected]) {
        for job in expected {
            let fate = self
                .store
                .fate(&self.agent, &job.id, job.code, job.calls_in);
            let started = self.starts.of(&job.id);
            row.jobs += 1;
            row.lost += usize::from(fate == Fate::Lost);
            row.wrong += usize::from(matches!(fate, Fate::Wrong(_)));
            row.twice += usize::from(started > 1);
            if fate != Fate::Right || started != 1 {
                println!("{job:?} was started {started} times: {fate:?}");
            }
            assert!(started > 0 || fate != Fate::Right, "{job:?}: not counted");
        }
    }
}
