//! Any registry that follows the OCI distribution specification.

mod auth;
mod call;
mod client;
mod content;
pub(crate) mod endpoint;
pub(crate) mod http;
mod keychain;
mod layout;
pub(crate) mod network;
mod push;
pub(crate) mod retry;
mod session;
mod status;
mod transport;
pub(crate) mod trust;
mod upload;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use launch_config::image::{Digest, ImageRef, PinnedImage};

use self::auth::Auth;
pub use self::http::Timeouts;
pub use self::keychain::{
    AnonymousKeychain, ChainedKeychain, DockerKeychain, FixedKeychain, Keychain, Login,
};
pub use self::network::Network;
use self::push::PushOptions;
pub use self::retry::RetryPolicy;
use self::session::Session;
use self::status::Target;
use self::transport::Transport;
use crate::{Credentials, Error, PushEvents, Registry};

/// A client for any OCI registry: Docker Hub, GHCR, Harbor, a `registry:2` of your own.
///
/// One value serves all hosts: which registry is meant, each [`ImageRef`] says. Tokens and
/// connections are kept between calls; clones share them.
///
/// Hosts on loopback, and those named by [`OciRegistryBuilder::with_insecure`], are asked over
/// https first and over http if that is not answered. All others are https, always.
///
/// ```no_run
/// use launch_registry::Registry as _;
/// use launch_registry::oci::OciRegistry;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = OciRegistry::builder().build()?;
/// let digest = registry.find(&"ghcr.io/me/train:v1".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct OciRegistry {
    transport: Arc<Transport>,
    options: PushOptions,
}

impl OciRegistry {
    /// Starts with docker's credentials and the defaults written at each setter.
    pub fn builder() -> OciRegistryBuilder {
        OciRegistryBuilder::default()
    }

    /// The same registry, sharing tokens and connections, that tries to mount layers from
    /// `repositories` of the same host before it uploads them. Where this registry's own pushes
    /// put a layer before, it tries by itself.
    ///
    /// Name the repository of the base image: its layers then cost one request each.
    #[must_use]
    pub fn with_mount_from(
        &self,
        repositories: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let mount_from = repositories.into_iter().map(Into::into).collect();
        let options = PushOptions {
            mount_from,
            ..self.options.clone()
        };
        Self {
            transport: Arc::clone(&self.transport),
            options,
        }
    }

    /// [`Registry::find`], but a 403 is an error: for registries that tell what is not there
    /// from what is not allowed.
    pub(crate) async fn find_or_denied(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let session = self.session(image, Access::Pull, &silent()).await?;
        let found = session.manifest_digest(&image.reference()).await?;
        if let (Some(found), Some(expected)) = (found, image.digest()) {
            client::same_digest(&format!("`{image}`"), expected, found)?;
        }
        Ok(found)
    }

    async fn session(
        &self,
        image: &ImageRef,
        access: Access,
        events: &PushEvents,
    ) -> Result<Session, Error> {
        let (action, actions) = match access {
            Access::Pull => ("pull from", "pull"),
            Access::Push => ("push to", "pull,push"),
        };
        let (registry, repository) = (image.host().to_owned(), image.repository());
        let scopes = vec![format!("repository:{repository}:{actions}")];
        let target = Target {
            registry,
            repository,
            action,
        };
        let base = self.transport.base(&target).await?;
        let transport = Arc::clone(&self.transport);
        Ok(Session {
            transport,
            target,
            base,
            scopes,
            events: Arc::clone(events),
            accepted: AtomicBool::new(false),
        })
    }
}

/// What a session is for.
#[derive(Debug, Clone, Copy)]
enum Access {
    Pull,
    Push,
}

/// The name of `host` in docker's `config.json`: Docker Hub has one of its own there.
pub(crate) fn config_host(host: &str) -> &str {
    if endpoint::is_docker_hub(host) {
        "https://index.docker.io/v1/"
    } else {
        host
    }
}

