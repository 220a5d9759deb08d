//! From a request to a container that runs: once.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use launch_config::id::RunKey;
use tokio::time::Instant;

use super::container::{self, Container, Stand, key_of};
use super::failure::{answered, backend, refusal, status};
use super::image::Wanted;
use super::run::DockerRun;
use super::server::Host;
use super::{NAME, image};
use crate::Error;
use crate::run::{RunRequest, Workload};

/// How long whoever made a container may take to start it, before others do.
const MAKER_PATIENCE: Duration = Duration::from_secs(10);
/// How long we try while somebody else makes and removes the same container.
const OTHERS_PATIENCE: Duration = Duration::from_mins(1);
/// How soon we look again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long starting may take: the engine sets up network and devices.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// Finds the container of a request, or makes and starts it.
pub(super) async fn submit(run: &DockerRun, request: RunRequest) -> Result<(), Error> {
    // What was seen changes only if somebody else acts at the same time; their name for the
    // container may be taken before the container is there to be seen.
    let deadline = Instant::now() + OTHERS_PATIENCE;
    while Instant::now() < deadline {
        match run
            .find()
            .await
            .map_err(|error| run.failed("find", error))?
        {
            Some(found) => {
                check_ours(run, &found)?;
                if container::stand(&found) != Stand::Created || wait_for_maker(run).await? {
                    return Ok(());
                }
                tracing::info!(key = %run.handle.key, "starting a container its maker left");
                if start(run).await? {
                    return Ok(());
                }
            }
            None if run.is_cancelled().await? => return Ok(()),
            None => {
                if create(run, request.clone()).await? && start(run).await? {
                    return Ok(());
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    let busy = "its container comes and goes: somebody else acts on it";
    Err(Error::Backend {
        runner: NAME,
        action: "start",
        key: run.handle.key.clone(),
        source: busy.into(),
    })
}

/// Whether a container is the one of this run, whoever owns it now.
pub(super) fn is_of(found: &ContainerInspectResponse, key: &RunKey) -> bool {
    let labels = found
        .config
        .as_ref()
        .and_then(|config| config.labels.as_ref());
    labels.and_then(key_of).as_ref() == Some(key)
}

fn check_ours(run: &DockerRun, found: &ContainerInspectResponse) -> Result<(), Error> {
    if is_of(found, &run.handle.key) {
        return Ok(());
    }
    Err(refused(
        run,
        format!(
            "the engine has a container `{}` that is not of this run; wait for its end, remove or \
             rename it",
            run.handle.id
        ),
    ))
}

fn refused(run: &DockerRun, why: String) -> Error {
    Error::Refused {
        runner: NAME,
        key: run.handle.key.clone(),
        why,
    }
}

/// Waits for a made container to be started. `false`: its maker seems to be dead.
async fn wait_for_maker(run: &DockerRun) -> Result<bool, Error> {
    let deadline = Instant::now() + MAKER_PATIENCE;
    while Instant::now() < deadline {
        let found = run
            .find()
            .await
            .map_err(|error| run.failed("find", error))?;
        // Gone counts as dead: then there is nothing to start, and the caller looks again.
        let Some(found) = found else { return Ok(false) };
        if container::stand(&found) != Stand::Created || run.is_cancelled().await? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}

/// Makes the container. `false`: another did.
async fn create(run: &DockerRun, request: RunRequest) -> Result<bool, Error> {
    let container = Container::of(&request, Host::here()).map_err(|why| refused(run, why))?;
    let platform = container.platform.clone();
    let RunRequest {
        workload, refresh, ..
    } = request;
    let Workload::Image { image, pull } = workload else {
        return Ok(false);
    };
    let wanted = Wanted {
        image: &image,
        credentials: pull.as_ref(),
        platform: platform.as_deref(),
        refresh,
    };
    let local = image::ensure(&run.docker, &wanted).await?;
    let mut query = CreateContainerOptionsBuilder::new().name(&run.handle.id);
    if let Some(platform) = &platform {
        query = query.platform(platform);
    }
    let body = container.for_run(&run.handle.key, &run.owner, local.has_init());
    match answered(run.docker.create_container(Some(query.build()), body)).await {
        Ok(made) => {
            for warning in made.warnings {
                tracing::warn!(key = %run.handle.key, warning, "the engine warns");
            }
            Ok(true)
        }
        Err(error) if status(&error) == Some(409) => Ok(false),
        Err(error) => Err(match refusal(&error) {
            Some(why) => refused(run, why.to_owned()),
            None => backend("create", &run.handle.key, error),
        }),
    }
}

/// Starts the container, unless the run was cancelled. `false`: it is gone.
async fn start(run: &DockerRun) -> Result<bool, Error> {
    if run.is_cancelled().await? {
        return Ok(true);
    }
    let starting = run
        .docker
        .start_container(&run.handle.id, None::<StartContainerOptions>);
    let Err(error) = tokio::time::timeout(START_TIMEOUT, starting)
        .await
        .unwrap_or(Err(bollard::errors::Error::RequestTimeoutError))
    else {
        return Ok(true);
    };
    match run
        .find()
        .await
        .map_err(|error| run.failed("find", error))?
    {
        None => return Ok(false),
        // Whatever the error was about, it runs or ran.
        Some(found) if container::stand(&found) != Stand::Created => return Ok(true),
        Some(_) => {}
    }
    match refusal(&error).map(str::to_owned) {
        Some(why) => {
            // It will never start; left there, nobody would ever remove it.
            run.remove_container()
                .await
                .map_err(|error| run.failed("remove", error))?;
            Err(refused(run, why))
        }
        None => Err(run.failed("start", error)),
    }
}
