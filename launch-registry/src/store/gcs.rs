//! Google Cloud Storage, through its XML API.

use std::sync::Arc;

use launch_config::store::{Key, StoreUri};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};

use super::bridge::{Bridge, Mismatch};
use super::credential::Credential;
use super::http::Connector;
use super::object::{self, ObjectContexts, Words};
use super::options::StoreOptions;
use super::{ContextStore, StoreError};

/// Google's permissions ("IAM permissions for XML requests"). To put an object over another
/// takes `storage.objects.delete` too.
const WORDS: Words = Words {
    what: "the bucket",
    write: "permission `storage.objects.create`",
    delete: "permission `storage.objects.delete`",
    strangers: &["AuthenticationRequired", "InvalidSecurity", "ExpiredToken"],
};

pub(super) fn open(
    uri: &StoreUri,
    bucket: &str,
    key: &Key,
    options: StoreOptions,
) -> Result<Arc<dyn ContextStore>, StoreError> {
    let prefix = object::prefix(uri, key)?;
    options.refuse_clear_text(uri)?;
    let connector = Connector::new(&options.retry).map_err(|error| object::config(uri, &error))?;
    let bridge = Bridge::new(options.credentials, token);
    let in_use = bridge.in_use();
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_http_connector(connector)
        .with_credentials(Arc::new(bridge));
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_base_url(endpoint.as_str().trim_end_matches('/'));
    }
    let store = builder
        .build()
        .map_err(|error| object::config(uri, &error))?;
    Ok(Arc::new(ObjectContexts {
        store: Box::new(store),
        uri: uri.to_string(),
        prefix,
        words: &WORDS,
        in_use,
    }))
}

fn token(credential: &Credential) -> Result<GcpCredential, Mismatch> {
    match credential {
        Credential::Bearer(token) => Ok(GcpCredential {
            bearer: token.expose().to_owned(),
        }),
        _ => Err("an access token of Google".into()),
    }
}
