//! Stores reached as the surroundings of a process say: each test runs itself again, as a
//! process in other surroundings.

use std::process::Command;

use launch_registry::store::{self, StoreOptions};

use super::fake::FakeStore;
use crate::support::real;

/// Says that this process is the second one.
const AGAIN: &str = "LAUNCH_TEST_FOUND";
const CLIENT: &str = "11111111-2222-3333-4444-555555555555";

/// Runs a test of this file again with these variables and no others; what it printed.
fn again(test: &str, variables: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("store::found::{test}"), "--nocapture"])
        .env_clear()
        .envs(variables.iter().copied())
        .env(AGAIN, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert!(
        !said.contains("planted"),
        "a secret is in what was said: {said}"
    );
}

fn is_again() -> bool {
    std::env::var_os(AGAIN).is_some()
}

async fn put_and_delete(address: &str) {
    let uri = address.parse().unwrap();
    let options = StoreOptions::found(&uri).await.unwrap();
    let store = store::open(&uri, options).await.unwrap();
    store.check().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("context");
    fs_err::write(&file, "of a found store").unwrap();
    store.put("context", &file).await.unwrap();
    store.delete("context").await.unwrap();
}

#[tokio::test]
async fn s3_is_found() {
    if is_again() {
        return put_and_delete("s3://contexts/found").await;
    }
    let Some(endpoint) = real("LAUNCH_TEST_S3") else {
        return;
    };
    again(
        "s3_is_found",
        &[
            ("AWS_ENDPOINT_URL_S3", &endpoint),
            ("AWS_ACCESS_KEY_ID", "AKIAPLANTED"),
            ("AWS_SECRET_ACCESS_KEY", "planted-secret"),
            ("AWS_REGION", "us-east-1"),
        ],
    );
}

#[tokio::test]
async fn google_cloud_storage_is_found() {
    if is_again() {
        return put_and_delete("gs://contexts-of-google/found").await;
    }
    let (Some(endpoint), Some(identity)) =
        (real("LAUNCH_TEST_GCS"), real("LAUNCH_TEST_CLOUD_IDENTITY"))
    else {
        return;
    };
    let metadata = identity.strip_prefix("http://").unwrap();
    again(
        "google_cloud_storage_is_found",
        &[
            ("STORAGE_EMULATOR_HOST", &endpoint),
            ("GCE_METADATA_HOST", metadata),
            ("HOME", "/nonexistent"),
        ],
    );
}

/// No emulator takes Entra's tokens over plain HTTP: a store of ours looks at what it is sent.
#[tokio::test]
async fn blob_storage_is_found() {
    if is_again() {
        return an_entra_token_is_sent().await;
    }
    let Some(identity) = real("LAUNCH_TEST_CLOUD_IDENTITY") else {
        return;
    };
    again(
        "blob_storage_is_found",
        &[
            ("AZURE_AUTHORITY_HOST", &identity),
            ("AZURE_TENANT_ID", "launch-tenant"),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_CLIENT_SECRET", "planted-entra-secret"),
            ("HOME", "/nonexistent"),
        ],
    );
}

async fn an_entra_token_is_sent() {
    let fake = FakeStore::start(|_| {
        (
            200,
            "ETag: \"1\"\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
            "",
        )
    })
    .await;
    let uri = "https://launchtest.blob.core.windows.net/contexts"
        .parse()
        .unwrap();
    let options = StoreOptions::found(&uri).await.unwrap();
    let options = options.with_endpoint(fake.url.parse().unwrap());
    let store = store::open(&uri, options).await.unwrap();
    // What it answers is no store's answer; what it was sent counts.
    let _ = store.check().await;
    let seen = fake.seen();
    assert!(!seen.is_empty(), "the store was asked nothing");
    for request in seen {
        let head = request.head.to_ascii_lowercase();
        assert!(head.contains("authorization: bearer planted-"), "no token");
    }
}
