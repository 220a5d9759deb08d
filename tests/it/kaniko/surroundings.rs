//! A namespace, a bucket and a repository of one test's own, and a look at what is there.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use launch_builder::kaniko::kube::api::{
    ApiResource, DeleteParams, DynamicObject, ListParams, PostParams,
};
use launch_builder::kaniko::kube::config::{KubeConfigOptions, Kubeconfig};
use launch_builder::kaniko::kube::core::GroupVersionKind;
use launch_builder::kaniko::kube::{Api, Client, Config, ResourceExt as _};
use launch_tests::skip;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Any signature of the right form is let in by moto.
const SIGNATURE: &str = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/\
                         aws4_request, SignedHeaders=host, Signature=none\r\n";
const TAG_LENGTH: usize = 64;

pub(super) struct Surroundings {
    pub(super) endpoint: String,
    pub(super) kubeconfig: String,
    pub(super) base: String,
    registry: String,
    executor: String,
    /// Of the namespace, the bucket and the repository.
    name: String,
    runtime: Runtime,
    client: Client,
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(&format!("{name} is not set"));
    }
    value
}

impl Surroundings {
    pub(super) fn make(test: &str) -> Option<Self> {
        if !launch_tests::has_docker() {
            return None;
        }
        let kubeconfig = variable("LAUNCH_TEST_KUBECONFIG")?;
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(connect(&kubeconfig));
        let around = Self {
            endpoint: variable("LAUNCH_TEST_AWS_ENDPOINT")?,
            base: variable("LAUNCH_TEST_KANIKO_BASE")?,
            registry: variable("LAUNCH_TEST_REGISTRY")?,
            executor: variable("LAUNCH_TEST_KANIKO")?,
            name: format!("kaniko-agent-{test}-{}", std::process::id()),
            kubeconfig,
            runtime,
            client,
        };
        let namespace = json!({"metadata": {"name": around.name}});
        around.wait(async {
            let namespace = serde_json::from_value(namespace).unwrap();
            let all = around.all("", "Namespace", "namespaces");
            all.create(&PostParams::default(), &namespace)
                .await
                .unwrap()
        });
        let (status, _) = around.ask_store("PUT");
        assert_eq!(status, 200);
        Some(around)
    }

    /// The agent file: builds here, with contexts in the bucket.
    pub(super) fn agent_file(&self) -> String {
        let env = |name: &str, value: &str| json!({"name": name, "value": value});
        let env = [
            env("AWS_ENDPOINT_URL", &self.endpoint),
            env("AWS_ACCESS_KEY_ID", "test"),
            env("AWS_REGION", "us-east-1"),
        ];
        let container = json!({"env": env, "imagePullPolicy": "Never"});
        let pod = json!({"hostNetwork": true, "containers": [container]});
        let config = json!({
            "metadata": {"namespace": self.name},
            "spec": {"template": {"spec": pod}},
        });
        let builder = json!({
            "type": "kaniko",
            "destination": format!("{}/{}", self.registry, self.name),
            "build-context-store": format!("s3://{}/contexts", self.name),
            "kaniko-image": self.executor,
            "kaniko-config": config,
        });
        json!({"environment": {"type": "aws", "region": "us-east-1"}, "builder": builder})
            .to_string()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn all(&self, group: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &resource(group, kind, plural))
    }

    fn objects(&self, group: &str, kind: &str, plural: &str) -> Vec<DynamicObject> {
        let resource = resource(group, kind, plural);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.name, &resource);
        self.wait(api.list(&ListParams::default())).unwrap().items
    }

    /// The uids of the Jobs there are.
    pub(super) fn jobs(&self) -> Vec<String> {
        let jobs = self.objects("batch", "Job", "jobs");
        jobs.iter().filter_map(DynamicObject::uid).collect()
    }

    /// Whether a build's pod runs.
    pub(super) fn is_building(&self) -> bool {
        let pods = self.objects("", "Pod", "pods");
        pods.iter()
            .any(|pod| pod.data["status"]["phase"] == "Running")
    }

    /// The keys of contexts in the bucket.
    pub(super) fn contexts(&self) -> Vec<String> {
        let (_, text) = self.ask_store("GET");
        let parts = text.split("<Key>").skip(1);
        parts
            .map(|part| part.split('<').next().unwrap().to_owned())
            .collect()
    }

    /// Neither Job nor pod nor Secret nor context.
    pub(super) fn is_empty(&self) -> bool {
        let secrets = self.objects("", "Secret", "secrets");
        let ours = |secret: &DynamicObject| secret.labels().get("wandb").is_some();
        self.jobs().is_empty()
            && self.objects("", "Pod", "pods").is_empty()
            && !secrets.iter().any(ours)
            && self.contexts().is_empty()
    }

    /// The digests of the images that were pushed; cached layers are none.
    pub(super) fn digests(&self) -> Vec<String> {
        let path = format!("/v2/{}/tags/list", self.name);
        let (_, text) = ask(&self.registry, "GET", &path, "");
        let tags: Value = serde_json::from_str(&text).unwrap_or_default();
        let tags = tags["tags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        // The stand-in tags layers like images; an image has a layer more than its base.
        let digests = tags
            .filter(|tag| tag.len() == TAG_LENGTH)
            .filter_map(|tag| {
                let path = format!("/v2/{}/manifests/{tag}", self.name);
                let accept = "Accept: application/vnd.oci.image.manifest.v1+json\r\n";
                let (head, text) = exchange(&self.registry, "GET", &path, accept);
                let manifest: Value = serde_json::from_str(&text).ok()?;
                let is_image = manifest["layers"].as_array()?.len() > 1;
                let digest = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("docker-content-digest")
                        .then(|| value.trim().to_owned())
                })?;
                is_image.then_some(digest)
            });
        digests.collect()
    }

    fn ask_store(&self, verb: &str) -> (u16, String) {
        let host = self.endpoint.trim_start_matches("http://");
        ask(host, verb, &format!("/{}/", self.name), SIGNATURE)
    }

    /// Ends what the test made.
    pub(super) fn remove(&self) {
        let namespaces = self.all("", "Namespace", "namespaces");
        let removed = self.wait(namespaces.delete(&self.name, &DeleteParams::default()));
        assert!(removed.is_ok());
    }
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
}

async fn connect(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

fn ask(host: &str, verb: &str, path: &str, headers: &str) -> (u16, String) {
    let (head, body) = exchange(host, verb, path, headers);
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// One request over plain HTTP; answers head and body.
fn exchange(host: &str, verb: &str, path: &str, headers: &str) -> (String, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    let head =
        format!("{verb} {path} HTTP/1.0\r\nHost: {host}\r\n{headers}Content-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}
