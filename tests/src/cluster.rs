//! A cluster for whole-system tests, as somebody other than the agent sees it.

use std::time::{Duration, Instant};

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GetParams, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::skip;

/// The image every test cluster's node has.
pub const IMAGE: &str = "launch-test/busybox:1";

/// The kubeconfig of the cluster for tests, if there is one.
pub fn kubeconfig() -> Option<String> {
    let file = std::env::var("LAUNCH_TEST_KUBECONFIG").ok();
    if file.is_none() {
        skip("LAUNCH_TEST_KUBECONFIG is not set: no cluster to test with");
    }
    file
}

/// A namespace of a test's own, which goes when [`Cluster::remove`] is called.
#[derive(Clone)]
pub struct Cluster {
    /// What asks the cluster.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Makes a namespace whose name begins so.
    ///
    /// # Panics
    /// If the cluster does not answer.
    pub async fn open(kubeconfig: &str, prefix: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let client = Client::try_from(config.expect("a configuration")).expect("a client");
        let namespace = format!("{prefix}-{}", std::process::id());
        let cluster = Self { client, namespace };
        let object = json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": cluster.namespace}});
        cluster
            .create_at(&cluster.everywhere("Namespace"), object)
            .await;
        cluster
    }

    /// Removes the namespace and all there is in it.
    ///
    /// # Panics
    /// If the cluster does not answer.
    pub async fn remove(&self) {
        let api = self.everywhere("Namespace");
        let removed = api.delete(&self.namespace, &DeleteParams::default()).await;
        removed.expect("a namespace can be removed");
    }

    /// Objects of a kind in the namespace.
    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource(kind))
    }

    fn everywhere(&self, kind: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(kind))
    }

    async fn create_at(&self, api: &Api<DynamicObject>, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        // It may be there.
        if let Err(error) = api.create(&PostParams::default(), &object).await {
            assert!(error.to_string().contains("AlreadyExists"), "{error}");
        }
    }

    /// Makes `PyTorchJob` known to the cluster, with no controller behind it.
    ///
    /// # Panics
    /// If the cluster does not answer.
    pub async fn make_kind(&self) {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let object = json!({
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
        self.create_at(&self.everywhere("CustomResourceDefinition"), object)
            .await;
        let start = Instant::now();
        while self
            .api("PyTorchJob")
            .list(&ListParams::default())
            .await
            .is_err()
        {
            assert!(
                start.elapsed() < Duration::from_mins(1),
                "the kind is not served"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// All objects of a kind with a label.
    pub async fn list(&self, kind: &str, label: &str) -> Vec<DynamicObject> {
        let found = self
            .api(kind)
            .list(&ListParams::default().labels(label))
            .await;
        found.map(|list| list.items).unwrap_or_default()
    }

    /// Changes the status of an object, as its controller would; answers whether it could.
    pub async fn set_status(&self, kind: &str, name: &str, status: Value) -> bool {
        let patch = Patch::Merge(json!({ "status": status }));
        let params = PatchParams::default();
        self.api(kind)
            .patch_status(name, &params, &patch)
            .await
            .is_ok()
    }

    /// The value of a counter of the API server, summed over the series that `wanted`
    /// accepts.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn counter(&self, name: &str, wanted: impl Fn(&str) -> bool) -> u64 {
        let request = kube::core::Request::new("/").get("metrics", &GetParams::default());
        let mut request = request.expect("a request");
        *request.uri_mut() = "/metrics".parse().expect("a path");
        let text = self.client.request_text(request).await.expect("metrics");
        let series = text
            .lines()
            .filter(|line| line.starts_with(name) && wanted(line));
        let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        values.map(|value| value as u64).sum()
    }
}

/// The kinds the tests look at.
///
/// # Panics
/// For other kinds.
pub fn resource(kind: &str) -> ApiResource {
    let (group, version, plural) = match kind {
        "Job" => ("batch", "v1", "jobs"),
        "Secret" => ("", "v1", "secrets"),
        "Pod" => ("", "v1", "pods"),
        "Service" => ("", "v1", "services"),
        "ConfigMap" => ("", "v1", "configmaps"),
        "Namespace" => ("", "v1", "namespaces"),
        "CustomResourceDefinition" => ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
        "PyTorchJob" => ("kubeflow.org", "v1", "pytorchjobs"),
        other => panic!("no test knows {other}"),
    };
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}
