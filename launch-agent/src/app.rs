//! Assembly: settings in, adapters out. The one place that names every adapter.

use std::sync::Arc;
use std::time::Duration;

use launch_builder::Builder;
use launch_builder::plan::Plan;
use launch_config::agent::BuilderKind;
use launch_config::id::WorkerName;
use launch_config::image::Digest;
use launch_config::spec::Resource;
use launch_queue::QueueAdmin;
use launch_registry::Registry;
use launch_registry::hosted::HostedRegistry;
use launch_runner::Runner;
use tokio::sync::watch;

use crate::backend::Backend;
use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::flights::Flights;
use crate::server::Server;
use crate::settings::Settings;
use crate::wishes::Wishes;

/// Everything a job needs, composed.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) queue: Arc<dyn QueueAdmin>,
    /// Changes when something may have arrived, if the queue tells.
    pub(crate) arrivals: Option<watch::Receiver<u64>>,
    /// How long an idle agent waits before it asks again.
    pub(crate) poll: Duration,
    /// What the queue's server knows besides, if it has one.
    pub(crate) server: Option<Arc<dyn Server>>,
    /// How long a run that somebody asked to stop may take to end by itself.
    pub(crate) stop_grace: Duration,
    pub(crate) registry: Arc<dyn Registry>,
    /// The same, with the clouds' credentials in view.
    pub(crate) hosted: HostedRegistry,
    pub(crate) contexts: Contexts,
    pub(crate) flights: Flights,
    /// Wishes to cancel, for every job in flight.
    pub(crate) wishes: Arc<Wishes>,
    /// Who we are to the queue and to ourselves after a crash.
    pub(crate) worker: WorkerName,
    #[cfg(feature = "docker")]
    docker: Result<Docker, Failure>,
    #[cfg(feature = "process")]
    process: launch_runner::process::ProcessRunner,
    #[cfg(feature = "kubernetes")]
    kaniko: crate::kaniko::Kaniko,
    #[cfg(feature = "kubernetes")]
    kubernetes: launch_runner::kubernetes::KubernetesRunner,
    #[cfg(feature = "aws")]
    sagemaker: crate::clouds::Sagemaker,
    #[cfg(feature = "gcp")]
    vertex: crate::clouds::Vertex,
}

#[cfg(feature = "docker")]
#[derive(Debug)]
struct Docker {
    builder: launch_builder::docker::DockerBuilder,
    runner: launch_runner::docker::DockerRunner,
}

/// A command asked for what this program was built without.
#[cfg(not(all(
    feature = "sqlite",
    feature = "postgres",
    feature = "wandb",
    feature = "process",
    feature = "docker",
    feature = "kubernetes",
    feature = "aws",
    feature = "gcp"
)))]
pub(crate) fn feature_off(what: &str, feature: &str) -> Failure {
    Failure::usage(format!(
        "{what} needs the feature `{feature}`, which this program was built without"
    ))
    .with_hint(format!(
        "`cargo build --release --features {feature}`, or a released binary, has it"
    ))
}

impl App {
    /// Opens everything. Nothing is asked over the network yet.
    pub(crate) async fn build(settings: Settings) -> Result<Self, Failure> {
        let backend = Backend::open(&settings).await?;
        Self::build_on(settings, backend).await
    }

    /// Opens everything for a job that is launched by hand.
    pub(crate) async fn build_direct(settings: Settings) -> Result<Self, Failure> {
        let backend = Backend::open_direct(&settings).await?;
        Self::build_on(settings, backend).await
    }

