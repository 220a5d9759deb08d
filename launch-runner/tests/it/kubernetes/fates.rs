//! Runs that do not start, or are taken away, each told with its reason.

use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::EvictParams;
use launch_runner::Runner as _;
use launch_runner::config::outcome::Reason;
use launch_runner::conformance::{Harness as _, fresh_key, watch};
use launch_runner::kubernetes::{KubernetesRunner, Patience};
use launch_runner::run::{Run, RunEnd, RunEvent, RunRequest};
use serde_json::{Value, json};

use super::Jobs;
use super::support::{self, IMAGE, NAMESPACE, OWNER, client};

async fn impatient() -> KubernetesRunner {
    let soon = Some(Duration::from_secs(3));
    KubernetesRunner::new(OWNER)
        .with_client(client().await)
        .with_patience(Patience::default().with_fault(soon).with_schedule(soon))
}

/// The warnings of a run, and its end.
async fn told(run: &dyn Run) -> (Vec<String>, RunEnd) {
    let mut warnings = Vec::new();
    let mut events = run.events(0);
    let following = async {
        while let Some(event) = events.next().await {
            match event {
                RunEvent::Warning(text) => warnings.push(text),
                RunEvent::Ended(end) => return end,
                _ => {}
            }
        }
        panic!("events end with `Ended`");
    };
    let end = tokio::time::timeout(Duration::from_mins(2), following).await;
    (warnings, end.expect("it ends"))
}

/// Submits a run whose pod is changed, and expects it not to start for a reason.
async fn expect_fault(change: impl FnOnce(&mut RunRequest), word: &str) {
    let Some(jobs) = Jobs::new() else { return };
    let mut request = jobs.script(fresh_key(), "echo started");
    change(&mut request);
    let run = impatient().await.submit(request).await.unwrap();
    let (warnings, end) = told(&*run).await;
    assert_eq!(end.reason, Reason::SubmitFailed, "{end:?}");
    assert!(end.message.contains(word), "{end:?}");
    assert!(
        warnings.iter().any(|text| text.contains(word)),
        "{warnings:?}"
    );
    run.clean_up().await.unwrap();
    support::wait_for("nothing to be left", async || {
        support::left_of(run.handle()).await.is_empty()
    })
    .await;
}

fn container(request: &mut RunRequest) -> &mut Value {
    &mut request.resource_args["spec"]["template"]["spec"]["containers"][0]
}

#[tokio::test]
async fn a_missing_image_is_told_and_ends_the_run() {
    expect_fault(
        |request| container(request)["image"] = json!("launch-test/no-such-image:1"),
        "`launch-test/no-such-image:1` cannot be had",
    )
    .await;
}

#[tokio::test]
async fn a_pod_no_node_takes_is_told_and_ends_the_run() {
    let much = json!({"requests": {"cpu": "4000"}});
    expect_fault(
        |request| container(request)["resources"] = much,
        "no node takes pod",
    )
    .await;
}

#[tokio::test]
async fn a_missing_secret_is_told_and_ends_the_run() {
    let from = json!([{"secretRef": {"name": "no-such-secret"}}]);
    expect_fault(
        |request| container(request)["envFrom"] = from,
        "no-such-secret",
    )
    .await;
}

