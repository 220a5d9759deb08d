//! Builds with a Docker Engine, through its API.
//!
//! BuildKit builds, where the engine has it, which is every Docker Engine since 18.09. The
//! classic builder does on others (Podman), behind TLS, and where `DOCKER_BUILDKIT=0` asks
//! for it, as with the `docker` program.
//!
//! One more build is the classic builder's: that of a Dockerfile which lies outside its
//! context, or which the ignore rules leave out, if it needs nothing of BuildKit (secrets,
//! `RUN --mount`, here-documents). BuildKit reads no ignore file in an archive, and a
//! `COPY . .` of its would copy the Dockerfile that was added.
//!
//! The context streams from the disk into the request; nothing is written beside the user's
//! files, and memory does not grow with the size of anything.
//!
//! # The cache
//!
//! The engine keeps the steps of its builds, and takes what did not change from there.
//! [`DockerBuilder::with_cache_from`] takes steps from images as well, so that a new machine
//! need not begin with nothing, and [`DockerBuilder::with_inline_cache`] makes such images.
//! [`DockerBuilder::without_cache`] runs every step. None of it has a part in a tag: a step
//! that is taken is the step that would have been run.
//!
//! Closing the connection is how a build is cancelled, so dropping the future of
//! [`Builder::build`] is enough: the engine stops the step that runs and removes its
//! container. An image gets its tag at the very end, by the engine itself.

mod body;
mod build;
mod buildkit;
mod cache;
mod engine;
mod export;
mod failed;
mod layout;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use launch_config::image::ImageRef;
use launch_config::secret::Secret;

use self::buildkit::Address;
use self::cache::Cache;
use self::engine::{silent, unavailable};
use crate::error::Error;
use crate::event::Events;
use crate::{BuildRequest, Builder, BuiltImage, Delivery};

/// How this builder is called in messages.
pub(crate) const NAME: &str = "docker";

/// The engine answers a ping in this time or is not there.
const PING: Duration = Duration::from_secs(5);
/// A build without an end is ended after this, if nobody set another limit.
const BUILD: Duration = Duration::from_hours(2);

/// A [`Builder`] that asks a Docker Engine.
#[derive(Clone)]
pub struct DockerBuilder {
    docker: Docker,
    /// Where BuildKit may be; what it takes is more than the library's calls.
    address: Option<Address>,
    cache: Cache,
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
            cache: Cache::default(),
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
        self.cache.is_off = true;
        self
    }

    /// Takes steps from these images too, the first that has one.
    ///
    /// BuildKit asks their registries, and finds steps in images that were built with
    /// [`DockerBuilder::with_inline_cache`]; one that cannot be had is a warning. The classic
    /// builder finds them in any image, but only in those that its engine has.
    ///
    /// ```no_run
    /// use launch_builder::docker::DockerBuilder;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let image = "registry.example.com/team/train:main".parse()?;
    /// let builder = DockerBuilder::connect()?
    ///     .with_cache_from([image])
    ///     .with_inline_cache();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_cache_from(mut self, images: impl IntoIterator<Item = ImageRef>) -> Self {
        self.cache.add(images);
        self
    }

    /// Notes in every image which steps made it, for builds elsewhere that take them with
    /// [`DockerBuilder::with_cache_from`] once it is pushed. Only BuildKit does, and only for
    /// the steps of the last stage.
    #[must_use]
    pub fn with_inline_cache(mut self) -> Self {
        self.cache.is_inline = true;
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
}

impl fmt::Debug for DockerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<_> = self.logins.keys().collect();
        f.debug_struct("DockerBuilder")
            .field("network", &self.network)
            .field("timeout", &self.timeout)
            .field("cache", &self.cache)
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
