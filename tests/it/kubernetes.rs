//! Jobs on a cluster, through the agent.

use std::time::Duration;

use launch_tests::cluster::{Cluster, IMAGE, kubeconfig};
use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;
use serde_json::json;

struct Setting {
    runtime: tokio::runtime::Runtime,
    cluster: Cluster,
    agent: Agent,
}

impl Setting {
    fn new(prefix: &str) -> Option<Self> {
        let kubeconfig = kubeconfig()?;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cluster = runtime.block_on(Cluster::open(&kubeconfig, prefix));
        let agent = Agent::new().env("KUBECONFIG", &kubeconfig);
        Some(Self {
            runtime,
            cluster,
            agent,
        })
    }

    fn submit(&self, script: &str) -> String {
        let pod = json!({"containers": [{"name": "main", "imagePullPolicy": "Never"}]});
        let args = json!({
            "metadata": {"namespace": self.cluster.namespace, "name": "job-${run_id}"},
            "spec": {"template": {"spec": pod}},
        });
        let (args, command) = (args.to_string(), format!("sh -c '{script}'"));
        let place = ["-r", "kubernetes", "-R", &args, "-E", &command];
        self.agent
            .submit(&[&["-q", "q", "-d", IMAGE], &place[..]].concat())
    }

    fn count(&self, kind: &str) -> usize {
        let list = self.cluster.list(kind, "launch.run");
        self.runtime.block_on(list).len()
    }

    fn runs(&self) -> bool {
        let pods = self
            .runtime
            .block_on(self.cluster.list("Pod", "launch.run"));
        pods.iter()
            .any(|pod| pod.data["status"]["phase"] == "Running")
    }

    fn nothing_left(&self) {
        eventually("nothing is left", Duration::from_mins(1), || {
            let left = ["Job", "Secret", "Pod"].map(|kind| self.count(kind));
            (left == [0, 0, 0]).then_some(())
        });
        self.runtime.block_on(self.cluster.remove());
    }
}

#[test]
fn a_job_runs_on_a_cluster_and_leaves_nothing() {
    let Some(setting) = Setting::new("launch-it-run") else {
        return;
    };
    let id = setting.submit("echo hello from $LAUNCH_JOB_ID; exit 4");
    let said = setting.agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    let outcome = setting.agent.outcome("q", &id);
    assert_eq!(outcome["reason"], "failed", "{outcome} {said:#?}");
    assert_eq!(outcome["code"], 4, "{outcome}");
    assert_eq!(
        outcome["log_tail"],
        json!([format!("hello from {id}")]),
        "{outcome}"
    );
    setting.nothing_left();
}

#[test]
fn a_job_outlives_its_agent_on_a_cluster() {
    let Some(setting) = Setting::new("launch-it-kill") else {
        return;
    };
    let id = setting.submit("echo started; sleep 8; echo ends; exit 7");
    let mut child = setting.agent.start(&["run", "-q", "q"]);
    eventually("the pod runs", Duration::from_mins(1), || {
        setting.runs().then_some(())
    });
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    // It ends while nobody watches.
    std::thread::sleep(Duration::from_secs(10));
    let _ = setting.agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    let outcome = setting.agent.outcome("q", &id);
    assert_eq!(outcome["code"], 7, "{outcome}");
    assert_eq!(outcome["log_tail"], json!(["started", "ends"]), "{outcome}");
    setting.nothing_left();
}

#[test]
fn a_job_is_cancelled_on_a_cluster() {
    let Some(setting) = Setting::new("launch-it-cancel") else {
        return;
    };
    let id = setting.submit("echo up; sleep 600");
    let mut child = setting.agent.start(&["run", "-q", "q", "--drain"]);
    eventually("the pod runs", Duration::from_mins(1), || {
        setting.runs().then_some(())
    });
    let _ = setting.agent.say(&["queue", "cancel", &id]).expect(0);
    let outcome = setting.agent.outcome("q", &id);
    assert_eq!(outcome["reason"], "cancelled", "{outcome}");
    child.wait().unwrap();
    setting.nothing_left();
}