    #[cfg_attr(
        not(feature = "kubernetes"),
        expect(
            clippy::unused_async,
            reason = "the same signature with and without the feature"
        )
    )]
    async fn build_on(settings: Settings, backend: Backend) -> Result<Self, Failure> {
        let state = settings.state.clone();
        state
            .create()
            .map_err(|error| Failure::doing("no state directory", &error))?;
        let hosted = HostedRegistry::builder().build()?;
        let registry: Arc<dyn Registry> = Arc::new(hosted.clone());
        Ok(Self {
            wishes: Wishes::new(Arc::clone(&backend.queue)),
            queue: backend.queue,
            arrivals: backend.arrivals,
            poll: backend.poll,
            server: backend.server,
            stop_grace: backend.stop_grace,
            #[cfg(feature = "kubernetes")]
            kaniko: crate::kaniko::connect(&settings, &registry).await,
            registry,
            hosted,
            contexts: Contexts::new(state.contexts()),
            flights: Flights::default(),
            worker: worker_name()?,
            #[cfg(feature = "docker")]
            docker: Docker::connect(&settings),
            #[cfg(feature = "process")]
            process: launch_runner::process::ProcessRunner::open(state.runs())?,
            #[cfg(feature = "kubernetes")]
            kubernetes: crate::kubernetes::runner(&settings)?,
            #[cfg(feature = "aws")]
            sagemaker: crate::clouds::sagemaker(&settings),
            #[cfg(feature = "gcp")]
            vertex: crate::clouds::vertex(&settings),
            settings,
        })
    }

    /// Opens the queue alone: all that `submit` and `queue` need.
    pub(crate) async fn open_queue(settings: &Settings) -> Result<Arc<dyn QueueAdmin>, Failure> {
        Ok(Backend::open(settings).await?.queue)
    }

    /// The runner of a resource, or what it would take to have one.
    #[cfg_attr(
        not(any(
            feature = "process",
            feature = "docker",
            feature = "kubernetes",
            feature = "aws",
            feature = "gcp"
        )),
        expect(clippy::unused_self, reason = "with no runner there is nothing to ask")
    )]
    pub(crate) fn runner(&self, resource: Resource) -> Result<&dyn Runner, Failure> {
        match resource {
            #[cfg(feature = "process")]
            Resource::LocalProcess => Ok(&self.process),
            #[cfg(not(feature = "process"))]
            Resource::LocalProcess => Err(feature_off("`local-process`", "process")),
            #[cfg(feature = "docker")]
            Resource::LocalContainer => Ok(&self.docker()?.runner),
            #[cfg(not(feature = "docker"))]
            Resource::LocalContainer => Err(feature_off("`local-container`", "docker")),
            #[cfg(feature = "kubernetes")]
            Resource::Kubernetes => Ok(&self.kubernetes),
            #[cfg(not(feature = "kubernetes"))]
            Resource::Kubernetes => Err(feature_off("`kubernetes`", "kubernetes")),
            #[cfg(feature = "aws")]
            Resource::Sagemaker => Ok(&self.sagemaker),
            #[cfg(not(feature = "aws"))]
            Resource::Sagemaker => Err(feature_off("`sagemaker`", "aws")),
            #[cfg(feature = "gcp")]
            Resource::Vertex => Ok(&self.vertex),
            #[cfg(not(feature = "gcp"))]
            Resource::Vertex => Err(feature_off("`vertex`", "gcp")),
            other => Err(Failure::usage(format!(
                "resource `{other}` is not supported by this version"
            ))
            .with_hint(
                "`local-process`, `local-container`, `kubernetes`, `sagemaker` and `vertex` are",
            )),
        }
    }

    /// The runner with this name, as handles carry it.
    pub(crate) fn runner_named(&self, name: &str) -> Result<&dyn Runner, Failure> {
        match name {
            "process" => self.runner(Resource::LocalProcess),
            "docker" => self.runner(Resource::LocalContainer),
            "kubernetes" => self.runner(Resource::Kubernetes),
            "sagemaker" => self.runner(Resource::Sagemaker),
            "vertex" => self.runner(Resource::Vertex),
            other => Err(Failure::usage(format!(
                "there is no runner `{other}` in this version"
            ))),
        }
    }

    /// The builder of a kind.
    #[cfg_attr(
        not(any(feature = "docker", feature = "kubernetes")),
        expect(
            clippy::unused_self,
            reason = "with no builder there is nothing to ask"
        )
    )]
    pub(crate) fn builder(&self, kind: BuilderKind) -> Result<Arc<dyn Builder>, Failure> {
        match kind {
            BuilderKind::Noop => Ok(Arc::new(launch_builder::noop::NoopBuilder::new())),
            #[cfg(not(feature = "kubernetes"))]
            BuilderKind::Kaniko => Err(feature_off("builder `kaniko`", "kubernetes")),
            #[cfg(feature = "docker")]
            BuilderKind::Docker => Ok(Arc::new(self.docker()?.builder.clone())),
            #[cfg(not(feature = "docker"))]
            BuilderKind::Docker => Err(feature_off("builder `docker`", "docker")),
            #[cfg(feature = "kubernetes")]
            BuilderKind::Kaniko => Ok(Arc::new(self.kaniko()?.clone())),
            other => Err(Failure::usage(
                format!("builder `{other:?}` is not supported by this version").to_lowercase(),
            )
            .with_hint("`docker`, `kaniko` and `noop` are")),
        }
    }

    /// The builder in the cluster, if the settings name it.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn kaniko(&self) -> Result<&launch_builder::kaniko::KanikoBuilder, Failure> {
        let missing = || Failure::usage("builder `kaniko` is not the one of the settings");
        match &self.kaniko {
            Some(kaniko) => kaniko.as_ref().map_err(Clone::clone),
            None => Err(missing().with_hint("set `builder.type` in the agent file")),
        }
    }

    /// Waits until what cancelled builds left in the cluster is gone.
    #[cfg(feature = "kubernetes")]
    pub(crate) async fn settle(&self) {
        crate::kaniko::settle(&self.kaniko).await;
    }

    /// Builds leave nothing elsewhere.
    #[cfg(not(feature = "kubernetes"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    pub(crate) async fn settle(&self) {}

    /// Removes what an earlier build of an image that was found may have left.
    #[cfg(feature = "kubernetes")]
    pub(crate) async fn clean_up(&self, request: &launch_builder::BuildRequest) {
        if let Some(Ok(kaniko)) = &self.kaniko
            && let Err(error) = kaniko.clean_up(request).await
        {
            tracing::warn!(
                error = crate::failure::one_line(&error),
                "an earlier build may have left something"
            );
        }
    }

    /// Builds leave nothing elsewhere.
    #[cfg(not(feature = "kubernetes"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    pub(crate) async fn clean_up(&self, _request: &launch_builder::BuildRequest) {}

    /// The builder of a kind, with every step run anew.
    pub(crate) fn builder_without_cache(
        &self,
        kind: BuilderKind,
    ) -> Result<Arc<dyn Builder>, Failure> {
        #[cfg(feature = "docker")]
        if kind == BuilderKind::Docker {
            return Ok(Arc::new(self.docker()?.builder.clone().without_cache()));
        }
        self.builder(kind)
    }

    #[cfg(feature = "docker")]
    fn docker(&self) -> Result<&Docker, Failure> {
        self.docker.as_ref().map_err(Clone::clone)
    }

    /// Why no Docker Engine can be used now; `None` if one can.
    #[cfg(feature = "docker")]
    pub(crate) async fn docker_missing(&self) -> Option<String> {
        match self.docker() {
            Ok(docker) => docker
                .builder
                .check()
                .await
                .err()
                .map(|error| error.to_string()),
            Err(failure) => failure.chain.into_iter().next(),
        }
    }

    /// Why no Docker Engine can be used now.
    #[cfg(not(feature = "docker"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    pub(crate) async fn docker_missing(&self) -> Option<String> {
        Some("this program was built without the feature `docker`".to_owned())
    }

    /// What a base image stands for with the Docker Engine; `None` if that cannot get it.
    #[cfg(feature = "docker")]
    async fn base_digest(&self, image: &str) -> Option<Digest> {
        let (docker, image) = (self.docker().ok()?, image.parse().ok()?);
        docker.builder.base_digest(&image).await.ok().flatten()
    }

    /// What a base image stands for.
    #[cfg(not(feature = "docker"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    async fn base_digest(&self, _image: &str) -> Option<Digest> {
        None
    }

    /// The plan with what its bases stand for now, as far as an engine can tell: a base that
    /// moved is another image, under another tag.
    pub(crate) async fn with_bases(&self, mut plan: Plan) -> Plan {
        if self.docker_missing().await.is_some() {
            return plan;
        }
        for base in plan.bases.clone() {
            if let Some(digest) = self.base_digest(&base.reference).await {
                plan = plan.with_base_digest(&base.reference, digest);
            }
        }
        plan
    }
}

#[cfg(feature = "docker")]
impl Docker {
    /// Where no engine is, this fails, and the agent goes on without.
    fn connect(settings: &Settings) -> Result<Self, Failure> {
        let config = &settings.config.builder;
        let mut builder = launch_builder::docker::DockerBuilder::connect()?
            .with_cache_from(config.cache_from.iter().cloned());
        if config.inline_cache {
            builder = builder.with_inline_cache();
        }
        // The state directory owns what runs for it: another one leaves it alone.
        let owner = settings.state.path().display().to_string();
        let runner = launch_runner::docker::DockerRunner::connect(owner)?;
        Ok(Self { builder, runner })
    }
}

/// `<host>.<pid>-<chance>`: another process never has it, also after a reboot.
fn worker_name() -> Result<WorkerName, Failure> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let fine = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '-'
        }
    };
    let host: String = host.chars().take(64).map(fine).collect();
    let mut chance = [0; 4];
    getrandom::fill(&mut chance)
        .map_err(|error| Failure::usage(format!("no random numbers: {error}")))?;
    let name = format!(
        "{host}.{}-{:08x}",
        std::process::id(),
        u32::from_be_bytes(chance)
    );
    name.parse()
        .map_err(|error| Failure::doing("no worker name", &error))
}
