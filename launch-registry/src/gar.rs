//! Google Artifact Registry: `REGION-docker.pkg.dev`, and `gcr.io` with its siblings.
//!
//! An access token is the password of the user `oauth2accesstoken` ("Configure authentication
//! to Artifact Registry for Docker"); everything else is the OCI protocol. Repositories are
//! made by people: the one exception, a `gcr.io` repository at its first push, Google makes.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use launch_config::image::{Digest, ImageRef, PinnedImage};
use launch_config::registry::RegistryUri;

use crate::cloud::{CloudKeychain, naming, registry_of};
use crate::gcp::GcpCredentials;
use crate::oci::{Keychain, Login, OciRegistry, OciRegistryBuilder};
use crate::{Credentials, Error, PushEvents, Registry};

/// The user whose password is an access token.
const USER: &str = "oauth2accesstoken";
const READ: &str =
    "`artifactregistry.repositories.downloadArtifacts` (role `roles/artifactregistry.reader`)";
const WRITE: &str =
    "`artifactregistry.repositories.uploadArtifacts` (role `roles/artifactregistry.writer`)";

/// Logs in at the hosts of Artifact Registry with Google's credentials.
#[derive(Debug, Clone, Default)]
pub struct GarKeychain {
    credentials: GcpCredentials,
}

impl GarKeychain {
    /// With these credentials.
    pub fn new(credentials: GcpCredentials) -> Self {
        Self { credentials }
    }
}

#[async_trait]
impl Keychain for GarKeychain {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        if !matches!(registry_of(host), Some(RegistryUri::ArtifactRegistry(_))) {
            return Ok(None);
        }
        let token = self.credentials.token().await?;
        Ok(Some(Login::password(USER, token)))
    }
}

/// Google Artifact Registry, with Google's credentials.
///
/// ```no_run
/// use launch_registry::Registry as _;
/// use launch_registry::gar::GarRegistry;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = GarRegistry::builder().build()?;
/// let image = "us-central1-docker.pkg.dev/my-project/ml/train:v1".parse()?;
/// let digest = registry.find(&image).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct GarRegistry {
    oci: OciRegistry,
}

impl GarRegistry {
    /// Starts with what [`GcpCredentials`] finds.
    pub fn builder() -> GarRegistryBuilder {
        GarRegistryBuilder::default()
    }
}

/// Collects what a [`GarRegistry`] is made of.
#[derive(Debug, Clone, Default)]
pub struct GarRegistryBuilder {
    credentials: GcpCredentials,
    client: OciRegistryBuilder,
}

impl GarRegistryBuilder {
    /// Other credentials than those found.
    #[must_use]
    pub fn credentials(self, credentials: GcpCredentials) -> Self {
        Self {
            credentials,
            ..self
        }
    }

    /// How registries are talked to; its keychain is replaced.
    #[must_use]
    pub fn client(self, client: OciRegistryBuilder) -> Self {
        Self { client, ..self }
    }

    /// Makes the registry. Nothing is asked of anybody yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the HTTP client cannot be set up.
    pub fn build(self) -> Result<GarRegistry, Error> {
        let keychain = CloudKeychain::new(GarKeychain::new(self.credentials));
        let oci = self.client.keychain(keychain).build()?;
        Ok(GarRegistry { oci })
    }
}

impl fmt::Display for GarRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Artifact Registry")
    }
}

#[async_trait]
impl Registry for GarRegistry {
    async fn check(&self, image: &ImageRef) -> Result<(), Error> {
        let checked = self.oci.check(image).await;
        checked.map_err(|error| naming(WRITE, error))
    }

    async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let found = self.oci.find_or_denied(image).await;
        found.map_err(|error| naming(READ, error))
    }

    async fn push(
        &self,
        layout: &Path,
        image: &ImageRef,
        events: &PushEvents,
    ) -> Result<PinnedImage, Error> {
        let pushed = self.oci.push(layout, image, events).await;
        pushed.map_err(|error| naming(WRITE, error))
    }

    async fn credentials(&self, image: &ImageRef) -> Result<Option<Credentials>, Error> {
        self.oci.credentials(image).await
    }
}
