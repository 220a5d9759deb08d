//! Where credentials come from.
//!
//! A [`Keychain`] turns a registry's host into a [`Login`], or into nothing. Ours reads what
//! `docker login` and `podman login` write ([`DockerKeychain`]); a cloud's adapter brings its
//! own and chains it before that ([`ChainedKeychain`]).

mod docker;
mod helper;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use launch_config::secret::Secret;

pub use self::docker::DockerKeychain;
use crate::{Credentials, Error};

/// A source of credentials for registries.
///
/// # Contract
///
/// - `Ok(None)` means "I know nothing of this host": the next source is asked, and at the end
///   the registry is used without credentials. A source that knows the host and cannot
///   answer is an error, never `None`: a push as nobody would fail later, for no visible reason.
/// - It is asked again when a registry refuses what it gave, and every minute of use. So what
///   it gives should hold for more than a minute; caching within that life is the source's own
///   business.
#[async_trait]
pub trait Keychain: Debug + Send + Sync + 'static {
    /// What to log in with at `host` (`docker.io`, `127.0.0.1:5000`).
    ///
    /// # Errors
    /// [`Error::Config`] if a source that should know cannot say.
    async fn login(&self, host: &str) -> Result<Option<Login>, Error>;
}

/// What a registry, or its token service, accepts as proof of who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// A user and a password.
    Password(Credentials),
    /// A refresh token, good only for getting access tokens from the token service
    /// (docker's `identitytoken`).
    IdentityToken(Secret),
    /// An access token, good as it is (docker's `registrytoken`).
    AccessToken(Secret),
}

impl Login {
    /// A user and a password.
    pub fn password(user: impl Into<String>, password: Secret) -> Self {
        Self::Password(Credentials {
            user: user.into(),
            password,
        })
    }

    /// The secret within, for masking.
    pub(crate) fn secret(&self) -> &Secret {
        match self {
            Self::Password(credentials) => &credentials.password,
            Self::IdentityToken(token) | Self::AccessToken(token) => token,
        }
    }
}

/// Knows nobody: every registry is used without credentials.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnonymousKeychain;

#[async_trait]
impl Keychain for AnonymousKeychain {
    async fn login(&self, _: &str) -> Result<Option<Login>, Error> {
        Ok(None)
    }
}

/// One login for one host.
///
/// ```
/// use launch_registry::config::secret::Secret;
/// use launch_registry::oci::{FixedKeychain, Login};
///
/// let login = Login::password("ci", Secret::new("hunter2"));
/// let keychain = FixedKeychain::new("registry.example.com", login);
/// assert!(!format!("{keychain:?}").contains("hunter2"));
/// ```
#[derive(Debug, Clone)]
pub struct FixedKeychain {
    host: String,
    login: Login,
}

impl FixedKeychain {
    /// `login` is used at `host` and nowhere else.
    pub fn new(host: impl Into<String>, login: Login) -> Self {
        Self {
            host: host.into(),
            login,
        }
    }
}

#[async_trait]
impl Keychain for FixedKeychain {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        Ok((host == self.host).then(|| self.login.clone()))
    }
}

/// Several sources, asked in order; the first that knows the host answers.
#[derive(Debug, Clone)]
pub struct ChainedKeychain(Vec<Arc<dyn Keychain>>);

impl ChainedKeychain {
    /// The sources in the order they are asked.
    pub fn new(sources: Vec<Arc<dyn Keychain>>) -> Self {
        Self(sources)
    }
}

#[async_trait]
impl Keychain for ChainedKeychain {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        for source in &self.0 {
            if let Some(login) = source.login(host).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}
