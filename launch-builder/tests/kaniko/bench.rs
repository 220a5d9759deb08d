//! A namespace of the cluster, a bucket and a repository of one test's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use launch_builder::event::Events;
use launch_builder::kaniko::{ContextStore, KanikoBuilder, KanikoSettings};
use launch_builder::plan::{BuildSpec, Plan, plan};
use launch_builder::source::SourceTree;
use launch_builder::{BuildRequest, Builder, Delivery, conformance, context};
use launch_config::image::{Digest, ImageRef};
use serde_json::{Value, json};

use super::http::ask;
use super::store::Bucket;

/// A finished build's Job, its pods and its Secret are gone after so long.
const GONE: Duration = Duration::from_mins(2);
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a part of the surroundings told; without it the test is skipped.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!is_ci, "{name} is not set");
        #[expect(clippy::print_stdout, reason = "a skipped test says so")]
        {
            println!("skipped: {name} is not set");
        }
    }
    value
}

pub(crate) struct Bench {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) settings: KanikoSettings,
    pub(crate) builder: KanikoBuilder,
    repository: ImageRef,
    base: ImageRef,
    bucket: Bucket,
    store: Arc<dyn ContextStore>,
}

impl Bench {
    /// A bench named after its test.
    pub(crate) async fn start(name: &str) -> Option<Self> {
        let kubeconfig = variable("LAUNCH_TEST_KUBECONFIG")?;
        let endpoint = variable("LAUNCH_TEST_AWS_ENDPOINT")?;
        let registry = variable("LAUNCH_TEST_REGISTRY")?;
        let executor = variable("LAUNCH_TEST_KANIKO")?;
        let base = variable("LAUNCH_TEST_KANIKO_BASE")?;
        let name = name.replace('_', "-");
        let namespace = format!("kaniko-{name}-{}", std::process::id());
        let client = connect(&kubeconfig).await;
        make_namespace(&client, &namespace).await;
        let bucket = Bucket::make(&endpoint, &namespace).await;
        let settings = KanikoSettings::new()
            .with_namespace(&namespace)
            .with_image(executor)
            .with_config(config(&endpoint));
        let store: Arc<dyn ContextStore> = Arc::new(bucket.clone());
        let builder = KanikoBuilder::with(client.clone(), settings.clone(), Arc::clone(&store));
        Some(Self {
            repository: format!("{registry}/{namespace}").parse().unwrap(),
            base: base.parse().unwrap(),
            client,
            namespace,
            settings,
            builder,
            bucket,
            store,
        })
    }

    pub(crate) fn push_to(&mut self, repository: &str) {
        self.repository = repository.parse().unwrap();
    }

    pub(crate) fn use_settings(&mut self, settings: KanikoSettings) {
        self.settings = settings.clone();
        self.builder = KanikoBuilder::with(self.client.clone(), settings, Arc::clone(&self.store));
    }

    pub(crate) fn use_store(&mut self, store: Arc<dyn ContextStore>) {
        self.store = store;
        self.use_settings(self.settings.clone());
    }

    /// The digest a registry without logins has for an image.
    pub(crate) async fn digest(&self, image: &ImageRef) -> Option<String> {
        let path = format!("/v2/{}/manifests/{}", image.repository(), image.reference());
        let answer = ask(
            "GET",
            image.host(),
            &path,
            &[("Accept", MANIFEST)],
            Vec::new(),
        )
        .await;
        let digest = answer.header("Docker-Content-Digest").map(str::to_owned);
        digest.filter(|_| answer.status == 200)
    }

    pub(crate) async fn contexts(&self) -> Vec<String> {
        self.bucket.keys().await
    }

