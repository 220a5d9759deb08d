//! Builds with a Docker Engine, through its API.
//!
//! BuildKit builds what needs it (secrets, `RUN --mount`), where the engine has it, which is
//! every Docker Engine since 18.09. The classic builder builds the rest, and everything on
//! others (Podman), behind TLS, and where `DOCKER_BUILDKIT=0` asks for it, as with the
//! `docker` program: BuildKit reads no ignore file in an archive, so a `COPY . .` of its can
//! copy what is added to a context, the Dockerfile above all. The context streams from
//! the disk into the request; nothing is written beside the user's files, and memory does not
//! grow with the size of anything.
//!
//! Closing the connection is how a build is cancelled, so dropping the future of
//! [`Builder::build`] is enough: the engine stops the step that runs and removes its
//! container. An image gets its tag at the very end, by the engine itself.

mod body;
mod build;
mod buildkit;
mod export;
mod layout;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineError;
use bollard::models::ImageInspect;
use launch_config::image::{Digest, ImageRef};
use launch_config::secret::Secret;

use self::buildkit::Address;
use crate::error::Error;
use crate::event::Events;
use crate::{BuildRequest, Builder, BuiltImage, Delivery};

/// How this builder is called in messages.
pub(crate) const NAME: &str = "docker";

/// The engine answers a ping in this time or is not there.
const PING: Duration = Duration::from_secs(5);
/// A question about an image it has.
const QUESTION: Duration = Duration::from_secs(30);
/// A question it has to ask a registry first.
const REGISTRY_QUESTION: Duration = Duration::from_secs(15);
/// A build without an end is ended after this, if nobody set another limit.
const BUILD: Duration = Duration::from_hours(2);

/// A [`Builder`] that asks a Docker Engine.
#[derive(Clone)]
pub struct DockerBuilder {
    docker: Docker,
    /// Where BuildKit may be; what it takes is more than the library's calls.
    address: Option<Address>,
    is_cached: bool,
    network: Option<String>,
    timeout: Duration,
    logins: HashMap<String, (String, Secret)>,
}

impl DockerBuilder {
    /// The engine of `DOCKER_HOST`, or the one behind the default socket. Nothing is sent
    /// yet: [`Builder::check`] does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the address means nothing or its socket is not there.
    pub fn connect() -> Result<Self, Error> {
        let host = std::env::var("DOCKER_HOST").ok();
        let is_refused = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let address = Address::of(host.as_deref()).filter(|_| !is_refused);
        Docker::connect_with_defaults()
            .map(|docker| Self {
                address,
                ..Self::with(docker)
            })
            .map_err(|error| Error::Unavailable {
                builder: NAME,
                missing: "no Docker Engine to connect to (`DOCKER_HOST` or the default socket)"
                    .into(),
                source: Some(error.into()),
            })
    }

    /// An engine that is connected already; its classic builder is used.
    pub fn with(docker: Docker) -> Self {
        Self {
            docker,
            address: None,
            is_cached: true,
            network: None,
            timeout: BUILD,
            logins: HashMap::new(),
        }
    }

    /// Uses the classic builder, whatever the engine has.
    #[must_use]
    pub fn without_buildkit(mut self) -> Self {
        self.address = None;
        self
    }

