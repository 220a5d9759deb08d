//! The cluster, as somebody other than the runner sees it.

use std::time::Duration;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use launch_runner::config::id::RunKey;
use launch_runner::run::{RunHandle, run_name};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const IMAGE: &str = "launch-test/busybox:1";
pub(crate) const OWNER: &str = "launch-runner-tests";
pub(crate) const NAMESPACE: &str = "launch-runner-tests";

/// The kubeconfig, or `None` and a word why not.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn kubeconfig() -> Option<String> {
    if let Ok(file) = std::env::var("LAUNCH_TEST_KUBECONFIG") {
        return Some(file);
    }
    let why = "LAUNCH_TEST_KUBECONFIG is not set: no cluster to test with";
    assert!(
        !std::env::var("CI").is_ok_and(|value| value == "true"),
        "{why}"
    );
    eprintln!("skipped: {why}");
    None
}

pub(crate) fn current_context() -> String {
    let kubeconfig = Kubeconfig::read_from(kubeconfig().unwrap()).unwrap();
    kubeconfig.current_context.unwrap()
}

/// Host and port of a kubeconfig's API server.
pub(crate) fn server_of(file: &str) -> String {
    let kubeconfig = Kubeconfig::read_from(file).unwrap();
    let current = kubeconfig.current_context.unwrap();
    let context = kubeconfig.contexts.into_iter().find(|c| c.name == current);
    let name = context.unwrap().context.unwrap().cluster;
    let cluster = kubeconfig.clusters.into_iter().find(|c| c.name == name);
    let url = cluster.unwrap().cluster.unwrap().server.unwrap();
    let address = url.trim_start_matches("https://").trim_end_matches('/');
    if address.contains(':') {
        address.to_owned()
    } else {
        format!("{address}:443")
    }
}

async fn config() -> Config {
    let kubeconfig = Kubeconfig::read_from(kubeconfig().unwrap()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    config.await.unwrap()
}

/// A client that reaches the API server by another address.
pub(crate) async fn client_through(address: &str) -> Client {
    let _namespace_made = client().await;
    let mut config = config().await;
    let host = config.cluster_url.host().unwrap().to_owned();
    if host.parse::<std::net::IpAddr>().is_err() {
        config.tls_server_name = Some(host);
    }
    config.cluster_url = format!("https://{address}").parse().unwrap();
    Client::try_from(config).unwrap()
}

/// A client, and the tests' namespace made.
pub(crate) async fn client() -> Client {
    let client = Client::try_from(config().await).unwrap();
    let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &resource("Namespace"));
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let namespace: DynamicObject = serde_json::from_value(namespace).unwrap();
    // It may be there.
    let _ = namespaces.create(&PostParams::default(), &namespace).await;
    client
}

pub(crate) fn resource(kind: &str) -> ApiResource {
    let (group, version, plural) = match kind {
        "Job" => ("batch", "v1", "jobs"),
        "Secret" => ("", "v1", "secrets"),
        "Pod" => ("", "v1", "pods"),
        "Service" => ("", "v1", "services"),
        "ResourceQuota" => ("", "v1", "resourcequotas"),
        "Namespace" => ("", "v1", "namespaces"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
        "PyTorchJob" => ("kubeflow.org", "v1", "pytorchjobs"),
        other => panic!("no test knows {other}"),
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

pub(crate) async fn api(kind: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client().await, NAMESPACE, &resource(kind))
}

pub(crate) async fn create(kind: &str, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api(kind)
        .await
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

pub(crate) async fn get(kind: &str, name: &str) -> Value {
    let found = api(kind).await.get(name).await.unwrap();
    serde_json::to_value(found).unwrap()
}

pub(crate) async fn exists(kind: &str, name: &str) -> bool {
    api(kind).await.get_opt(name).await.unwrap().is_some()
}

pub(crate) async fn delete(kind: &str, name: &str) {
    api(kind)
        .await
        .delete(name, &DeleteParams::background())
        .await
        .unwrap();
}

pub(crate) async fn patch_status(kind: &str, name: &str, status: Value) {
    let patch = Patch::Merge(json!({ "status": status }));
    let params = PatchParams::default();
    api(kind)
        .await
        .patch_status(name, &params, &patch)
        .await
        .unwrap();
}

/// What a submit leaves that dies right after it began.
pub(crate) async fn make_record(key: &RunKey) {
    let owner = Sha256::digest(OWNER.as_bytes());
    let owner = owner
        .iter()
        .take(10)
        .fold("x".to_owned(), |text, byte| format!("{text}{byte:02x}"));
    create("Secret", json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": run_name(key),
            "labels": {"launch.run": run_name(key), "launch.owner": owner},
            "annotations": {"launch.job": key.job.as_str(), "launch.attempt": key.attempt.to_string()},
        },
    }))
    .await;
}

pub(crate) async fn make_job(name: &str) {
    let pod = json!({"restartPolicy": "Never",
        "containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": ["true"]}]});
    create(
        "Job",
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"template": {"spec": pod}},
        }),
    )
    .await;
}

/// The names of a run's objects of a kind.
pub(crate) async fn names(kind: &str, handle: &RunHandle) -> Vec<String> {
    let run = run_name(&handle.key);
    let of_run = ListParams::default().labels(&format!("launch.run={run}"));
    let found = api(kind).await.list(&of_run).await.unwrap();
    found
        .items
        .into_iter()
        .filter_map(|object| object.metadata.name)
        .collect()
}

pub(crate) async fn job_of(handle: &RunHandle) -> String {
    names("Job", handle).await.pop().expect("the run has a Job")
}

/// The name of the run's pod, once it has one.
pub(crate) async fn pod_of(handle: &RunHandle) -> String {
    for _ in 0..300 {
        if let Some(name) = names("Pod", handle).await.pop() {
            return name;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no pod was made for {handle:?}");
}

pub(crate) async fn left_of(handle: &RunHandle) -> Vec<String> {
    let mut left = Vec::new();
    for kind in ["Job", "Secret", "Pod"] {
        let names = names(kind, handle).await;
        left.extend(names.into_iter().map(|name| format!("{kind} {name}")));
    }
    left
}

pub(crate) async fn wait_for(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("waited a minute for {what}");
}

#[expect(clippy::disallowed_methods, reason = "the script reads the same clock")]
pub(crate) fn now() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
