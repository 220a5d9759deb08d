//! What is sent, whole.

use launch_runner::config::id::RunKey;
use launch_runner::config::secret::Secret;
use launch_runner::kubernetes::{Manifest, Site, manifest};
use launch_runner::run::{CodeMount, CodeSource, RunRequest, Workload};
use serde_json::{Value, json};

fn request() -> RunRequest {
    let image = Workload::Image {
        image: "registry.example/acme/train:1.4".parse().unwrap(),
        pull: Some(("robot".to_owned(), Secret::new("planted-password"))),
    };
    RunRequest::new(RunKey::new("k3x9".parse().unwrap(), 1), image)
        .with_env("WANDB_ENTITY", "acme")
        .with_env("WANDB_PROJECT", "vision")
        .with_env("WANDB_RUN_ID", "abc123")
        .with_env("WANDB_API_KEY", "planted-key")
}

fn made(request: &RunRequest) -> Manifest {
    manifest(request, &Site::new("team", "agent-1").with_agent("raven")).unwrap()
}

#[test]
fn a_job_of_nothing_but_an_image() {
    let manifest = made(&request());
    let restricted = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let owner = manifest.record.body["metadata"]["labels"]["launch.owner"].clone();
    let labels = json!({"wandb.ai/monitor": "true", "wandb.ai/agent": "raven",
        "launch.run": "launch-k3x9-1", "launch.owner": owner});
    let mut of_job = labels.clone();
    of_job["wandb.ai/run-id"] = json!("abc123");
    let key = json!({"secretKeyRef": {"name": "wandb-api-key-abc123", "key": "password"}});
    let wanted = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "launch-acme-vision-k3x9-1", "namespace": "team", "labels": of_job},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 86400,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "imagePullSecrets": [{"name": "regcred-abc123"}],
                    "containers": [{
                        "name": "launch0",
                        "image": "registry.example/acme/train:1.4",
                        "env": [
                            {"name": "WANDB_API_KEY", "valueFrom": key},
                            {"name": "WANDB_ENTITY", "value": "acme"},
                            {"name": "WANDB_PROJECT", "value": "vision"},
                            {"name": "WANDB_RUN_ID", "value": "abc123"},
                        ],
                        "securityContext": restricted,
                    }],
                },
            },
        },
    });
    assert_eq!(Value::Object(manifest.main.body), wanted);
}

#[test]
fn nothing_secret_is_printed() {
    let manifest = made(&request());
    let shown = format!("{manifest:?}");
    assert!(
        !shown.contains("planted") && shown.contains("regcred-abc123"),
        "{shown}"
    );
}

#[test]
fn the_same_request_makes_the_same_objects() {
    assert_eq!(made(&request()), made(&request()));
    let mut other = request();
    other.key.attempt = 2;
    assert_ne!(made(&request()).main.name(), made(&other).main.name());
}

#[test]
fn what_the_queue_says_is_kept() {
    let request = request().with_resource_args(json!({
        "metadata": {"name": "mine", "labels": {"team": "red"}},
        "spec": {"backoffLimit": 3, "ttlSecondsAfterFinished": 5, "template": {"spec": {
            "imagePullSecrets": [{"name": "own"}],
            "containers": [{"name": "a", "env": null}, {"name": "b", "image": "redis:7"}],
        }}},
    }));
    let body = made(&request).main.body;
    assert_eq!(body["metadata"]["name"], "mine");
    assert_eq!(body["spec"]["ttlSecondsAfterFinished"], 5);
    let pod = &body["spec"]["template"]["spec"];
    assert_eq!(
        pod["imagePullSecrets"],
        json!([{"name": "own"}, {"name": "regcred-abc123"}])
    );
    assert_eq!(pod["containers"][1]["image"], "redis:7");
}

#[test]
fn wrong_shapes_are_named() {
    for (args, word) in [
        (json!([]), "manifest"),
        (json!({"spec": []}), "`spec` is a mapping"),
        (
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "containers` is a list",
        ),
        (
            json!({"spec": {"template": {"spec": {"containers": ["x"]}}}}),
            "containers[0]` is a mapping",
        ),
        (
            json!({"metadata": {"labels": "x"}}),
            "`metadata.labels` is a mapping",
        ),
        (json!({"apiVersion": 1}), "`apiVersion` is a text"),
    ] {
        let request = request().with_resource_args(args.clone());
        let why = manifest(&request, &Site::new("team", "agent-1")).unwrap_err();
        assert!(why.contains(word), "{args}: {why}");
    }
}

#[test]
fn odd_ids_fit_labels_and_names() {
    let mut request = request().with_env("WANDB_RUN_ID", "UnVu=");
    request.key.job = "UnVu=".parse().unwrap();
    let manifest = made(&request);
    let label = &manifest.main.body["metadata"]["labels"]["wandb.ai/run-id"];
    assert!(label.as_str().unwrap().starts_with("launch-x"), "{label}");
    assert!(
        manifest
            .secrets
            .iter()
            .all(|secret| !secret.name().contains('='))
    );
}

#[test]
fn code_on_a_claim_is_mounted_and_not_fetched() {
    let claim = CodeSource::Claim {
        claim: "code".to_owned(),
        directory: "train:v3".to_owned(),
    };
    let body = made(&request().with_code(CodeMount::new(claim))).main.body;
    let pod = &body["spec"]["template"]["spec"];
    assert_eq!(
        pod["volumes"][0]["persistentVolumeClaim"]["claimName"],
        "code"
    );
    assert_eq!(
        pod["containers"][0]["volumeMounts"][0]["subPath"],
        "train:v3"
    );
    assert!(pod.get("initContainers").is_none());
}
