//! Stores that refuse, break and echo: what is said about it, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use launch_registry::config::secret::Secret;
use launch_registry::oci::RetryPolicy;
use launch_registry::store::{
    self, ContextStore, Credential, CredentialSource, StoreError, StoreOptions,
};

use super::fake::{FakeStore, Reply, Seen};
use crate::support::{Lines, fast};

const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>";

fn credential(uri: &str) -> Credential {
    match uri.split(':').next() {
        Some("s3") => Credential::AwsKey {
            id: "AKIAPLANTED".to_owned(),
            key: Secret::new("planted-key"),
            session: Some(Secret::new("planted-session")),
        },
        Some("gs") => Credential::Bearer(Secret::new("planted-token")),
        _ => Credential::Bearer(Secret::new("planted-entra")),
    }
}

const PLACES: [&str; 3] = [
    "s3://b/p",
    "gs://b/p",
    "https://acct.blob.core.windows.net/b/p",
];

async fn open(uri: &str, server: &FakeStore, retry: RetryPolicy) -> Arc<dyn ContextStore> {
    let options = StoreOptions::new(Arc::new(credential(uri)))
        .with_endpoint(server.url.parse().unwrap())
        .with_retry(retry);
    store::open(&uri.parse().unwrap(), options).await.unwrap()
}

fn is_write(seen: &Seen) -> bool {
    seen.method == "PUT" || (seen.method == "POST" && !seen.target.contains("comp=batch"))
}

#[tokio::test]
async fn the_missing_permission_is_named() {
    let names = [
        ("s3:PutObject", "s3:DeleteObject"),
        ("storage.objects.create", "storage.objects.delete"),
        ("containers/blobs/write", "containers/blobs/delete"),
    ];
    for (place, (write, delete)) in PLACES.into_iter().zip(names) {
        let server = FakeStore::start(|_| (403, "", DENIED)).await;
        let store = open(place, &server, fast()).await;
        let error = store.check().await.unwrap_err();
        let shown = error.to_string();
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        assert!(
            shown.contains(write) && shown.contains(place) && shown.contains("no (AccessDenied)"),
            "{shown}"
        );
        assert!(error.hint().unwrap().contains("permissions.md") && !error.is_retryable());
        let only_delete = |seen: &Seen| -> Reply {
            if is_write(seen) {
                (201, "ETag: \"e\"\r\n", "")
            } else {
                (403, "", DENIED)
            }
        };
        let server = FakeStore::start(only_delete).await;
        let error = open(place, &server, fast())
            .await
            .check()
            .await
            .unwrap_err();
        let shown = error.to_string();
        assert!(
            shown.contains(delete) && shown.contains("delete from"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_missing_bucket_and_a_wrong_region_are_told() {
    let server = FakeStore::start(|_| (404, "", NO_BUCKET)).await;
    let error = open("s3://b", &server, fast())
        .await
        .check()
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the bucket of `s3://b` does not exist");

    let elsewhere = |seen: &Seen| -> Reply {
        match seen.method.as_str() {
            "HEAD" => (403, "", ""),
            _ => (301, "x-amz-bucket-region: eu-west-3\r\n", ""),
        }
    };
    let server = FakeStore::start(elsewhere).await;
    let error = open("s3://b", &server, fast())
        .await
        .check()
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the bucket is in region `eu-west-3`"),
        "{error}"
    );
}

#[tokio::test]
async fn requests_are_signed_for_the_region_the_bucket_names() {
    let answering = |seen: &Seen| -> Reply {
        match seen.method.as_str() {
            "HEAD" => (403, "x-amz-bucket-region: ap-south-1\r\n", ""),
            _ => (200, "ETag: \"e\"\r\n", ""),
        }
    };
    let server = FakeStore::start(answering).await;
    open("s3://b", &server, fast()).await.check().await.unwrap();
    let signed = server
        .seen()
        .into_iter()
        .filter(|seen| seen.method != "HEAD");
    let signed: Vec<bool> = signed
        .map(|seen| seen.head.contains("/ap-south-1/s3/aws4_request"))
        .collect();
    assert_eq!(signed, [true, true], "a put and a delete");
}

#[tokio::test]
async fn tokens_are_shown_to_the_store() {
    for (place, shown) in [
        (PLACES[1], "Bearer planted-token"),
        (PLACES[2], "Bearer planted-entra"),
    ] {
        let server = FakeStore::start(|_| (201, "ETag: \"e\"\r\n", "")).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), b"content").unwrap();
        open(place, &server, fast())
            .await
            .put("x", file.path())
            .await
            .unwrap();
        let seen = server.seen();
        assert!(
            seen.iter().all(|seen| seen.head.contains(shown)),
            "{seen:?}"
        );
        assert!(seen.iter().any(|seen| seen.body == b"content"), "{seen:?}");
    }
}

#[tokio::test]
async fn tokens_go_nowhere_in_the_clear() {
    for place in &PLACES[1..] {
        let options = StoreOptions::new(Arc::new(credential(place)))
            .with_endpoint("http://store.example.com:9000/".parse().unwrap());
        let error = store::open(&place.parse().unwrap(), options)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("not encrypted"), "{error}");
    }
}

