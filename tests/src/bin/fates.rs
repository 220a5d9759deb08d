//! Jobs of mixed fate on a cluster, through one agent that is killed on the way.
//!
//! ```text
//! LAUNCH_TEST_KUBECONFIG=… cargo run -p launch-tests --bin fates -- [JOBS] [KILLS] [SLOTS] [KIND]
//! ```
//!
//! KIND is what is no Job: `PyTorchJob`, of which this program is the controller, or `Pod`
//! for clusters that have no custom resources.
//!
//! Needs a cluster whose node has the image `launch-test/busybox:1`, and the program built
//! with the feature `kubernetes`. The cluster's own watch is the judge of how often each
//! run's object was made.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, EvictParams};
use kube::runtime::watcher::{self, Event, watcher};
use launch_tests::cluster::{Cluster, IMAGE, kubeconfig};
use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What is to become of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Succeeds,
    Fails,
    NoImage,
    NoNode,
    Evicted,
    Deleted,
    CustomSucceeds,
    CustomFails,
}

const FATES: [Fate; 8] = [
    Fate::Succeeds,
    Fate::Fails,
    Fate::NoImage,
    Fate::NoNode,
    Fate::Evicted,
    Fate::Deleted,
    Fate::CustomSucceeds,
    Fate::CustomFails,
];

impl Fate {
    /// The reason and a word of the message it has to end with.
    fn wanted(self) -> (&'static str, &'static str) {
        match self {
            Self::Succeeds | Self::CustomSucceeds => ("succeeded", ""),
            Self::Fails => ("failed", "code 3"),
            Self::CustomFails => ("failed", ""),
            Self::NoImage => ("submit-failed", "cannot be had"),
            Self::NoNode => ("submit-failed", "no node takes"),
            Self::Evicted => ("preempted", "was evicted"),
            // Who deletes it while no agent watches is seen by none.
            Self::Deleted => ("lost", ""),
        }
    }

    fn label(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    fn is_custom(self) -> bool {
        matches!(self, Self::CustomSucceeds | Self::CustomFails)
    }

    /// A pod of its own, with no Job around it.
    fn pod(self, namespace: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": namespace, "labels": {"fate": self.label()}},
            "spec": {"restartPolicy": "Never",
                "containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "Never"}]},
        })
    }

    fn args(self, namespace: &str) -> Value {
        let labels = json!({"fate": self.label()});
        let mut container = json!({"name": "main", "imagePullPolicy": "Never"});
        if self == Self::NoNode {
            container["resources"] = json!({"requests": {"cpu": "4000"}});
        }
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [container]}});
        if self.is_custom() {
            return json!({
                "apiVersion": "kubeflow.org/v1",
                "kind": "PyTorchJob",
                "metadata": {"namespace": namespace, "labels": labels},
                "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": template}}},
            });
        }
        json!({
            "metadata": {"namespace": namespace, "labels": labels},
            "spec": {"template": template},
        })
    }

    fn script(self) -> &'static str {
        match self {
            Self::Succeeds | Self::CustomSucceeds => "echo up; sleep 3; echo done",
            Self::Fails | Self::CustomFails => "echo up; sleep 3; exit 3",
            _ => "echo up; sleep 600",
        }
    }
}

type Made = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

fn main() {
    let number = |index: usize, default: usize| {
        let text = std::env::args().nth(index);
        text.map_or(default, |text| text.parse().expect("a number"))
    };
    let (jobs, kills, slots) = (number(1, 50), number(2, 5), number(3, 16));
    let kind = std::env::args().nth(4);
    let is_pod = kind.as_deref() == Some("Pod");
    let Some(kubeconfig) = kubeconfig() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cluster = runtime.block_on(Cluster::open(&kubeconfig, "launch-fates"));
    if !is_pod {
        runtime.block_on(cluster.make_kind());
    }
    let agent = Agent::new()
        .env("KUBECONFIG", &kubeconfig)
        .env("WANDB_LAUNCH_START_TIMEOUT", "15");
    let made = Made::default();
    let custom = "launch.run,fate in (customsucceeds, customfails)";
    let other = if is_pod {
        ("Pod", custom)
    } else {
        ("PyTorchJob", "launch.run")
    };
    for (kind, label) in [("Job", "launch.run"), other] {
        runtime.spawn(count(cluster.clone(), kind, label, Arc::clone(&made)));
    }
    runtime.spawn(befall(cluster.clone()));
    let start = Instant::now();
    let fates: BTreeMap<String, Fate> = (0..jobs)
        .map(|index| FATES[index % FATES.len()])
        .map(|fate| (submit(&agent, &cluster, fate, is_pod), fate))
        .collect();
    for round in 0..kills {
        kill(&agent, slots, round);
    }
    let mut child = agent.start(&run_args(slots, true));
    let status = eventually("the queue drains", Duration::from_mins(15), || {
        child.try_wait().expect("a child can be waited for")
    });
    assert!(status.success(), "the agent ended with {status}");
    let took = start.elapsed();
    let good = report(&agent, &fates, &made) & runtime.block_on(left(&cluster));
    println!("jobs {jobs}, kills {kills}, {:.0} s", took.as_secs_f64());
    runtime.block_on(cluster.remove());
    assert!(good, "not as it should be");
}

fn run_args(slots: usize, drain: bool) -> Vec<&'static str> {
    let slots: &'static str = slots.to_string().leak();
    let mut args = vec!["run", "-q", "q", "-j", slots, "--quiet"];
    args.extend(drain.then_some("--drain"));
    args
}

