//! Runs as containers of a Docker Engine.
//!
//! A run is one container, named after its key and labelled with job, attempt and owner.
//! The engine keeps it when we die, and after its end, until [`Run::clean_up`].
//!
//! What a queue may ask for in `resource_args` are options of `docker run`, with the meaning
//! they have there; those that reach out of the container (`volume`, `network`) have to pass
//! the agent's policy, which refuses them by default. Variables travel through the API, never on
//! a command line; whoever may talk to the engine can read them there.
//!
//! Decisions:
//! - The container gets an init (as `docker run --init`), unless the image or the command
//!   starts one of its own: otherwise most programs would not hear SIGTERM as process 1.
//! - A queue may name the container. Then one run at a time can have it; the others are
//!   refused as long as it is there.
//! - A W&B server at `localhost` is reached through the network of the host.
//! - Its log is kept by the engine's `json-file` driver, without rotation, so that all
//!   output is there for whoever asks. Docker ends a last line that has no newline with
//!   one, and replaces bytes that are not UTF-8.
//! - That a run was cancelled is kept in a volume beside it, `<name>.cancelled`. Pruning
//!   volumes while runs are there makes cancelled runs look like failed ones.
//! - Two submits at once: who made the container starts it. Another, who finds it made and
//!   not started, waits some seconds for that, then takes the maker for dead and starts it.

mod container;
mod failure;
mod image;
mod marker;
mod options;
mod output;
mod run;
mod server;
mod start;
mod value;
mod watch;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListVolumesOptionsBuilder};
use launch_config::id::RunKey;

use self::container::Container;
pub use self::container::{ATTEMPT_LABEL, JOB_LABEL, OWNER_LABEL};
use self::failure::{answered, backend, unavailable};
use self::run::DockerRun;
pub use self::server::Host;
#[cfg(doc)]
use crate::run::Run as _;
use crate::run::{Run, RunHandle, RunRequest};
use crate::{Error, Runner};

/// What handles of this runner say.
const NAME: &str = "docker";
/// How long [`Runner::check`] waits for the engine.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// The container the engine is asked for, as `{"name", "platform", "body"}`: the body is that
/// of `POST /containers/create`, but for the labels that name the run and its owner, and for
/// the init, which depends on the image.
///
/// # Errors
/// What the request asks for that a container cannot have.
pub fn container(request: &RunRequest, host: Host) -> Result<serde_json::Value, String> {
    let Container {
        name,
        platform,
        body,
    } = Container::of(request, host)?;
    Ok(serde_json::json!({"name": name, "platform": platform, "body": body}))
}

/// Runs jobs as containers.
///
/// ```no_run
/// use launch_runner::Runner as _;
/// use launch_runner::docker::DockerRunner;
///
/// # async fn example() -> Result<(), launch_runner::Error> {
/// let runner = DockerRunner::connect("agent-1")?;
/// runner.check().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DockerRunner {
    docker: Docker,
    owner: String,
}

impl DockerRunner {
    /// Speaks to the engine at `DOCKER_HOST`, else at the default socket; what it makes
    /// is labelled with `owner`. Nothing is asked of the engine yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no such socket, or the address is not one.
    pub fn connect(owner: impl Into<String>) -> Result<Self, Error> {
        let docker = Docker::connect_with_defaults().map_err(unavailable)?;
        Ok(Self::with(docker, owner))
    }

    /// Speaks to the engine `docker` is connected to.
    pub fn with(docker: Docker, owner: impl Into<String>) -> Self {
        Self {
            docker,
            owner: owner.into(),
        }
    }

    /// The run with this container; its name is the run's, or given by the queue.
    fn run(&self, key: RunKey, name: String) -> DockerRun {
        DockerRun {
            docker: self.docker.clone(),
            owner: self.owner.clone(),
            handle: RunHandle::new(NAME, key, name),
        }
    }

    async fn list_owned(&self) -> Result<Vec<RunKey>, EngineError> {
        let filters = HashMap::from([("label", vec![format!("{OWNER_LABEL}={}", self.owner)])]);
        let containers = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let containers = answered(self.docker.list_containers(Some(containers))).await?;
        let volumes = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let volumes = answered(self.docker.list_volumes(Some(volumes))).await?;
        let of_containers = containers
            .into_iter()
            .filter_map(|container| container.labels);
        let of_volumes = volumes
            .volumes
            .into_iter()
            .flatten()
            .map(|volume| volume.labels);
        let labels = of_containers.chain(of_volumes);
        let keys: HashSet<RunKey> = labels
            .filter_map(|labels| container::key_of(&labels))
            .collect();
        Ok(keys.into_iter().collect())
    }
}

impl fmt::Display for DockerRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("containers of a Docker Engine")
    }
}

#[async_trait]
impl Runner for DockerRunner {
    async fn check(&self) -> Result<(), Error> {
        tokio::time::timeout(CHECK_TIMEOUT, self.docker.ping())
            .await
            .unwrap_or(Err(EngineError::RequestTimeoutError))
            .map(drop)
            .map_err(unavailable)
    }

    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error> {
        let refused = |why| Error::Refused {
            runner: NAME,
            key: request.key.clone(),
            why,
        };
        let container = Container::of(&request, Host::here()).map_err(refused)?;
        let run = self.run(request.key.clone(), container.name);
        // It holds the whole conversation with the engine.
        Box::pin(start::submit(&run, request)).await?;
        Ok(Box::new(run))
    }

    async fn attach(&self, handle: &RunHandle) -> Result<Box<dyn Run>, Error> {
        let key = handle.key.clone();
        if handle.runner != NAME {
            return Err(Error::Handle {
                key,
                runner: handle.runner.clone(),
            });
        }
        let run = self.run(key, handle.id.clone());
        let key = &run.handle.key;
        let found = run
            .find()
            .await
            .map_err(|error| backend("find", key, error))?;
        let marked = found.is_none() && run.is_cancelled().await?;
        if marked || found.is_some_and(|found| start::is_of(&found, key)) {
            return Ok(Box::new(run));
        }
        Err(Error::Lost(key.clone()))
    }

    async fn owned(&self) -> Result<Vec<RunKey>, Error> {
        self.list_owned().await.map_err(unavailable)
    }
}