    /// Runs every step anew, whatever was built before.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.is_cached = false;
        self
    }

    /// The network of build steps: `host`, `none`, or one of the engine's.
    #[must_use]
    pub fn with_network(mut self, network: impl Into<String>) -> Self {
        self.network = Some(network.into());
        self
    }

    /// Gives up a build after this long. Two hours if not said.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Logs in to a registry for base images.
    #[must_use]
    pub fn with_login(
        mut self,
        host: impl Into<String>,
        user: impl Into<String>,
        password: Secret,
    ) -> Self {
        self.logins.insert(host.into(), (user.into(), password));
        self
    }

    /// What a base image's reference stands for now: the digest it was pulled by, or the id
    /// of an image that was made here; if the engine has none, the digest its registry has,
    /// as far as the engine can tell within 15 seconds. `None` if it cannot be had.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the engine itself does not answer.
    pub async fn base_digest(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        if let Some(found) = self.inspect(image).await? {
            let place = |image: &ImageRef| (image.host().to_owned(), image.repository());
            let digests = found.repo_digests.unwrap_or_default();
            let pulled = digests
                .iter()
                .filter_map(|text| text.parse::<ImageRef>().ok());
            let mut pulled = pulled
                .filter(|pulled| place(pulled) == place(image))
                .filter_map(|pulled| pulled.digest());
            let id = || found.id.and_then(|id| id.parse().ok());
            return Ok(pulled.next().or_else(id));
        }
        let name = image.to_string();
        let login = self.login(image.host());
        let asking = self.docker.inspect_registry_image(&name, login);
        match tokio::time::timeout(REGISTRY_QUESTION, asking).await {
            Ok(Ok(found)) => Ok(found
                .descriptor
                .digest
                .and_then(|digest| digest.parse().ok())),
            Ok(Err(error)) => {
                tracing::debug!(%image, %error, "the base image does not resolve");
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }

    /// Where BuildKit is to be asked; `None` if the classic builder is.
    async fn buildkit(&self) -> Result<Option<Address>, Error> {
        match &self.address {
            Some(address) if buildkit::is_there(address).await? => Ok(Some(address.clone())),
            _ => Ok(None),
        }
    }

    /// What no line of a log may show.
    fn secrets(&self, request: &BuildRequest) -> Vec<Secret> {
        let passwords = self.logins.values().map(|(_, password)| password);
        passwords.chain(request.secrets.values()).cloned().collect()
    }

    /// The engine's id of an image it has.
    async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let found = self.inspect(image).await?;
        Ok(found.and_then(|found| found.id?.parse().ok()))
    }

    async fn inspect(&self, image: &ImageRef) -> Result<Option<ImageInspect>, Error> {
        let name = image.to_string();
        let answer = tokio::time::timeout(QUESTION, self.docker.inspect_image(&name)).await;
        match answer.map_err(|_| silent(QUESTION))? {
            Ok(inspected) => Ok(Some(inspected)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn login(&self, host: &str) -> Option<DockerCredentials> {
        self.logins
            .get(host)
            .map(|(user, password)| DockerCredentials {
                username: Some(user.clone()),
                password: Some(password.expose().to_owned()),
                serveraddress: Some(host.to_owned()),
                ..DockerCredentials::default()
            })
    }

    /// All logins, as a classic build takes them.
    fn credentials(&self) -> HashMap<String, DockerCredentials> {
        let hosts = self.logins.keys();
        hosts
            .filter_map(|host| Some((host.clone(), self.login(host)?)))
            .collect()
    }
}

impl fmt::Debug for DockerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.logins.keys().collect();
        f.debug_struct("DockerBuilder")
            .field("network", &self.network)
            .field("timeout", &self.timeout)
            .field("logins", &hosts)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DockerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl Builder for DockerBuilder {
    async fn check(&self) -> Result<(), Error> {
        let answer = tokio::time::timeout(PING, self.docker.ping()).await;
        answer
            .map_err(|_| silent(PING))?
            .map(drop)
            .map_err(unavailable)
    }

    /// With [`Delivery::Layout`] the image stays with the engine under its tag too: it is
    /// what makes the next build of it, and of its like, short.
    async fn build(&self, request: BuildRequest, events: &Events) -> Result<BuiltImage, Error> {
        if request.delivery == Delivery::Registry {
            let problem = "it leaves images with its engine or in a layout, and pushes none".into();
            return Err(Error::Settings {
                builder: NAME,
                problem,
            });
        }
        let found = self.find(&request.image).await?;
        let reused = found.is_some();
        let id = match found {
            Some(id) => id,
            None => build::build(self, &request, events).await?,
        };
        match request.delivery {
            Delivery::Local | Delivery::Registry => Ok(BuiltImage::Local {
                image: request.image,
                id,
                reused,
            }),
            Delivery::Layout(directory) => {
                export::export(self, &request.image, directory.clone()).await?;
                Ok(BuiltImage::Layout(directory))
            }
        }
    }
}

fn silent(waited: Duration) -> Error {
    let missing = format!(
        "the Docker Engine did not answer within {} s",
        waited.as_secs()
    );
    Error::Unavailable {
        builder: NAME,
        missing,
        source: None,
    }
}

fn unavailable(error: EngineError) -> Error {
    let missing = match &error {
        EngineError::DockerResponseServerError { status_code, .. } => {
            format!("the Docker Engine answers {status_code}")
        }
        _ => "the Docker Engine does not answer (is it running, and may this user use it?)".into(),
    };
    Error::Unavailable {
        builder: NAME,
        missing,
        source: Some(error.into()),
    }
}

fn is_not_found(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}
