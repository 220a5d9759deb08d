//! Amazon Elastic Container Registry, in every partition, by its plain and its FIPS hosts.
//!
//! The password comes from ECR's API (`GetAuthorizationToken`, good for twelve hours). Images
//! are looked for there, too (`DescribeImages`), as W&B's documented policy allows. A push
//! needs a repository: if there is none, it is made (`CreateRepository`), where that is allowed.

mod api;
mod keychain;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use launch_config::image::{Digest, ImageRef, PinnedImage};
use launch_config::registry::{Ecr, RegistryUri};

use self::api::Api;
pub use self::keychain::EcrKeychain;
use crate::aws::AwsCredentials;
use crate::cloud::{CloudKeychain, naming};
use crate::oci::{OciRegistry, OciRegistryBuilder};
use crate::{Credentials, Error, PushEvents, Registry};

const WRITE: &str = "`ecr:InitiateLayerUpload`";

/// Amazon ECR, with AWS's credentials.
///
/// ```no_run
/// use launch_registry::Registry as _;
/// use launch_registry::ecr::EcrRegistry;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = EcrRegistry::builder().build()?;
/// let image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ml/train:v1".parse()?;
/// let digest = registry.find(&image).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EcrRegistry {
    oci: OciRegistry,
    api: Api,
    may_create: bool,
    /// The repositories that were seen to take a push.
    ready: Arc<Mutex<HashSet<String>>>,
}

impl EcrRegistry {
    /// Starts with what [`AwsCredentials`] finds.
    pub fn builder() -> EcrRegistryBuilder {
        EcrRegistryBuilder::default()
    }

    /// Makes the repository of `image`, if `failure` is for want of it.
    ///
    /// # Errors
    /// `failure`, if it is not, or nothing was made.
    async fn make_repository(&self, image: &ImageRef, failure: Error) -> Result<(), Error> {
        let is_missing = matches!(failure, Error::Protocol { status: 404, .. });
        match ecr(image) {
            Some(ecr) if is_missing && self.may_create => {
                if !self.api.create_repository(&ecr).await? {
                    return Err(failure);
                }
                tracing::info!(repository = ecr.repository(), "ECR repository made");
                Ok(())
            }
            _ => Err(failure),
        }
    }

    /// Sees to it that there is a repository that takes our push.
    async fn prepare(&self, image: &ImageRef) -> Result<(), Error> {
        if let Err(failure) = self.oci.check(image).await {
            self.make_repository(image, failure).await?;
            self.oci.check(image).await?;
        }
        self.ready().insert(image.name());
        Ok(())
    }

    fn ready(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects what an [`EcrRegistry`] is made of.
#[derive(Debug, Clone)]
pub struct EcrRegistryBuilder {
    credentials: AwsCredentials,
    client: OciRegistryBuilder,
    endpoint: Option<String>,
    may_create: bool,
}

impl Default for EcrRegistryBuilder {
    fn default() -> Self {
        Self {
            credentials: AwsCredentials::default(),
            client: OciRegistryBuilder::default(),
            endpoint: None,
            may_create: true,
        }
    }
}

impl EcrRegistryBuilder {
    /// Other credentials than those found.
    #[must_use]
    pub fn credentials(self, credentials: AwsCredentials) -> Self {
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

    /// Where ECR's API is, if not where AWS says: a private endpoint, a test's.
    #[must_use]
    pub fn with_endpoint(self, url: impl Into<String>) -> Self {
        let endpoint = Some(url.into());
        Self { endpoint, ..self }
    }

    /// Whether a missing repository is made by a push; it is, by default.
    #[must_use]
    pub fn with_create(self, may_create: bool) -> Self {
        Self { may_create, ..self }
    }

    /// Makes the registry. Nothing is asked of anybody yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the HTTP client cannot be set up.
    pub fn build(self) -> Result<EcrRegistry, Error> {
        let api = Api::new(self.credentials, self.endpoint);
        let keychain = CloudKeychain::new(EcrKeychain::of(api.clone()));
        let oci = self.client.keychain(keychain).build()?;
        Ok(EcrRegistry {
            oci,
            api,
            may_create: self.may_create,
            ready: Arc::default(),
        })
    }
}

fn ecr(image: &ImageRef) -> Option<Ecr> {
    match RegistryUri::of(image) {
        RegistryUri::Ecr(ecr) => Some(ecr),
        _ => None,
    }
}

impl fmt::Display for EcrRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Amazon ECR")
    }
}

#[async_trait]
impl Registry for EcrRegistry {
    async fn check(&self, image: &ImageRef) -> Result<(), Error> {
        let ready = self.prepare(image).await;
        ready.map_err(|error| naming(WRITE, error))
    }

    /// By the API; where that is not allowed, by the registry itself. Policies have one or
    /// the other: W&B's documentation names `DescribeImages`, AWS's for a push `BatchGetImage`.
    async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let Some(ecr) = ecr(image) else {
            return self.oci.find(image).await;
        };
        let denied = match self.api.find(&ecr, image).await {
            Err(error @ Error::Denied { .. }) => error,
            found => return found,
        };
        match self.oci.find_or_denied(image).await {
            Err(Error::Denied { .. }) => Err(denied),
            found => found,
        }
    }

    async fn push(
        &self,
        layout: &Path,
        image: &ImageRef,
        events: &PushEvents,
    ) -> Result<PinnedImage, Error> {
        let is_ready = self.ready().contains(&image.name());
        if !is_ready && ecr(image).is_some() {
            self.check(image).await?;
        }
        let pushed = self.oci.push(layout, image, events).await;
        if pushed.is_err() {
            // Somebody may have deleted it.
            self.ready().remove(&image.name());
        }
        pushed.map_err(|error| naming(WRITE, error))
    }

    async fn credentials(&self, image: &ImageRef) -> Result<Option<Credentials>, Error> {
        self.oci.credentials(image).await
    }
}
