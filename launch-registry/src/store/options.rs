//! How a store is reached.

use std::sync::Arc;

use url::Url;

use super::credential::CredentialSource;
use crate::oci::{Network, RetryPolicy};

/// How a store is reached, and as whom.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    pub(super) credentials: Arc<dyn CredentialSource>,
    #[cfg_attr(not(feature = "s3"), expect(dead_code, reason = "only S3 has regions"))]
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<Url>,
    pub(super) retry: RetryPolicy,
    pub(super) network: Network,
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
            network: Network::default(),
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

    /// Authorities to trust and addresses to use beside the system's.
    #[must_use]
    pub fn with_network(self, network: Network) -> Self {
        Self { network, ..self }
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