#[tokio::test]
async fn a_missing_volume_is_told_and_ends_the_run() {
    expect_fault(
        |request| {
            let pod = &mut request.resource_args["spec"]["template"]["spec"];
            pod["volumes"] = json!([{"name": "v", "secret": {"secretName": "no-such-volume"}}]);
            pod["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
        },
        "no-such-volume",
    )
    .await;
}

#[tokio::test]
async fn an_account_that_is_not_there_makes_no_pod() {
    expect_fault(
        |request| {
            let pod = &mut request.resource_args["spec"]["template"]["spec"];
            pod["serviceAccountName"] = json!("no-such-account");
        },
        "no-such-account",
    )
    .await;
}

#[tokio::test]
async fn what_the_cluster_refuses_is_refused_and_leaves_nothing() {
    let Some(jobs) = Jobs::new() else { return };
    let mut request = jobs.script(fresh_key(), "exit 0");
    container(&mut request)["name"] = json!("Not_A_Name");
    let runner = impatient().await;
    let error = runner.submit(request.clone()).await.unwrap_err();
    assert!(error.to_string().contains("Not_A_Name"), "{error}");
    assert!(!error.is_retryable());
    assert!(!runner.owned().await.unwrap().contains(&request.key));
    request.resource_args = json!({"apiVersion": "no.such/v1", "kind": "Thing",
        "metadata": {"namespace": NAMESPACE}});
    let error = runner.submit(request).await.unwrap_err();
    assert!(
        error.to_string().contains("no Thing of `no.such/v1`"),
        "{error}"
    );
}

#[tokio::test]
async fn an_evicted_pod_is_preempted_and_the_job_does_not_go_on() {
    let Some(jobs) = Jobs::new() else { return };
    let request = jobs.script(fresh_key(), "echo up; sleep 600");
    let run = jobs.open().await.submit(request).await.unwrap();
    let pod = support::pod_of(run.handle()).await;
    // Clusters from 1.26 on write this condition when they evict.
    let condition = json!([{"type": "DisruptionTarget", "status": "True",
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}]);
    support::patch_status("Pod", &pod, json!({ "conditions": condition })).await;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(client().await, NAMESPACE);
    let params = EvictParams {
        delete_options: Some(kube::api::DeleteParams::default().grace_period(1)),
        ..EvictParams::default()
    };
    pods.evict(&pod, &params).await.unwrap();
    let (_, end) = told(&*run).await;
    assert_eq!(end.reason, Reason::Preempted, "{end:?}");
    assert!(end.message.contains(&pod), "{end:?}");
    // Whoever comes later is told the same, although another pod was started.
    watch(&*run, 0).await.assert_reason(Reason::Preempted);
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn a_custom_resource_ends_as_its_controller_says() {
    if Jobs::new().is_none() {
        return;
    }
    make_kind().await;
    for (condition, wanted) in [
        ("Succeeded", Reason::Succeeded),
        ("Failed", Reason::Failed { code: 1 }),
    ] {
        let run = submit_custom().await;
        let name = support::names("PyTorchJob", run.handle())
            .await
            .pop()
            .unwrap();
        let status = |of_type: &str| json!({"conditions": [{"type": of_type, "status": "True", "reason": "Test", "message": "so it is"}]});
        support::patch_status("PyTorchJob", &name, status("Running")).await;
        support::patch_status("PyTorchJob", &name, status(condition)).await;
        let (_, end) = told(&*run).await;
        assert_eq!(end.reason, wanted, "{end:?}");
        run.clean_up().await.unwrap();
        assert!(!support::exists("PyTorchJob", &name).await);
    }
}

#[tokio::test]
async fn a_cancelled_custom_resource_is_deleted_and_remembered() {
    if Jobs::new().is_none() {
        return;
    }
    make_kind().await;
    let run = submit_custom().await;
    run.cancel(Duration::from_secs(1)).await.unwrap();
    assert!(support::names("PyTorchJob", run.handle()).await.is_empty());
    // The garbage collector has had its time.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let found = impatient().await.attach(run.handle()).await.unwrap();
    watch(&*found, 0).await.assert_reason(Reason::Cancelled);
    found.clean_up().await.unwrap();
    assert_eq!(support::left_of(run.handle()).await, Vec::<String>::new());
}

async fn submit_custom() -> Box<dyn Run> {
    let image = launch_runner::run::Workload::Image {
        image: IMAGE.parse().unwrap(),
        pull: None,
    };
    let pod = json!({"containers": [{"name": "pytorch", "image": "${image_uri}"}]});
    let request = RunRequest::new(fresh_key(), image)
        .with_env("WANDB_API_KEY", "planted-key")
        .with_resource_args(json!({
            "apiVersion": "kubeflow.org/v1",
            "kind": "PyTorchJob",
            "metadata": {"generateName": "pt-", "namespace": NAMESPACE},
            "spec": {"pytorchReplicaSpecs": {"Master": {"replicas": 1, "template": {"spec": pod}}}},
        }));
    impatient().await.submit(request).await.unwrap()
}

/// A kind without a controller: the tests are it.
async fn make_kind() {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "pytorchjobs.kubeflow.org"},
        "spec": {
            "group": "kubeflow.org",
            "scope": "Namespaced",
            "names": {"plural": "pytorchjobs", "singular": "pytorchjob", "kind": "PyTorchJob"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}],
        },
    });
    let client = client().await;
    let kind = support::resource("CustomResourceDefinition");
    let api: kube::Api<kube::api::DynamicObject> = kube::Api::all_with(client, &kind);
    let crd: kube::api::DynamicObject = serde_json::from_value(crd).unwrap();
    // Another test may have made it.
    let _ = api.create(&kube::api::PostParams::default(), &crd).await;
    let jobs = support::api("PyTorchJob").await;
    support::wait_for("the kind to be served", async || {
        jobs.list(&kube::api::ListParams::default()).await.is_ok()
    })
    .await;
}
