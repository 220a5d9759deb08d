//! What a cluster needs for a pod, with no agent in between.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use launch_tests::cluster::{Cluster, IMAGE};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::world::{SAYS, now, times_of};

/// A cluster, with a namespace that goes when this does.
#[derive(Debug)]
pub(crate) struct Pods {
    /// The file that names the cluster.
    pub(crate) kubeconfig: String,
    cluster: Cluster,
    runtime: Runtime,
}

impl Pods {
    pub(crate) fn open(kubeconfig: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let cluster = runtime.block_on(Cluster::open(kubeconfig, "launch-prompt"));
        Self {
            kubeconfig: kubeconfig.to_owned(),
            cluster,
            runtime,
        }
    }

    /// The namespace of the jobs, too.
    pub(crate) fn namespace(&self) -> &str {
        &self.cluster.namespace
    }

    /// From asking for a pod to its program's first line, of one pod after the other.
    pub(crate) fn one_by_one(&self, count: u64) -> Vec<f64> {
        let once = |number| self.runtime.block_on(self.once(number));
        (0..count).map(once).collect()
    }

    async fn once(&self, number: u64) -> f64 {
        let (client, namespace) = (self.cluster.client.clone(), &self.cluster.namespace);
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let name = format!("bare-{number}");
        let container = json!({"name": "main", "image": IMAGE, "imagePullPolicy": "Never",
            "command": ["sh", "-c", SAYS]});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [container]}});
        let pod = serde_json::from_value(pod).expect("a pod");
        let asked = now();
        let made = pods.create(&PostParams::default(), &pod).await;
        made.expect("the cluster takes a pod");
        let since = Instant::now();
        let (began, _) = loop {
            let log = pods.logs(&name, &LogParams::default()).await;
            if let Some(times) = times_of(&log.unwrap_or_default()) {
                break times;
            }
            assert!(since.elapsed() < Duration::from_mins(1), "`{name}` is mute");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let _ = pods.delete(&name, &DeleteParams::default()).await;
        // The next one meets a cluster that has nothing to do.
        while pods.get_opt(&name).await.is_ok_and(|found| found.is_some()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        began - asked
    }
}

impl Drop for Pods {
    fn drop(&mut self) {
        self.runtime.block_on(self.cluster.remove());
    }
}
