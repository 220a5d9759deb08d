//! An agent, its jobs, and their own words of when they began.

use std::time::Duration;

use launch_tests::cluster::IMAGE;
use launch_tests::engine::Starts;
use launch_tests::running::Running;
use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use crate::pods::Pods;

/// Each job says when it begins and when it ends, in seconds since the machine started.
pub(crate) const SAYS: &str =
    "read a rest </proc/uptime; echo begins $a; read a rest </proc/uptime; echo ends $a";

/// Where jobs run.
#[derive(Debug)]
pub(crate) enum Place {
    Process,
    Container,
    Pod(Box<Pods>),
}

impl Place {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
            Self::Pod(_) => "pod",
        }
    }

    fn agent(&self) -> Agent {
        match self {
            Self::Process => Agent::new(),
            Self::Container => Agent::with_docker(),
            Self::Pod(pods) => Agent::new().env("KUBECONFIG", &pods.kubeconfig),
        }
    }

    /// The arguments that submit a job to run here, but for its command.
    fn source(&self, agent: &Agent) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Process => words(&[&agent.project("p", ""), "-r", "local-process"]),
            Self::Container => words(&["-d", IMAGE, "-r", "local-container"]),
            Self::Pod(pods) => {
                let container = json!({"name": "main", "imagePullPolicy": "Never"});
                let args = json!({
                    "metadata": {"namespace": pods.namespace()},
                    "spec": {"template": {"spec": {"containers": [container]}}},
                });
                words(&["-d", IMAGE, "-r", "kubernetes", "-R", &args.to_string()])
            }
        }
    }
}

/// An agent's surroundings.
#[derive(Debug)]
pub(crate) struct World {
    agent: Agent,
    queue: String,
    source: Vec<String>,
    starts: Option<Starts>,
}

impl World {
    pub(crate) fn new(postgres: Option<&str>, place: &Place) -> Self {
        let agent = place.agent();
        if let Some(url) = postgres {
            agent.configure(&format!("backend: {{type: postgres, url: '{url}'}}\n"));
        }
        let is_container = matches!(place, Place::Container);
        Self {
            source: place.source(&agent),
            starts: is_container.then(|| Starts::watch(&agent)),
            queue: format!("p{}", std::process::id()),
            agent,
        }
    }

    pub(crate) fn start(&self, slots: usize) -> Running {
        let slots = slots.to_string();
        let args = ["run", "-q", &self.queue, "-j", &slots, "--quiet"];
        let child = self.agent.command(&args).spawn();
        let child = Running::from(child.expect("the program starts"));
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

    /// When a job began and ended, in seconds since 1970.
    fn times(&self, id: &str) -> (f64, f64) {
        let log = self.agent.state().join(format!("logs/launch-{id}-0.log"));
        eventually("the job says its times", Duration::from_mins(1), || {
            times_of(&fs_err::read_to_string(&log).ok()?)
        })
    }

    /// From the moment the queue has a job to its first line, and to the start of its
    /// container as the engine tells it.
    pub(crate) fn one_by_one(&self, jobs: u64) -> (Vec<f64>, Vec<f64>) {
        let (mut spoken, mut started) = (Vec::new(), Vec::new());
        for _ in 0..jobs {
            let id = self.submit();
            let (began, _) = self.times(&id);
            let record = self.agent.job(&self.queue, &id);
            let submitted = record["enqueued_at_ms"].as_f64().expect("a time") / 1000.0;
            spoken.push(began - submitted);
            eventually("the agent is idle", Duration::from_mins(1), || {
                (self.agent.job(&self.queue, &id)["state"] == "ended").then_some(())
            });
            if let Some(starts) = &self.starts {
                let moments = starts.of(&format!("launch-{id}-0"));
                started.push(moments.first().expect("it was started") - submitted);
            }
        }
        (spoken, started)
    }

    /// From the last line of each job to the first of the next one.
    pub(crate) fn in_a_row(&self, jobs: u64) -> Vec<f64> {
        let ids: Vec<String> = (0..jobs).map(|_| self.submit()).collect();
        let child = self.start(1);
        let times: Vec<(f64, f64)> = ids.iter().map(|id| self.times(id)).collect();
        end(child);
        times.windows(2).map(|two| two[1].0 - two[0].1).collect()
    }
}

/// The two moments in a log, once they are there, in seconds since 1970.
pub(crate) fn times_of(log: &str) -> Option<(f64, f64)> {
    let at = |word: &str| -> Option<f64> {
        let line = log.lines().find_map(|line| line.strip_prefix(word))?;
        line.trim().parse().ok()
    };
    let start = started_at();
    Some((at("begins")? + start, at("ends")? + start))
}

/// When the machine started, in seconds since 1970.
fn started_at() -> f64 {
    now() - seconds(ClockId::Boottime)
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    seconds(ClockId::Realtime)
}

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    let whole = u32::try_from(time.tv_sec).map_or(0.0, f64::from);
    whole + f64::from(u32::try_from(time.tv_nsec).unwrap_or(0)) / 1e9
}

pub(crate) fn end(mut child: Running) {
    signal(&child, Signal::TERM);
    child.wait().expect("the agent ends");
}
