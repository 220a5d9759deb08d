//! The clouds' own credentials, found where the clouds' own tools find them.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use launch_config::store::StoreUri;

use super::credential::{Credential, CredentialSource};
use super::{StoreError, StoreOptions};
#[cfg(feature = "s3")]
use crate::aws::AwsCredentials;
#[cfg(feature = "blob")]
use crate::azure::AzureCredentials;
#[cfg(feature = "gcs")]
use crate::gcp::GcpCredentials;

type Source = Box<dyn Error + Send + Sync>;

/// What tokens for Blob Storage are asked for, in every part of Azure ("Authorize with
/// Microsoft Entra ID", "Resource scope").
#[cfg(feature = "blob")]
const STORAGE: &str = "https://storage.azure.com/.default";

#[cfg(feature = "s3")]
#[async_trait]
impl CredentialSource for AwsCredentials {
    async fn credential(&self) -> Result<Credential, Source> {
        let keys = self.keys().await?;
        Ok(Credential::AwsKey {
            id: keys.access_key_id,
            key: keys.secret_access_key,
            session: keys.session_token,
        })
    }
}

#[cfg(feature = "gcs")]
#[async_trait]
impl CredentialSource for GcpCredentials {
    async fn credential(&self) -> Result<Credential, Source> {
        Ok(Credential::Bearer(self.token().await?))
    }
}

#[cfg(feature = "blob")]
#[async_trait]
impl CredentialSource for AzureCredentials {
    async fn credential(&self) -> Result<Credential, Source> {
        Ok(Credential::Bearer(self.token(STORAGE).await?))
    }
}

impl StoreOptions {
    /// Reaches the store at `uri` as the cloud's own tools on this machine would: with the
    /// credentials, the region and the endpoint they find. Credentials are looked for when
    /// the store first needs them; the endpoint is that of `AWS_ENDPOINT_URL_S3` or
    /// `AWS_ENDPOINT_URL`, or of `STORAGE_EMULATOR_HOST` for Google.
    ///
    /// # Errors
    /// [`StoreError::NotBuilt`] without the feature for this cloud, [`StoreError::Config`]
    /// for an endpoint that is no URL.
    #[cfg_attr(
        not(feature = "s3"),
        expect(
            clippy::unused_async,
            reason = "the same signature with and without the feature"
        )
    )]
    pub async fn found(uri: &StoreUri) -> Result<Self, StoreError> {
        match uri {
            #[cfg(feature = "s3")]
            StoreUri::S3 { .. } => {
                let credentials = AwsCredentials::new();
                let region = credentials.region().await;
                let mut options = Self::new(Arc::new(credentials));
                options.region = region;
                options.at(uri, &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
            }
            #[cfg(feature = "gcs")]
            StoreUri::Gcs { .. } => {
                let options = Self::new(Arc::new(GcpCredentials::new()));
                options.at(uri, &["STORAGE_EMULATOR_HOST"])
            }
            #[cfg(feature = "blob")]
            StoreUri::AzureBlob { cloud, .. } => {
                let credentials = AzureCredentials::new().with_cloud(*cloud);
                Ok(Self::new(Arc::new(credentials)))
            }
            _ => Err(super::not_built(uri)),
        }
    }

    /// At the endpoint that the first of these variables names, if one does.
    #[cfg(any(feature = "s3", feature = "gcs"))]
    fn at(self, uri: &StoreUri, variables: &[&str]) -> Result<Self, StoreError> {
        let set = |variable: &&str| {
            let value = std::env::var(variable).ok()?;
            (!value.is_empty())
                .then(|| (*variable).to_owned())
                .zip(Some(value))
        };
        let Some((variable, value)) = variables.iter().find_map(set) else {
            return Ok(self);
        };
        match value.parse() {
            Ok(endpoint) => Ok(self.with_endpoint(endpoint)),
            Err(_) => Err(StoreError::Config {
                store: uri.to_string(),
                why: format!("`{variable}` is `{value}`, which is no URL"),
            }),
        }
    }
}
