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

/// The Job that is made for an item; the item is stopped then.
fn made(place: &OnCluster, item: &str) -> Value {
    let name = format!("job-{}", place.world.run_of(item));
    let object = eventually("the Job is made", Duration::from_mins(1), || {
        let jobs = place
            .runtime
            .block_on(place.cluster.list("Job", "launch.run"));
        let ours = |job: &kube::core::DynamicObject| job.metadata.name.as_deref() == Some(&*name);
        jobs.into_iter().find(ours)
    });
    object.data["spec"]["template"]["spec"].clone()
}

#[test]
fn without_a_builder_a_pod_fetches_the_code_of_its_job() {
    let Some(place) = OnCluster::new("launch-it-mount") else {
        return;
    };
    let world = &place.world;
    let document = json!({
        "_version": "v0", "source_type": "artifact", "runtime": "3.11",
        "source": {"artifact": "wandb-artifact://_id/Q29kZQ==", "entrypoint": ["python", "train.py"]},
    });
    let item = {
        let mut server = world.state();
        let job = [
            ("wandb-job.json", &*document.to_string()),
            ("requirements.frozen.txt", "six"),
        ];
        server.artifact_of("team/models/train:v1", "job", &job);
        server.artifact_of("Q29kZQ==", "code", &[("train.py", "print()")]);
        let mut spec = place.spec("");
        spec["job"] = json!("team/models/train:v1");
        spec["overrides"] = json!({"args": ["--lr", "1"], "working_dir": "pkg"});
        spec.as_object_mut().unwrap().remove("docker");
        server.put("first", spec)
    };
    let mut child = world.start_with("builder: {type: noop}", &[]);
    let pod = made(&place, &item);
    let init = &pod["initContainers"][0];
    assert_eq!(init["name"], "wandb-source-code-init");
    let script = init["command"][2].as_str().unwrap();
    for line in [
        "wandb artifact get team/models/code-Q29kZQ:v3 --root /mnt/wandb",
        "wandb artifact get team/models/train:v1 --root /mnt/wandb/.job",
    ] {
        assert!(
            script.lines().any(|found| found == line),
            "{line} in {script}"
        );
    }
    let main = &pod["containers"][0];
    assert_eq!(
        (&main["image"], &main["workingDir"], &main["command"]),
        (
            &json!("python:3.12-slim"),
            &json!("/mnt/wandb/pkg"),
            &json!(["/bin/sh", "-c"])
        )
    );
    let command = main["args"][0].as_str().unwrap();
    assert!(
        command.ends_with("exec python train.py --lr 1"),
        "{command}"
    );
    kill(&mut child);
    place.runtime.block_on(place.cluster.remove());
}

#[test]
fn a_pod_has_its_code_from_a_volume_that_the_agent_shares() {
    let Some(mut place) = OnCluster::new("launch-it-claim") else {
        return;
    };
    let volume = place.world.agent.dir("volume");
    place.world = place
        .world
        .env("WANDB_LAUNCH_CODE_PVC_NAME", "code")
        .env("WANDB_LAUNCH_CODE_PVC_MOUNT_PATH", volume.to_str().unwrap());
    let project = place.world.agent.project("p", "print()");
    fs_err::write(format!("{project}/requirements.txt"), "six\n").unwrap();
    let item = {
        let mut spec = place.spec("");
        spec["uri"] = json!(project);
        spec["overrides"] = json!({});
        spec.as_object_mut().unwrap().remove("docker");
        place.world.state().put("first", spec)
    };
    let mut child = place.world.start_with("builder: {type: noop}", &[]);
    let pod = made(&place, &item);
    assert_eq!(pod.get("initContainers"), None);
    let claim = &pod["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(claim, "code");
    let main = &pod["containers"][0];
    let directory = main["volumeMounts"][0]["subPath"].as_str().unwrap();
    assert_eq!(
        fs_err::read_to_string(volume.join(directory).join("main.py")).unwrap(),
        "print()"
    );
    let words = main["command"].as_array().unwrap();
    assert!(
        words.contains(&json!("/mnt/wandb/requirements.txt")),
        "{words:?}"
    );
    kill(&mut child);
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