fn submit(agent: &Agent, cluster: &Cluster, fate: Fate, is_pod: bool) -> String {
    let namespace = &cluster.namespace;
    let args = if is_pod && fate.is_custom() {
        fate.pod(namespace)
    } else {
        fate.args(namespace)
    };
    let args = args.to_string();
    let command = format!("sh -c '{}'", fate.script());
    let image = if fate == Fate::NoImage {
        "launch-test/no-such-image:1"
    } else {
        IMAGE
    };
    agent.submit(&[
        "-q",
        "q",
        "-d",
        image,
        "-r",
        "kubernetes",
        "-R",
        &args,
        "-E",
        &command,
    ])
}

/// An agent that lives for some seconds: moments that fall into every stage.
fn kill(agent: &Agent, slots: usize, round: usize) {
    let mut child = agent.start(&run_args(slots, false));
    let moment = [700, 2300, 4100, 1500, 6200][round % 5];
    std::thread::sleep(Duration::from_millis(moment));
    signal(&child, Signal::KILL);
    child.wait().expect("a killed child ends");
}

/// Notes every object that is made for a run.
async fn count(cluster: Cluster, kind: &'static str, label: &'static str, made: Made) {
    let config = watcher::Config::default().labels(label);
    let mut events = watcher(cluster.api(kind), config).boxed();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event
        else {
            continue;
        };
        let run = object
            .metadata
            .labels
            .as_ref()
            .and_then(|all| all.get("launch.run"));
        if let (Some(run), Some(uid)) = (run, &object.metadata.uid) {
            let mut made = made.lock().expect("nobody panics here");
            made.entry(run.clone()).or_default().insert(uid.clone());
        }
    }
}

/// Lets the jobs meet their fates, as soon as they run.
async fn befall(cluster: Cluster) {
    let mut done = BTreeSet::new();
    loop {
        for pod in cluster.list("Pod", "fate in (evicted, deleted)").await {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            if pod.data["status"]["phase"] == "Running" && done.insert(uid) {
                meet(&cluster, &pod).await;
            }
        }
        for object in cluster.list("PyTorchJob", "fate").await {
            control(&cluster, &object).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn meet(cluster: &Cluster, pod: &DynamicObject) {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let name = pod.metadata.name.clone().unwrap_or_default();
    if labels["fate"] == "deleted" {
        let params = DeleteParams::background();
        let _ = cluster
            .api("Job")
            .delete(&labels["job-name"], &params)
            .await;
        return;
    }
    // Clusters from 1.26 on write this condition when they evict.
    let condition = json!([{"type": "DisruptionTarget", "status": "True",
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}]);
    cluster
        .set_status("Pod", &name, json!({ "conditions": condition }))
        .await;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = EvictParams {
        delete_options: Some(DeleteParams::default().grace_period(1)),
        ..EvictParams::default()
    };
    let _ = pods.evict(&name, &params).await;
}

/// The controller of the custom resource.
async fn control(cluster: &Cluster, object: &DynamicObject) {
    let name = object.metadata.name.clone().unwrap_or_default();
    let labels = object.metadata.labels.clone().unwrap_or_default();
    let now = object.data["status"]["conditions"][0]["type"].as_str();
    let next = match now {
        None => "Created",
        Some("Created") => "Running",
        Some("Running") if labels["fate"] == "customfails" => "Failed",
        Some("Running") => "Succeeded",
        Some(_) => return,
    };
    let condition =
        json!([{"type": next, "status": "True", "reason": "Fate", "message": "so it is"}]);
    cluster
        .set_status("PyTorchJob", &name, json!({ "conditions": condition }))
        .await;
}

fn report(agent: &Agent, fates: &BTreeMap<String, Fate>, made: &Made) -> bool {
    let made = made.lock().expect("nobody panics here").clone();
    let mut rows: BTreeMap<Fate, (u64, u64, u64, String)> = BTreeMap::new();
    for (id, fate) in fates {
        let outcome = agent.job("q", id)["outcome"].clone();
        let (reason, word) = fate.wanted();
        let message = outcome["message"].as_str().unwrap_or_default();
        let right = outcome["reason"] == reason && message.contains(word);
        let objects = made.get(&format!("launch-{id}-0")).map_or(0, BTreeSet::len);
        let row = rows.entry(*fate).or_default();
        row.0 += 1;
        row.1 += u64::from(right);
        row.2 += u64::from(objects != 1);
        if row.3.is_empty() || !right {
            row.3 = format!(
                "{}: {message}",
                outcome["reason"].as_str().unwrap_or("none")
            );
        }
    }
    println!("| fate | jobs | right reason | not made once | as told |\n|---|---|---|---|---|");
    for (fate, (jobs, right, not_once, told)) in &rows {
        println!("| {fate:?} | {jobs} | {right} | {not_once} | {told:.160} |");
    }
    rows.values()
        .all(|(jobs, right, not_once, _)| jobs == right && *not_once == 0)
}

/// Whether nothing is left in the namespace that a run had.
async fn left(cluster: &Cluster) -> bool {
    let mut left = 0;
    for _ in 0..60 {
        left = 0;
        let mut counts = Vec::new();
        for kind in ["Job", "PyTorchJob", "Secret", "Service", "ConfigMap", "Pod"] {
            let found = cluster.list(kind, "").await;
            // Every namespace has these of the cluster's own.
            let own = found.iter().filter(|object| {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                !name.starts_with("default-token") && name != "kube-root-ca.crt"
            });
            let count = own.count();
            counts.push(format!("{kind} {count}"));
            left += count;
        }
        if left == 0 {
            println!("left: {}", counts.join(", "));
            return true;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("left: {left} objects");
    false
}
