//! Jobs of W&B's queues on a cluster.

use kube::api::{DeleteParams, EvictParams};
use launch_tests::cluster::{Cluster, kubeconfig};

use super::places::{image, log_of, tells_of_wandb};
use super::*;

struct OnCluster {
    world: World,
    cluster: Cluster,
    runtime: Runtime,
}

impl OnCluster {
    fn new(prefix: &str) -> Option<Self> {
        let kubeconfig = kubeconfig()?;
        let runtime = Runtime::new().unwrap();
        let cluster = runtime.block_on(Cluster::open(&kubeconfig, prefix));
        let world = World::of(Agent::new().env("KUBECONFIG", &kubeconfig));
        Some(Self {
            world,
            cluster,
            runtime,
        })
    }

    fn spec(&self, script: &str) -> Value {
        let mut spec = image("kubernetes", script);
        let pod = json!({"containers": [{"name": "main", "imagePullPolicy": "Never"}]});
        spec["resource_args"]["kubernetes"] = json!({
            "metadata": {"namespace": self.cluster.namespace, "name": "job-${run_id}"},
            "spec": {"template": {"spec": pod}},
        });
        spec
    }
}

#[test]
fn pods_are_told_of_wandb_and_read_the_key_from_a_secret() {
    let Some(place) = OnCluster::new("launch-it-wandb") else {
        return;
    };
    let world = &place.world;
    let item = world.state().put("first", place.spec("env; exit 3"));
    let child = world.start();
    tells_of_wandb(world, &item);
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    place.runtime.block_on(place.cluster.remove());
}

#[test]
fn a_preempted_run_is_put_back_with_its_id_its_priority_and_a_count() {
    let Some(place) = OnCluster::new("launch-it-preempt") else {
        return;
    };
    let (world, cluster) = (&place.world, &place.cluster);
    // A shell that ends when it is told to: what does not takes its grace, and then some.
    let script = "env; [ \"$WANDB_RESUME\" = allow ] && exit 3; \
                  trap 'exit 1' TERM; sleep 600 & wait";
    let item = {
        let mut server = world.state();
        let config = server::QueueConfig {
            has_priorities: true,
            ..server::QueueConfig::default()
        };
        server.configs.insert("first".to_owned(), config);
        let item = server.put("first", place.spec(script));
        server.items.get_mut(&item).unwrap().priority = 0;
        item
    };
    let child = world.start();
    let run = world.run_of(&item);
    let pod = eventually("the pod runs", Duration::from_mins(1), || {
        let pods = place.runtime.block_on(cluster.list("Pod", "launch.run"));
        let running = |pod: &kube::core::DynamicObject| pod.data["status"]["phase"] == "Running";
        pods.into_iter().find(running)?.metadata.name
    });
    // Clusters from 1.26 on write this condition when they evict.
    let condition = json!([{"type": "DisruptionTarget", "status": "True",
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}]);
    place.runtime.block_on(async {
        let status = json!({"conditions": condition});
        assert!(cluster.set_status("Pod", &pod, status).await);
        let params = EvictParams {
            delete_options: Some(DeleteParams::default().grace_period(1)),
            ..EvictParams::default()
        };
        let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
            kube::Api::namespaced(cluster.client.clone(), &cluster.namespace);
        pods.evict(&pod, &params).await.unwrap();
    });
    let again = eventually("the run is put back", Duration::from_mins(2), || {
        // The cluster starts another pod, as of a job that goes on: that one is not ours.
        let server = world.state();
        let mut others = server.items.keys().filter(|id| **id != item);
        others.next().cloned()
    });
    assert_eq!(world.run_of(&again), run);
    let log = log_of(world, &again);
    assert!(log.contains("WANDB_RESUME=allow"), "{log}");
    let server = world.state();
    let put_back = &server.items[&again];
    assert_eq!(
        (put_back.priority, &put_back.spec["_resume_count"]),
        (0, &json!(1))
    );
    assert_eq!(server.items[&item].failure, None);
    drop(server);
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0).complains("put_back=1");
    place.runtime.block_on(cluster.remove());
}
