//! How often each job was started, as somebody other than the agent saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use launch_tests::cluster::Cluster;
use launch_tests::{Agent, engine};
use tokio::runtime::Runtime;

use crate::runner::Runner;

/// Run → its starts; what a start is called keeps it from being counted twice.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl Seen {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, run: &str, start: String) {
        self.lock().entry(run.to_owned()).or_default().insert(start);
    }
}

/// Who counts.
#[derive(Debug)]
pub(crate) enum Starts {
    /// The jobs themselves, which write their ids into a file.
    Notes(PathBuf),
    /// The engine, which tells of every container that starts.
    Engine(engine::Starts),
    /// The cluster, which tells of every change of a pod.
    Cluster {
        seen: Seen,
        cluster: Cluster,
        runtime: Runtime,
    },
}

impl Starts {
    pub(crate) fn count(runner: &Runner, agent: &Agent, name: &str) -> Self {
        match runner {
            Runner::Process => Self::Notes(agent.dir("out").join("starts")),
            Runner::Docker => Self::Engine(engine::Starts::watch(agent)),
            Runner::Kubernetes(file) => {
                let runtime = Runtime::new().expect("a runtime");
                let cluster = runtime.block_on(Cluster::open(file, name));
                let seen = Seen::default();
                runtime.spawn(watch(cluster.clone(), seen.clone()));
                Self::Cluster {
                    seen,
                    cluster,
                    runtime,
                }
            }
        }
    }

    /// The namespace of the jobs, where there are any.
    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Cluster { cluster, .. } => &cluster.namespace,
            Self::Notes(_) | Self::Engine(_) => "",
        }
    }

    /// What a job does to be counted.
    pub(crate) fn note(&self) -> String {
        match self {
            Self::Notes(file) => format!("echo launch-$LAUNCH_JOB_ID-0 >>{}; ", file.display()),
            Self::Engine(_) | Self::Cluster { .. } => String::new(),
        }
    }

    /// The starts of a job.
    pub(crate) fn of(&self, job: &str) -> usize {
        let run = format!("launch-{job}-0");
        match self {
            Self::Notes(file) => {
                let text = fs_err::read_to_string(file).unwrap_or_default();
                text.lines().filter(|line| *line == run).count()
            }
            Self::Engine(starts) => starts.of(&run).len(),
            Self::Cluster { seen, .. } => seen.lock().get(&run).map_or(0, BTreeSet::len),
        }
    }
}

impl Drop for Starts {
    fn drop(&mut self) {
        if let Self::Cluster {
            cluster, runtime, ..
        } = self
        {
            runtime.block_on(cluster.remove());
        }
    }
}

/// Notes every start of a container of a pod: another pod is another start, and so is
/// another try in the same one.
async fn watch(cluster: Cluster, seen: Seen) {
    let config = watcher::Config::default().labels("launch.run");
    let mut events = watcher(cluster.api("Pod"), config).boxed();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod)) = event else {
            continue;
        };
        let labels = pod.metadata.labels.as_ref();
        if let Some(run) = labels.and_then(|labels| labels.get("launch.run")) {
            for start in started(&pod) {
                seen.note(run, start);
            }
        }
    }
}

/// The containers of a pod that run, or ran.
fn started(pod: &DynamicObject) -> Vec<String> {
    let states = pod.data["status"]["containerStatuses"].as_array();
    let has_begun = |status: &&serde_json::Value| {
        status["state"]["running"].is_object() || status["state"]["terminated"].is_object()
    };
    let ids = states.into_iter().flatten().filter(has_begun);
    ids.map(|status| status["containerID"].to_string())
        .collect()
}
