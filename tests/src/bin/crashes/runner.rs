//! Where jobs run.

use launch_tests::cluster::{IMAGE, kubeconfig};
use launch_tests::{Agent, has_docker};
use serde_json::json;

/// What the command line calls them.
pub(crate) const NAMES: [&str; 3] = ["process", "docker", "kubernetes"];

/// A runner that is there.
#[derive(Debug, Clone)]
pub(crate) enum Runner {
    Process,
    Docker,
    /// With the file that names the cluster.
    Kubernetes(String),
}

impl Runner {
    /// The one of this name, or a word why there is none.
    pub(crate) fn find(name: &str) -> Option<Self> {
        match name {
            "process" => Some(Self::Process),
            "docker" => has_docker().then_some(Self::Docker),
            _ => kubeconfig().map(Self::Kubernetes),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Process => NAMES[0],
            Self::Docker => NAMES[1],
            Self::Kubernetes(_) => NAMES[2],
        }
    }

    /// So many jobs keep an agent busy while it is killed again and again.
    pub(crate) fn jobs(&self) -> usize {
        match self {
            Self::Process => 100,
            Self::Docker => 40,
            Self::Kubernetes(_) => 30,
        }
    }

    /// The longest an agent lives in milliseconds, so that kills fall into every stage.
    pub(crate) fn life(&self) -> u64 {
        match self {
            Self::Process | Self::Docker => 1100,
            Self::Kubernetes(_) => 5000,
        }
    }

    /// An agent that can run jobs here.
    pub(crate) fn agent(&self) -> Agent {
        match self {
            Self::Process => Agent::new(),
            Self::Docker => Agent::with_docker(),
            Self::Kubernetes(file) => Agent::new().env("KUBECONFIG", file),
        }
    }

    /// Whether jobs reach a server on this machine's loopback.
    pub(crate) fn reaches_loopback(&self) -> bool {
        !matches!(self, Self::Kubernetes(_))
    }

    /// The arguments that submit a job to run here, but for its command.
    pub(crate) fn source(&self, agent: &Agent, namespace: &str) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match self {
            Self::Process => words(&[&agent.project("p", ""), "-r", "local-process"]),
            Self::Docker => words(&["-d", IMAGE, "-r", "local-container"]),
            Self::Kubernetes(_) => {
                let container = json!({"name": "main", "imagePullPolicy": "Never"});
                let args = json!({
                    "metadata": {"namespace": namespace},
                    "spec": {"template": {"spec": {"containers": [container]}}},
                });
                words(&["-d", IMAGE, "-r", "kubernetes", "-R", &args.to_string()])
            }
        }
    }
}
