//! Azure Container Registry: `NAME.azurecr.io`, and `.us` and `.cn` in the sovereign clouds.
//!
//! A token of Entra is exchanged at the registry for a refresh token of its own ("Azure
//! Container Registry integration with Azure Active Directory", "Authenticating docker with an
//! ACR refresh token"), which is the password of a user whose name is all zeros. Everything
//! else is the OCI protocol with token authentication. A push makes its repository.

mod exchange;

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use launch_config::image::{Digest, ImageRef, PinnedImage};

pub(crate) use self::exchange::AUDIENCE;
pub use self::exchange::AcrKeychain;
use crate::azure::AzureCredentials;
use crate::cloud::{CloudKeychain, naming};
use crate::oci::{OciRegistry, OciRegistryBuilder};
use crate::{Credentials, Error, PushEvents, Registry};

const READ: &str = "`Microsoft.ContainerRegistry/registries/pull/read` (role `AcrPull`)";
const WRITE: &str = "`Microsoft.ContainerRegistry/registries/push/write` (role `AcrPush`)";

/// Azure Container Registry, with Azure's credentials.
///
/// ```no_run
/// use launch_registry::Registry as _;
/// use launch_registry::acr::AcrRegistry;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = AcrRegistry::builder().build()?;
/// let digest = registry.find(&"team.azurecr.io/ml/train:v1".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AcrRegistry {
    oci: OciRegistry,
}

impl AcrRegistry {
    /// Starts with what [`AzureCredentials`] finds.
    pub fn builder() -> AcrRegistryBuilder {
        AcrRegistryBuilder::default()
    }
}

/// Collects what an [`AcrRegistry`] is made of.
#[derive(Debug, Clone, Default)]
pub struct AcrRegistryBuilder {
    credentials: AzureCredentials,
    client: OciRegistryBuilder,
}

impl AcrRegistryBuilder {
    /// Other credentials than those found.
    #[must_use]
    pub fn credentials(self, credentials: AzureCredentials) -> Self {
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
    pub fn build(self) -> Result<AcrRegistry, Error> {
        let network = self.client.network();
        let keychain = AcrKeychain::new(self.credentials).with_network(network.clone());
        let oci = self.client.keychain(CloudKeychain::new(keychain)).build()?;
        Ok(AcrRegistry { oci })
    }
}

impl fmt::Display for AcrRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Azure Container Registry")
    }
}

#[async_trait]
impl Registry for AcrRegistry {
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
