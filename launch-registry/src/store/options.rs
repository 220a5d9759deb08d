//! How a store is reached.

use std::sync::Arc;

use url::Url;

use super::credential::CredentialSource;
use crate::oci::RetryPolicy;

/// How a store is reached, and as whom.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub(super) credentials: Arc<dyn CredentialSource>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<Url>,
    pub(super) retry: RetryPolicy,
}

impl StoreOptions {
    /// Reaches the cloud's own endpoints with these credentials.
    pub fn new(credentials: Arc<dyn CredentialSource>) -> Self {
        let (region, endpoint) = (None, None);
        Self {
            credentials,
            region,
            endpoint,
            retry: RetryPolicy::default(),
        }
    }

    /// The region of an S3 bucket, where the bucket itself does not say. Others have none.
    #[must_use]
    pub fn with_region(self, region: impl Into<String>) -> Self {
        Self {
            region: Some(region.into()),
            ..self
        }
    }

    /// Another server that speaks the same protocol: `MinIO`, a private endpoint, an emulator.
    ///
    /// Access tokens travel to it, so it must be https, or on loopback. With keys, which only
    /// sign, http will do.
    #[must_use]
    pub fn with_endpoint(self, endpoint: Url) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..self
        }
    }

    /// How failed requests are tried again.
    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Self { retry, ..self }
    }

    /// Tokens are not sent where others can read them.
    #[cfg(any(feature = "gcs", feature = "blob"))]
    pub(super) fn refuse_clear_text(
        &self,
        uri: &launch_config::store::StoreUri,
    ) -> Result<(), super::StoreError> {
        match &self.endpoint {
            Some(endpoint) if !crate::oci::endpoint::is_private(endpoint, &[]) => {
                let host = endpoint.host_str().unwrap_or_default();
                let why = format!("its endpoint on `{host}` is not encrypted");
                Err(super::object::config(uri, &why))
            }
            _ => Ok(()),
        }
    }
}
