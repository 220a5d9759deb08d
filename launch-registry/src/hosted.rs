//! All registries there are here, told apart by their hosts.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use launch_config::image::{Digest, ImageRef, PinnedImage};
#[cfg(any(feature = "ecr", feature = "gar", feature = "acr"))]
use launch_config::registry::RegistryUri;

#[cfg(feature = "acr")]
use crate::acr::AcrRegistry;
#[cfg(feature = "ecr")]
use crate::aws::AwsCredentials;
#[cfg(feature = "acr")]
use crate::azure::AzureCredentials;
use crate::credentials::{Cloud, Identity, NoCredentials};
#[cfg(feature = "ecr")]
use crate::ecr::EcrRegistry;
#[cfg(feature = "gar")]
use crate::gar::GarRegistry;
#[cfg(feature = "gar")]
use crate::gcp::GcpCredentials;
use crate::oci::{OciRegistry, OciRegistryBuilder};
use crate::{Credentials, Error, PushEvents, Registry};

/// Every registry this crate was built with; the host of an image says which is meant.
///
/// Hosts of ECR, Artifact Registry and ACR go to the adapters of these, if their features are
/// on; all others are plain OCI registries with docker's credentials.
///
/// ```no_run
/// use launch_registry::Registry as _;
/// use launch_registry::hosted::HostedRegistry;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = HostedRegistry::builder().build()?;
/// let digest = registry.find(&"ghcr.io/me/train:v1".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HostedRegistry {
    oci: OciRegistry,
    #[cfg(feature = "ecr")]
    ecr: EcrRegistry,
    #[cfg(feature = "gar")]
    gar: GarRegistry,
    #[cfg(feature = "acr")]
    acr: AcrRegistry,
    #[cfg(feature = "ecr")]
    aws: AwsCredentials,
    #[cfg(feature = "gar")]
    gcp: GcpCredentials,
    #[cfg(feature = "acr")]
    azure: AzureCredentials,
}

impl HostedRegistry {
    /// Starts with the credentials that are found, docker's and the clouds'.
    pub fn builder() -> HostedRegistryBuilder {
        HostedRegistryBuilder::default()
    }

    /// Whose credentials of `cloud` are used here; `None` if this crate was built without.
    ///
    /// # Errors
    /// [`NoCredentials`], with every place that was looked at.
    #[cfg_attr(
        not(any(feature = "ecr", feature = "gar", feature = "acr")),
        expect(
            clippy::unused_async,
            reason = "the same signature with and without clouds"
        )
    )]
    pub async fn identity(&self, cloud: Cloud) -> Result<Option<Identity>, NoCredentials> {
        match cloud {
            #[cfg(feature = "ecr")]
            Cloud::Aws => self.aws.identity().await.map(Some),
            #[cfg(feature = "gar")]
            Cloud::Gcp => self.gcp.identity().await.map(Some),
            #[cfg(feature = "acr")]
            Cloud::Azure => self.azure.identity(crate::acr::AUDIENCE).await.map(Some),
            #[cfg(not(all(feature = "ecr", feature = "gar", feature = "acr")))]
            _ => Ok(None),
        }
    }

    /// The registry that is asked about `image`.
    pub fn of(&self, image: &ImageRef) -> &dyn Registry {
        #[cfg(any(feature = "ecr", feature = "gar", feature = "acr"))]
        match RegistryUri::of(image) {
            #[cfg(feature = "ecr")]
            RegistryUri::Ecr(_) => return &self.ecr,
            #[cfg(feature = "gar")]
            RegistryUri::ArtifactRegistry(_) => return &self.gar,
            #[cfg(feature = "acr")]
            RegistryUri::Acr(_) => return &self.acr,
            _ => {}
        }
        #[cfg(not(any(feature = "ecr", feature = "gar", feature = "acr")))]
        let _ = image;
        &self.oci
    }
}

/// Collects what a [`HostedRegistry`] is made of.
#[derive(Debug, Clone, Default)]
pub struct HostedRegistryBuilder {
    client: OciRegistryBuilder,
}

impl HostedRegistryBuilder {
    /// How registries are talked to. Its keychain is used where no cloud's is.
    #[must_use]
    pub fn client(self, client: OciRegistryBuilder) -> Self {
        Self { client }
    }

    /// Makes the registries. Nothing is asked of anybody yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the HTTP client cannot be set up.
    pub fn build(self) -> Result<HostedRegistry, Error> {
        let client = self.client;
        #[cfg(feature = "ecr")]
        let (aws, ecr) = (
            AwsCredentials::new(),
            EcrRegistry::builder().client(client.clone()),
        );
        #[cfg(feature = "gar")]
        let (gcp, gar) = (
            GcpCredentials::new(),
            GarRegistry::builder().client(client.clone()),
        );
        #[cfg(feature = "acr")]
        let (azure, acr) = (
            AzureCredentials::new(),
            AcrRegistry::builder().client(client.clone()),
        );
        Ok(HostedRegistry {
            #[cfg(feature = "ecr")]
            ecr: ecr.credentials(aws.clone()).build()?,
            #[cfg(feature = "gar")]
            gar: gar.credentials(gcp.clone()).build()?,
            #[cfg(feature = "acr")]
            acr: acr.credentials(azure.clone()).build()?,
            oci: client.build()?,
            #[cfg(feature = "ecr")]
            aws,
            #[cfg(feature = "gar")]
            gcp,
            #[cfg(feature = "acr")]
            azure,
        })
    }
}

impl fmt::Display for HostedRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("registries")
    }
}

#[async_trait]
impl Registry for HostedRegistry {
    async fn check(&self, image: &ImageRef) -> Result<(), Error> {
        self.of(image).check(image).await
    }

    async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        self.of(image).find(image).await
    }

    async fn push(
        &self,
        layout: &Path,
        image: &ImageRef,
        events: &PushEvents,
    ) -> Result<PinnedImage, Error> {
        self.of(image).push(layout, image, events).await
    }

    async fn credentials(&self, image: &ImageRef) -> Result<Option<Credentials>, Error> {
        self.of(image).credentials(image).await
    }
}

#[cfg(all(test, feature = "ecr", feature = "gar", feature = "acr"))]
mod tests {
    use super::*;

    #[test]
    fn the_host_chooses() {
        let registry = HostedRegistry::builder().build().unwrap();
        let of = |text: &str| registry.of(&text.parse().unwrap()).to_string();
        assert_eq!(
            of("1.dkr.ecr.cn-north-1.amazonaws.com.cn/a:v1"),
            "Amazon ECR"
        );
        assert_eq!(of("eu.gcr.io/p/a:v1"), "Artifact Registry");
        assert_eq!(of("us-docker.pkg.dev/p/r/a:v1"), "Artifact Registry");
        assert_eq!(of("a.azurecr.us/b:v1"), "Azure Container Registry");
        assert_eq!(of("ghcr.io/a/b:v1"), "OCI registry");
        assert_eq!(of("python:3"), "OCI registry");
    }
}