fn silent() -> PushEvents {
    Arc::new(|_| ())
}

impl fmt::Display for OciRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OCI registry")
    }
}

#[async_trait]
impl Registry for OciRegistry {
    async fn check(&self, image: &ImageRef) -> Result<(), Error> {
        let session = self.session(image, Access::Push, &silent()).await?;
        session.probe_push().await
    }

    async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        match self.find_or_denied(image).await {
            Err(Error::Denied { .. }) => Ok(None),
            found => found,
        }
    }

    async fn push(
        &self,
        layout: &Path,
        image: &ImageRef,
        events: &PushEvents,
    ) -> Result<PinnedImage, Error> {
        let (path, name) = (layout.to_owned(), image.clone());
        let content = tokio::task::spawn_blocking(move || layout::read(&path, &name)).await;
        let content = content.map_err(io::Error::other)??;
        let session = self.session(image, Access::Push, events).await?;
        let digest = push::push(&session, &content, image, &self.options).await?;
        Ok(image.pin(digest))
    }

    async fn credentials(&self, image: &ImageRef) -> Result<Option<Credentials>, Error> {
        let login = self.transport.auth.keychain().login(image.host()).await?;
        Ok(match login {
            Some(Login::Password(credentials)) => Some(credentials),
            // Tokens are no passwords: a program given one as such would be refused.
            Some(Login::IdentityToken(_) | Login::AccessToken(_)) | None => None,
        })
    }
}

/// Collects what an [`OciRegistry`] is made of.
#[derive(Debug, Clone)]
pub struct OciRegistryBuilder {
    keychain: Arc<dyn Keychain>,
    retry: RetryPolicy,
    timeouts: Timeouts,
    insecure: Vec<String>,
    network: Network,
    options: PushOptions,
}

impl Default for OciRegistryBuilder {
    fn default() -> Self {
        Self {
            keychain: Arc::new(DockerKeychain::default()),
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            insecure: Vec::new(),
            network: Network::default(),
            options: PushOptions {
                parallel: 4,
                mount_from: Vec::new(),
            },
        }
    }
}

impl OciRegistryBuilder {
    /// Where credentials come from; [`DockerKeychain`] by default.
    #[must_use]
    pub fn keychain(self, keychain: impl Keychain) -> Self {
        Self {
            keychain: Arc::new(keychain),
            ..self
        }
    }

    /// How failed requests are tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// How long things may take.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Hosts (`registry.lan`, `registry.lan:5000`) that may be used without encryption if they
    /// do not answer to https. Credentials then travel in the clear. A bad certificate is
    /// never looked past.
    #[must_use]
    pub fn with_insecure(self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            insecure: hosts.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// Authorities to trust and addresses to use beside the system's.
    #[must_use]
    pub fn with_network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// What [`OciRegistryBuilder::with_network`] was given.
    #[cfg(feature = "acr")]
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    /// How many layers are sent at a time; 4 by default, 0 counts as 1.
    #[must_use]
    pub fn with_parallel(mut self, parallel: usize) -> Self {
        self.options.parallel = parallel;
        self
    }

    /// See [`OciRegistry::with_mount_from`].
    #[must_use]
    pub fn with_mount_from(
        mut self,
        repositories: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.options.mount_from = repositories.into_iter().map(Into::into).collect();
        self
    }

    /// Makes the client. Nothing is asked of any registry yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the HTTP client cannot be set up, as with a proxy variable that
    /// holds no URL.
    pub fn build(self) -> Result<OciRegistry, Error> {
        let auth = Auth::new(self.keychain);
        let (insecure, network) = (self.insecure, &self.network);
        let transport = Transport::new(auth, self.retry, self.timeouts, insecure, network);
        let transport = transport.map_err(|source| Error::Config {
            origin: "the HTTP settings of this system".to_owned(),
            source: source.into(),
        })?;
        Ok(OciRegistry {
            transport,
            options: self.options,
        })
    }
}
