//! The conformance suite against moto, azurite, and a double of Google's store.

use std::sync::Arc;

use async_trait::async_trait;
use launch_registry::config::secret::Secret;
use launch_registry::config::store::StoreUri;
use launch_registry::oci::RetryPolicy;
use launch_registry::store::conformance::{self, Reader, Subject};
use launch_registry::store::{self, ContextStore, Credential, StoreOptions};
use url::Url;

use crate::support::real;

/// Reads by plain `GET`: none of the emulators wants a signature for that.
#[derive(Debug)]
struct PlainHttp {
    endpoint: Url,
    /// What stands before the part of an address that is also the path at the endpoint.
    before: String,
    authorization: Option<&'static str>,
}

/// moto only looks at the form of it.
const AS_AWS: &str = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, \
                      SignedHeaders=host, Signature=x";

#[async_trait]
impl Reader for PlainHttp {
    async fn read(&self, address: &StoreUri) -> Option<Vec<u8>> {
        let address = address.to_string();
        let path = address.strip_prefix(&self.before).unwrap();
        let mut url = self.endpoint.clone();
        let mut segments = url.path_segments_mut().unwrap();
        segments.pop_if_empty().extend(path.split('/'));
        drop(segments);
        // The platform's roots are of no interest on loopback.
        let mut request = http().get(url);
        if let Some(authorization) = self.authorization {
            request = request.header("Authorization", authorization);
        }
        let answer = request.send().await.unwrap();
        match answer.status().as_u16() {
            200 => Some(answer.bytes().await.unwrap().to_vec()),
            404 => None,
            status => panic!("{address}: {status}"),
        }
    }
}

fn http() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls);
    builder.no_proxy().build().unwrap()
}

fn options(endpoint: &str, credential: Credential) -> StoreOptions {
    StoreOptions::new(Arc::new(credential))
        .with_endpoint(endpoint.parse().unwrap())
        .with_retry(RetryPolicy::default().with_tries(3))
}

async fn open(uri: &str, options: StoreOptions) -> Arc<dyn ContextStore> {
    store::open(&uri.parse().unwrap(), options).await.unwrap()
}

fn aws() -> Credential {
    Credential::aws("AKIAPLANTED", Secret::new("planted-key"))
}

#[tokio::test]
async fn s3_conforms() {
    let Some(endpoint) = real("LAUNCH_TEST_S3") else {
        return;
    };
    // All of it once; then the places where keys and regions might go wrong.
    let places = [
        "s3://contexts/team/a",
        "s3://contexts",
        "s3://contexts/",
        "s3://contexts-in-ireland/x",
    ];
    for place in places {
        let reader = PlainHttp {
            endpoint: endpoint.parse().unwrap(),
            before: "s3://".to_owned(),
            authorization: Some(AS_AWS),
        };
        let store = open(place, options(&endpoint, aws())).await;
        let missing = open("s3://not-there/x", options(&endpoint, aws())).await;
        let subject = Subject::new(store, Arc::new(reader)).with_missing(missing);
        if place == places[0] {
            conformance::all(&subject).await;
        }
        conformance::a_check_succeeds(&subject).await;
        conformance::names_are_kept_as_they_are(&subject).await;
        conformance::what_is_deleted_is_gone(&subject).await;
    }
}

#[tokio::test]
async fn google_cloud_storage_conforms() {
    let Some(endpoint) = real("LAUNCH_TEST_GCS") else {
        return;
    };
    let token = |text: &str| Credential::Bearer(Secret::new(text));
    let reader = PlainHttp {
        endpoint: endpoint.parse().unwrap(),
        before: "gs://".to_owned(),
        authorization: Some("Bearer planted-token"),
    };
    let place = "gs://contexts-of-google/p";
    let store = open(place, options(&endpoint, token("planted-token"))).await;
    let missing = open("gs://not-there", options(&endpoint, token("planted-token"))).await;
    let stranger = open(place, options(&endpoint, token("other"))).await;
    let subject = Subject::new(store, Arc::new(reader))
        .with_missing(missing)
        .with_stranger(stranger);
    conformance::all(&subject).await;
}

/// The key of every emulator of Azure Storage, in its documentation: no secret.
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

#[tokio::test]
async fn azure_blob_conforms() {
    let Some(endpoint) = real("LAUNCH_TEST_AZURE") else {
        return;
    };
    let account = "https://devstoreaccount1.blob.core.windows.net";
    let key = |text: &str| Credential::AccountKey(Secret::new(text));
    let reader = PlainHttp {
        endpoint: endpoint.parse().unwrap(),
        before: format!("{account}/"),
        authorization: None,
    };
    let place = format!("{account}/contexts/p");
    let store = open(&place, options(&endpoint, key(AZURITE_KEY))).await;
    let missing = open(
        &format!("{account}/not-there"),
        options(&endpoint, key(AZURITE_KEY)),
    )
    .await;
    let stranger = open(
        &place,
        options(&endpoint, key("cGxhbnRlZC1hY2NvdW50LWtleQ==")),
    )
    .await;
    let subject = Subject::new(store, Arc::new(reader))
        .with_missing(missing)
        .with_stranger(stranger);
    conformance::all(&subject).await;
}