#[tokio::test]
async fn a_busy_store_is_asked_again_when_it_says() {
    let count = AtomicU32::new(0);
    let answering = move |seen: &Seen| -> Reply {
        if seen.method == "HEAD" {
            return (404, "", "");
        }
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => (
                503,
                "Retry-After: 1\r\n",
                "<Error><Code>SlowDown</Code></Error>",
            ),
            1 => (0, "", ""),
            2 => (500, "", ""),
            _ => (200, "ETag: \"e\"\r\n", ""),
        }
    };
    let server = FakeStore::start(answering).await;
    let store = open("s3://b", &server, fast()).await;
    let began = Instant::now();
    store.check().await.unwrap();
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "its wait is kept"
    );
    assert_eq!(server.seen().len(), 1 + 3 + 2, "{:?}", server.seen());
}

#[tokio::test]
async fn a_store_that_stays_away_is_unreachable() {
    let server = FakeStore::start(|_| (0, "", "")).await;
    let store = open("gs://b", &server, fast().with_tries(3)).await;
    let error = store.check().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Unreachable { tries: 3, .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
}

/// A chain that finds nothing.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl CredentialSource for Nobody {
    async fn credential(&self) -> Result<Credential, Box<dyn std::error::Error + Send + Sync>> {
        Err("environment: AWS_ACCESS_KEY_ID is not set; metadata server: no answer".into())
    }
}

#[tokio::test]
async fn missing_credentials_are_told_step_by_step() {
    let server = FakeStore::start(|_| (200, "", "")).await;
    for place in PLACES {
        let options =
            StoreOptions::new(Arc::new(Nobody)).with_endpoint(server.url.parse().unwrap());
        let store = store::open(&place.parse().unwrap(), options).await.unwrap();
        let error = store.check().await.unwrap_err();
        let StoreError::Credentials { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert!(
            source.to_string().contains("AWS_ACCESS_KEY_ID is not set"),
            "{source}"
        );
    }
    let options = StoreOptions::new(Arc::new(credential("gs://b")))
        .with_endpoint(server.url.parse().unwrap());
    let store = store::open(&"s3://b".parse().unwrap(), options)
        .await
        .unwrap();
    let error = store.check().await.unwrap_err();
    let shown = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(
        shown,
        "the store wants a key of AWS, and was given an access token"
    );
}

#[tokio::test]
async fn parts_of_a_failed_upload_are_removed() {
    let answering = |seen: &Seen| -> Reply {
        match seen.method.as_str() {
            "POST" if seen.target.ends_with("?uploads") || seen.target.ends_with("?uploads=") => (
                200,
                "",
                "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
            ),
            "PUT" if seen.target.contains("partNumber=2") => (403, "", DENIED),
            _ => (200, "ETag: \"e\"\r\n", ""),
        }
    };
    for place in ["s3://b", "gs://b"] {
        let server = FakeStore::start(answering).await;
        let store = open(place, &server, fast()).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(20 * 1024 * 1024).unwrap();
        let error = store.put("x", file.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        let aborted = |seen: &Seen| seen.method == "DELETE" && seen.target.contains("uploadId=u1");
        assert!(
            server.seen().iter().any(aborted),
            "{place}: {:?}",
            server.seen().len()
        );
    }
}

#[tokio::test]
async fn a_secret_is_shown_nowhere() {
    // Each store repeats what it was shown, in its code as well.
    const ECHOES: [&str; 3] = [
        "<Error><Code>planted-key</Code><Message>planted-key planted-session</Message></Error>",
        "<Error><Code>Odd</Code><Message>Bearer planted-token</Message></Error>",
        "planted-entra planted-entra\n",
    ];
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut shown = Vec::new();
    for (place, echo) in PLACES.into_iter().zip(ECHOES) {
        for status in [400, 401, 403, 404, 409, 418, 500] {
            let server = FakeStore::start(move |_| (status, "", echo)).await;
            let options = StoreOptions::new(Arc::new(credential(place)))
                .with_endpoint(server.url.parse().unwrap())
                .with_retry(fast().with_tries(2));
            shown.push(format!("{options:?}"));
            let store = store::open(&place.parse().unwrap(), options).await.unwrap();
            let check = store.check().await.unwrap_err();
            let delete = store.delete("x").await;
            let cause = std::error::Error::source(&check).map(ToString::to_string);
            shown.push(format!(
                "{store} {store:?} {check} {check:?} {cause:?} {delete:?}"
            ));
        }
    }
    shown.push(lines.text());
    let shown = shown.join("\n");
    assert!(
        shown.contains("asking the store again") && shown.contains("*** ***"),
        "{shown}"
    );
    for secret in [
        "planted-key",
        "planted-session",
        "planted-token",
        "planted-entra",
    ] {
        let at = shown.find(secret);
        assert!(
            at.is_none(),
            "{secret} in {}",
            &shown[at.unwrap_or(0).saturating_sub(300)..][..600]
        );
    }
}
