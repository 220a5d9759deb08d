//! Having the image before the run.

use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineError;
use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt as _;
use launch_config::image::ImageRef;
use launch_config::secret::Secret;

use super::failure::{absent_is_none, answered};
use crate::Error;

/// How long a pull may go on without a word.
const PULL_SILENCE: Duration = Duration::from_mins(10);

/// Programs that are made to be process 1, and want to be.
const INITS: [&str; 6] = [
    "tini",
    "tini-static",
    "dumb-init",
    "docker-init",
    "catatonit",
    "init",
];

/// An image the engine has.
#[derive(Debug)]
pub(super) struct LocalImage(ImageInspect);

impl LocalImage {
    /// Whether its entry point brings an init of its own.
    pub(super) fn has_init(&self) -> bool {
        self.0
            .config
            .as_ref()
            .and_then(|config| config.entrypoint.as_ref())
            .is_some_and(|words| is_init(words))
    }
}

/// Whether a command starts an init.
pub(super) fn is_init(command: &[String]) -> bool {
    let name = command.first().and_then(|word| word.rsplit('/').next());
    name.is_some_and(|name| INITS.contains(&name))
}

/// An image a run needs.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) image: &'a ImageRef,
    pub(super) credentials: Option<&'a (String, Secret)>,
    pub(super) platform: Option<&'a str>,
    /// Whether a tag the engine has is looked up again.
    pub(super) refresh: bool,
}

/// Uses the engine's image, or pulls it. A tag that is to be fresh is pulled first; if that
/// fails, the one that is there is used, with a warning. A digest is what it is.
pub(super) async fn ensure(docker: &Docker, wanted: &Wanted<'_>) -> Result<LocalImage, Error> {
    let failed = |error| Error::Image {
        image: Box::new(wanted.image.clone()),
        source: plain(error),
    };
    let name = wanted.image.to_string();
    let found = absent_is_none(answered(docker.inspect_image(&name)).await).map_err(failed)?;
    let is_fresh = !wanted.refresh || wanted.image.digest().is_some();
    if let Some(found) = found {
        if is_fresh {
            return Ok(LocalImage(found));
        }
        if let Err(error) = pull(docker, wanted).await {
            let error = plain(error);
            tracing::warn!(image = %name, %error, "cannot be pulled; the engine has one");
            return Ok(LocalImage(found));
        }
    } else {
        pull(docker, wanted).await.map_err(failed)?;
    }
    answered(docker.inspect_image(&name))
        .await
        .map(LocalImage)
        .map_err(failed)
}

async fn pull(docker: &Docker, wanted: &Wanted<'_>) -> Result<(), EngineError> {
    let Wanted {
        image, credentials, ..
    } = wanted;
    tracing::info!(%image, "pulling");
    let mut options = CreateImageOptionsBuilder::new()
        .from_image(&image.name())
        .tag(&image.reference());
    if let Some(platform) = wanted.platform {
        options = options.platform(platform);
    }
    let credentials = credentials.map(|(user, password)| DockerCredentials {
        username: Some(user.clone()),
        password: Some(password.expose().to_owned()),
        serveraddress: Some(image.host().to_owned()),
        ..DockerCredentials::default()
    });
    let docker = url_safe_credentials(docker);
    let mut progress = docker.create_image(Some(options.build()), None, credentials);
    loop {
        let next = tokio::time::timeout(PULL_SILENCE, progress.next()).await;
        match next.map_err(|_| EngineError::RequestTimeoutError)? {
            Some(step) => {
                let step = step?;
                tracing::debug!(%image, layer = ?step.id, status = ?step.status, "pulling");
            }
            None => return Ok(()),
        }
    }
}

/// The engine reads credentials as URL-safe base64, bollard writes the plain one: a
/// password whose encoding holds `+` or `/` would be dropped without a word.
fn url_safe_credentials(docker: &Docker) -> Docker {
    docker.clone().with_request_modifier(|mut request| {
        if let Some(header) = request.headers_mut().get_mut("X-Registry-Auth") {
            let safe: Vec<u8> = header
                .as_bytes()
                .iter()
                .map(|byte| match byte {
                    b'+' => b'-',
                    b'/' => b'_',
                    other => *other,
                })
                .collect();
            if let Ok(mut value) = safe.try_into() {
                std::mem::swap(header, &mut value);
                header.set_sensitive(true);
            }
        }
        request
    })
}

/// Reduces an answer of the engine to its sentence.
fn plain(error: EngineError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().into(),
        EngineError::DockerStreamError { error } => error.trim().into(),
        other => Box::new(other),
    }
}