    pub(crate) async fn jobs(&self) -> Vec<Job> {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &self.namespace);
        jobs.list(&ListParams::default()).await.unwrap().items
    }

    /// No Job, no pod, no Secret of ours, no context; then the namespace goes as well.
    pub(crate) async fn assert_nothing_left(&self) {
        self.builder.settle().await;
        assert_eq!(self.contexts().await, [""; 0], "contexts are left");
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let ours = ListParams::default().labels("wandb=launch");
        let end = tokio::time::Instant::now() + GONE;
        loop {
            let jobs = self.jobs().await.len();
            let pods = pods.list(&ListParams::default()).await.unwrap().items.len();
            let secrets = secrets.list(&ours).await.unwrap().items.len();
            if jobs + pods + secrets == 0 {
                break;
            }
            let left = format!("left: {jobs} Jobs, {pods} pods, {secrets} Secrets");
            assert!(tokio::time::Instant::now() < end, "{left}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// A directory of this machine as a volume with a claim.
    pub(crate) async fn make_volume(&self, directory: &Path) -> String {
        let name = &self.namespace;
        let common = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": ""});
        let mut volume = common.clone();
        volume["capacity"] = json!({"storage": "1Gi"});
        volume["hostPath"] = json!({"path": directory});
        let volume = json!({"metadata": {"name": name}, "spec": volume});
        let mut claim = common;
        claim["resources"] = json!({"requests": {"storage": "1Gi"}});
        claim["volumeName"] = json!(name);
        let claim = json!({"metadata": {"name": "contexts"}, "spec": claim});
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let volume = serde_json::from_value(volume).unwrap();
        volumes
            .create(&PostParams::default(), &volume)
            .await
            .unwrap();
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), name);
        let claim = serde_json::from_value(claim).unwrap();
        claims.create(&PostParams::default(), &claim).await.unwrap();
        "contexts".to_owned()
    }

    pub(crate) async fn remove_volume(&self) {
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        volumes
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .unwrap();
    }
}

async fn connect(kubeconfig: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

async fn make_namespace(client: &Client, name: &str) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

/// The fragment that lets the stand-in reach this machine's moto and registry.
fn config(endpoint: &str) -> serde_json::Map<String, Value> {
    let env = |name: &str, value: &str| json!({"name": name, "value": value});
    let env = [
        env("AWS_ENDPOINT_URL", endpoint),
        env("AWS_ACCESS_KEY_ID", "test"),
        env("AWS_REGION", "us-east-1"),
    ];
    let container = json!({"env": env, "imagePullPolicy": "Never"});
    let pod = json!({"hostNetwork": true, "containers": [container]});
    let config = json!({"spec": {"template": {"spec": pod}}});
    config.as_object().unwrap().clone()
}

#[async_trait]
impl conformance::Bench for Bench {
    fn builder(&self) -> &dyn Builder {
        &self.builder
    }

    fn base(&self) -> ImageRef {
        self.base.clone()
    }

    fn is_local(&self) -> bool {
        false
    }

    fn repository(&self) -> Option<ImageRef> {
        Some(self.repository.clone())
    }

    async fn holds(&self, image: &ImageRef) -> bool {
        self.digest(image).await.is_some()
    }

    async fn forget(&self, image: &ImageRef) {
        if let Some(digest) = self.digest(image).await {
            let path = format!("/v2/{}/manifests/{digest}", image.repository());
            ask("DELETE", image.host(), &path, &[], Vec::new()).await;
        }
    }
}

/// A small project whose content nobody has built before.
pub(crate) struct Project {
    _directory: tempfile::TempDir,
    plan: Plan,
    context: Digest,
    pub(crate) image: ImageRef,
    run: Option<String>,
}

impl Project {
    pub(crate) fn new(bench: &Bench, steps: &str, arguments: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let unique = directory.path().display().to_string();
        fs_err::write(directory.path().join("content.txt"), unique).unwrap();
        let dockerfile = format!("FROM {}\nCOPY . /job/\n{steps}\n", bench.base);
        fs_err::write(directory.path().join("Dockerfile"), dockerfile).unwrap();
        let mut spec = BuildSpec::new().with_dockerfile("Dockerfile");
        for (name, value) in arguments {
            spec = spec.with_build_arg(*name, *value);
        }
        let plan = plan(&SourceTree::open(directory.path()).unwrap(), &spec).unwrap();
        let hashed = context::hash(&plan.context, &plan.context_options(), &Events::silent());
        let context = hashed.unwrap().digest;
        let image = bench.repository.with_tag(&plan.tag(context)).unwrap();
        Self {
            _directory: directory,
            plan,
            context,
            image,
            run: None,
        }
    }

    pub(crate) fn for_run(mut self, run: &str) -> Self {
        self.run = Some(run.to_owned());
        self
    }

    pub(crate) fn request(&self) -> BuildRequest {
        let request = BuildRequest::new(self.plan.clone(), self.image.clone());
        let request = request
            .with_context(self.context)
            .with_delivery(Delivery::Registry);
        match &self.run {
            Some(run) => request.with_id(run),
            None => request,
        }
    }
}
