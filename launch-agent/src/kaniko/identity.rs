//! Who the agent is to a store of contexts: the registry crate's chains of credentials.

use std::sync::Arc;

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
use launch_builder::kaniko::StoreError;
use launch_config::store::StoreUri;
#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
use launch_registry::store::Credential;
use launch_registry::store::CredentialSource;

use crate::failure::Failure;

/// Where the credential for a store comes from; it is looked for when it is needed.
pub(super) fn of(uri: &StoreUri) -> Result<Arc<dyn CredentialSource>, Failure> {
    match uri {
        #[cfg(feature = "aws")]
        StoreUri::S3 { .. } => Ok(Arc::new(Aws::default())),
        #[cfg(not(feature = "aws"))]
        StoreUri::S3 { .. } => Err(off("aws")),
        #[cfg(feature = "gcp")]
        StoreUri::Gcs { .. } => Ok(Arc::new(Google::default())),
        #[cfg(not(feature = "gcp"))]
        StoreUri::Gcs { .. } => Err(off("gcp")),
        #[cfg(feature = "azure")]
        StoreUri::AzureBlob { cloud, .. } => Ok(Arc::new(Azure::in_cloud(*cloud))),
        #[cfg(not(feature = "azure"))]
        StoreUri::AzureBlob { .. } => Err(off("azure")),
        other => Err(Failure::usage(format!(
            "`{other}` is a store of a newer kind"
        ))),
    }
}

#[cfg(not(all(feature = "aws", feature = "gcp", feature = "azure")))]
fn off(feature: &str) -> Failure {
    Failure::usage(format!(
        "this store needs the feature `{feature}`, which this program was built without"
    ))
    .with_hint(format!(
        "`cargo build --release --features kubernetes,{feature}` has it"
    ))
}

#[cfg(feature = "aws")]
#[derive(Debug, Default)]
struct Aws(launch_registry::aws::AwsCredentials);

#[cfg(feature = "aws")]
#[async_trait::async_trait]
impl CredentialSource for Aws {
    async fn credential(&self) -> Result<Credential, StoreError> {
        let keys = self.0.keys().await?;
        Ok(Credential::AwsKey {
            id: keys.access_key_id,
            key: keys.secret_access_key,
            session: keys.session_token,
        })
    }
}

#[cfg(feature = "gcp")]
#[derive(Debug, Default)]
struct Google(launch_registry::gcp::GcpCredentials);

#[cfg(feature = "gcp")]
#[async_trait::async_trait]
impl CredentialSource for Google {
    async fn credential(&self) -> Result<Credential, StoreError> {
        Ok(Credential::Bearer(self.0.token().await?))
    }
}

#[cfg(feature = "azure")]
#[derive(Debug)]
struct Azure(launch_registry::azure::AzureCredentials);

#[cfg(feature = "azure")]
impl Azure {
    /// What a token for blobs is good for, in every part of Azure.
    const SCOPE: &str = "https://storage.azure.com/.default";
    /// An account's key, which needs no identity.
    const KEY: &str = "AZURE_STORAGE_ACCESS_KEY";

    fn in_cloud(cloud: launch_config::registry::AzureCloud) -> Self {
        let credentials = launch_registry::azure::AzureCredentials::new();
        Self(credentials.with_cloud(cloud))
    }
}

#[cfg(feature = "azure")]
#[async_trait::async_trait]
impl CredentialSource for Azure {
    async fn credential(&self) -> Result<Credential, StoreError> {
        if let Some(key) = crate::settings::variable(Self::KEY).filter(|key| !key.is_empty()) {
            let key = launch_config::secret::Secret::new(key);
            return Ok(Credential::AccountKey(key));
        }
        Ok(Credential::Bearer(self.0.token(Self::SCOPE).await?))
    }
}
