//! Assembly: settings in, adapters out. The one place that names every adapter.

use std::sync::Arc;

use launch_builder::Builder;
use launch_config::agent::BuilderKind;
use launch_config::id::WorkerName;
use launch_config::spec::Resource;
use launch_queue::QueueAdmin;
use launch_registry::Registry;
use launch_runner::Runner;

use crate::contexts::Contexts;
use crate::failure::Failure;
use crate::flights::Flights;
use crate::settings::Settings;

/// Everything a job needs, composed.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) queue: Arc<dyn QueueAdmin>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) contexts: Contexts,
    pub(crate) flights: Flights,
    /// Who we are to the queue and to ourselves after a crash.
    pub(crate) worker: WorkerName,
    #[cfg(feature = "docker")]
    docker: Result<Docker, Failure>,
    #[cfg(feature = "process")]
    process: launch_runner::process::ProcessRunner,
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
    feature = "process",
    feature = "docker",
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
        let state = settings.state.clone();
        state
            .create()
            .map_err(|error| Failure::doing("no state directory", &error))?;
        Ok(Self {
            queue: Self::open_queue(&settings).await?,
            registry: Arc::new(launch_registry::oci::OciRegistry::builder().build()?),
            contexts: Contexts::new(state.contexts()),
            flights: Flights::default(),
            worker: worker_name()?,
            #[cfg(feature = "docker")]
            docker: Docker::connect(&settings),
            #[cfg(feature = "process")]
            process: launch_runner::process::ProcessRunner::open(state.runs())?,
            #[cfg(feature = "aws")]
            sagemaker: crate::clouds::sagemaker(&settings),
            #[cfg(feature = "gcp")]
            vertex: crate::clouds::vertex(&settings),
            settings,
        })
    }

    /// Opens the queue alone: all that `submit` and `queue` need.
    #[cfg(feature = "sqlite")]
    pub(crate) async fn open_queue(settings: &Settings) -> Result<Arc<dyn QueueAdmin>, Failure> {
        settings.state.create()?;
        let path = settings
            .config
            .backend
            .path
            .clone()
            .unwrap_or_else(|| settings.state.queue());
        Ok(Arc::new(
            launch_queue::sqlite::SqliteQueue::open(path).await?,
        ))
    }

    /// Says that there is no queue in this program.
    #[cfg(not(feature = "sqlite"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    pub(crate) async fn open_queue(_settings: &Settings) -> Result<Arc<dyn QueueAdmin>, Failure> {
        Err(feature_off("the embedded queue", "sqlite"))
    }

    /// The runner of a resource, or what it would take to have one.
    #[cfg_attr(
        not(any(
            feature = "process",
            feature = "docker",
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
            .with_hint("`local-process`, `local-container`, `sagemaker` and `vertex` are")),
        }
    }

    /// The runner with this name, as handles carry it.
    pub(crate) fn runner_named(&self, name: &str) -> Result<&dyn Runner, Failure> {
        match name {
            "process" => self.runner(Resource::LocalProcess),
            "docker" => self.runner(Resource::LocalContainer),
            "sagemaker" => self.runner(Resource::Sagemaker),
            "vertex" => self.runner(Resource::Vertex),
            other => Err(Failure::usage(format!(
                "there is no runner `{other}` in this version"
            ))),
        }
    }

    /// The builder of a kind.
    #[cfg_attr(
        not(feature = "docker"),
        expect(
            clippy::unused_self,
            reason = "with no builder there is nothing to ask"
        )
    )]
    pub(crate) fn builder(&self, kind: BuilderKind) -> Result<Arc<dyn Builder>, Failure> {
        match kind {
            BuilderKind::Noop => Ok(Arc::new(launch_builder::noop::NoopBuilder::new())),
            #[cfg(feature = "docker")]
            BuilderKind::Docker => Ok(Arc::new(self.docker()?.builder.clone())),
            #[cfg(not(feature = "docker"))]
            BuilderKind::Docker => Err(feature_off("builder `docker`", "docker")),
            other => Err(Failure::usage(
                format!("builder `{other:?}` is not supported by this version").to_lowercase(),
            )
            .with_hint("`docker` and `noop` are")),
        }
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

    /// Whether the Docker Engine has a base image or can get it.
    #[cfg(feature = "docker")]
    pub(crate) async fn has_base(&self, image: &str) -> bool {
        match (self.docker(), image.parse()) {
            (Ok(docker), Ok(image)) => docker.builder.base_available(&image).await.unwrap_or(false),
            _ => false,
        }
    }

    /// Whether the Docker Engine has a base image or can get it.
    #[cfg(not(feature = "docker"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    pub(crate) async fn has_base(&self, _image: &str) -> bool {
        false
    }
}

#[cfg(feature = "docker")]
impl Docker {
    /// Where no engine is, this fails, and the agent goes on without.
    fn connect(settings: &Settings) -> Result<Self, Failure> {
        let builder = launch_builder::docker::DockerBuilder::connect()?;
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
