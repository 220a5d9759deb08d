//! Azure Blob Storage.

use std::sync::Arc;

use launch_config::registry::AzureCloud;
use launch_config::store::{Key, StoreUri};
use object_store::azure::{AzureAccessKey, AzureCredential, MicrosoftAzureBuilder};

use super::bridge::{Bridge, Mismatch};
use super::credential::Credential;
use super::http::Connector;
use super::object::{self, ObjectContexts, Words};
use super::options::StoreOptions;
use super::{ContextStore, StoreError};

/// The data actions of Azure's roles, and the error codes of Blob Storage that speak of
/// tokens and keys ("Common REST API error codes").
const WORDS: Words = Words {
    what: "the container",
    write: "data action `Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write` \
            (role Storage Blob Data Contributor)",
    delete: "data action `Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete` \
             (role Storage Blob Data Contributor)",
    strangers: &[
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        "NoAuthenticationInformation",
        // The message of the first, which azurite has under another code.
        "Server failed to authenticate the request",
    ],
};

/// A container, without the path in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) account: &'a str,
    pub(super) cloud: AzureCloud,
    pub(super) container: &'a str,
}

pub(super) fn open(
    uri: &StoreUri,
    place: Place<'_>,
    path: &Key,
    options: StoreOptions,
) -> Result<Arc<dyn ContextStore>, StoreError> {
    let prefix = object::prefix(uri, path)?;
    options.refuse_clear_text(uri)?;
    let connector = Connector::new(&options.retry).map_err(|error| object::config(uri, &error))?;
    let bridge = Bridge::new(options.credentials, key_or_token);
    let in_use = bridge.in_use();
    let endpoint = match &options.endpoint {
        Some(endpoint) => endpoint.as_str().trim_end_matches('/').to_owned(),
        None => format!("https://{}{}", place.account, place.cloud.blob_suffix()),
    };
    let store = MicrosoftAzureBuilder::new()
        .with_account(place.account)
        .with_container_name(place.container)
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_disable_tagging(true)
        .with_http_connector(connector)
        .with_credentials(Arc::new(bridge))
        .build();
    let store = store.map_err(|error| object::config(uri, &error))?;
    Ok(Arc::new(ObjectContexts {
        store: Box::new(store),
        uri: uri.to_string(),
        prefix,
        words: &WORDS,
        in_use,
    }))
}

fn key_or_token(credential: &Credential) -> Result<AzureCredential, Mismatch> {
    match credential {
        Credential::Bearer(token) => Ok(AzureCredential::BearerToken(token.expose().to_owned())),
        Credential::AccountKey(key) => AzureAccessKey::try_new(key.expose())
            .map(AzureCredential::AccessKey)
            .map_err(|_| "a key in base64".to_owned()),
        Credential::AwsKey { .. } => Err("an access token of Entra, or the account's key".into()),
    }
}
