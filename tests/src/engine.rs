//! A Docker Engine, as somebody other than the agent sees it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Agent;
use crate::running::Running;

/// Container → its starts, in seconds since 1970.
type Seen = Arc<Mutex<BTreeMap<String, Vec<f64>>>>;

/// The starts of an agent's containers, from the engine's own events; it listens until it is
/// dropped.
#[derive(Debug)]
pub struct Starts {
    seen: Seen,
    _events: Running,
}

impl Starts {
    /// Listens from now on.
    ///
    /// # Panics
    /// If there is no `docker` program.
    pub fn watch(agent: &Agent) -> Self {
        let label = format!("label=launch.owner={}", agent.state().display());
        let mut command = Command::new("docker");
        command.args(["events", "--filter", &label, "--filter", "event=start"]);
        command.args(["--format", "{{.TimeNano}} {{.Actor.Attributes.name}}"]);
        let child = command.stdout(Stdio::piped()).spawn();
        let mut events = Running::from(child.expect("the docker program"));
        let out = events.stdout.take().expect("a pipe");
        let seen = Seen::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let (moment, name) = line.split_once(' ').unwrap_or(("", &line));
                let moment = moment.parse::<f64>().unwrap_or(0.0) / 1e9;
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                noted.entry(name.to_owned()).or_default().push(moment);
            }
        });
        // It has to listen before the first container starts.
        std::thread::sleep(Duration::from_millis(500));
        Self {
            seen,
            _events: events,
        }
    }

    /// When a container was started, each time that it was.
    pub fn of(&self, name: &str) -> Vec<f64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).cloned().unwrap_or_default()
    }
}
