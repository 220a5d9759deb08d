//! Amazon S3, and what speaks its protocol.

use std::sync::Arc;
use std::time::Duration;

use launch_config::store::{Key, StoreUri};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use url::Url;

use super::bridge::{Bridge, Mismatch};
use super::credential::Credential;
use super::http::Connector;
use super::object::{self, ObjectContexts, Words};
use super::options::StoreOptions;
use super::{ContextStore, StoreError};

/// The permissions of the S3 API, and its error codes that speak of keys ("Error responses"
/// in the API reference).
const WORDS: Words = Words {
    what: "the bucket",
    write: "permission `s3:PutObject`",
    delete: "permission `s3:DeleteObject`",
    strangers: &[
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "RequestTimeTooSkewed",
        "AuthorizationHeaderMalformed",
    ],
};
/// Where a bucket is looked for whose region is not known.
const FIRST_REGION: &str = "us-east-1";
/// How long the region is waited for: without it, the first request tells what is wrong.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn open(
    uri: &StoreUri,
    bucket: &str,
    key: &Key,
    options: StoreOptions,
) -> Result<Arc<dyn ContextStore>, StoreError> {
    let prefix = object::prefix(uri, key)?;
    let connector = Connector::new(&options.retry).map_err(|error| object::config(uri, &error))?;
    let region = region(&connector, &options, bucket).await;
    let bridge = Bridge::new(options.credentials, key_of_aws);
    let in_use = bridge.in_use();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&region)
        .with_allow_http(true)
        // `DELETE` of one object needs one permission and is understood by everybody.
        .with_disable_bulk_delete(true)
        .with_disable_tagging(true)
        .with_http_connector(connector)
        .with_credentials(Arc::new(bridge));
    let endpoint = options
        .endpoint
        .map(String::from)
        .or_else(|| regional_endpoint(&region));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
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

/// Where S3 is, if not below `amazonaws.com` (AWS partitions, "Service endpoints").
fn regional_endpoint(region: &str) -> Option<String> {
    let domain = match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ => return None,
    };
    Some(format!("https://s3.{region}.{domain}"))
}

/// The bucket's region by its own account, else the one that is configured.
///
/// `HeadBucket` names it whatever else the answer is, to strangers too; so a bucket may be in
/// another region than the rest, as the clouds' own tools allow.
async fn region(connector: &Connector, options: &StoreOptions, bucket: &str) -> String {
    let configured = options.region.as_deref().unwrap_or(FIRST_REGION);
    let base = match &options.endpoint {
        Some(endpoint) => endpoint.to_string(),
        None => regional_endpoint(configured)
            .unwrap_or_else(|| format!("https://s3.{configured}.amazonaws.com")),
    };
    let url = format!("{}/{bucket}", base.trim_end_matches('/')).parse();
    let named = match url {
        Ok(url) => named_region(connector, url).await,
        Err(_) => None,
    };
    named.unwrap_or_else(|| configured.to_owned())
}

async fn named_region(connector: &Connector, bucket: Url) -> Option<String> {
    let client = connector.client(&bucket);
    let answer = client.head(bucket).timeout(PATIENCE).send().await.ok()?;
    let region = answer.headers().get("x-amz-bucket-region")?.to_str().ok()?;
    (!region.is_empty()).then(|| region.to_owned())
}

fn key_of_aws(credential: &Credential) -> Result<AwsCredential, Mismatch> {
    match credential {
        Credential::AwsKey { id, key, session } => Ok(AwsCredential {
            key_id: id.clone(),
            secret_key: key.expose().to_owned(),
            token: session.as_ref().map(|session| session.expose().to_owned()),
        }),
        _ => Err("a key of AWS".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_other_partitions_are_named() {
        assert_eq!(
            regional_endpoint("cn-north-1").as_deref(),
            Some("https://s3.cn-north-1.amazonaws.com.cn")
        );
        assert_eq!(regional_endpoint("us-gov-west-1"), None);
        assert_eq!(regional_endpoint("eu-west-1"), None);
    }
}
