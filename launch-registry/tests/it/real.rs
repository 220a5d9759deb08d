//! Real registries, named by the environment.

use std::sync::Arc;

use launch_registry::Registry as _;
use launch_registry::conformance::{self, Sample, Subject};
use launch_registry::memory::MemoryRegistry;

use crate::support::{anonymous, image, known, real, silent, skopeo};

#[tokio::test]
async fn an_open_registry_conforms() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    let base = format!("{host}/launch-registry").parse().unwrap();
    conformance::all(&Subject::new(Arc::new(anonymous()), base)).await;
}

async fn guarded(host: &str, password: &str) {
    let base = format!("{host}/launch-registry").parse().unwrap();
    let subject = Subject::new(Arc::new(known(host, "launch", password)), base)
        .with_stranger(Arc::new(known(host, "launch", "wrong")));
    conformance::all(&subject).await;
    let nobody = subject.with_stranger(Arc::new(anonymous()));
    conformance::strangers_are_refused(&nobody).await;
}

#[tokio::test]
async fn a_registry_with_passwords_conforms() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY_BASIC") else {
        return;
    };
    guarded(&host, "s3cret-basic").await;
}

#[tokio::test]
async fn a_registry_with_tokens_conforms() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY_TOKEN") else {
        return;
    };
    guarded(&host, "s3cret-token").await;
}

#[tokio::test]
async fn skopeo_reads_what_we_push() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    let layout = tempfile::tempdir().unwrap();
    let samples = ["amd64", "arm64"].map(|cpu| Sample::random(9000).with_platform("linux", cpu));
    let digest = Sample::write_all(&samples, layout.path()).unwrap();
    let name = format!("{host}/launch-registry/skopeo:v1");
    anonymous()
        .push(layout.path(), &name.parse().unwrap(), &silent())
        .await
        .unwrap();
    let name = format!("docker://{name}");
    let inspect = [
        "inspect",
        "--tls-verify=false",
        "--override-arch=arm64",
        "--override-os=linux",
    ];
    let Some(text) = skopeo(&[&inspect[..], &[&name]].concat()) else {
        return;
    };
    assert!(
        text.contains(&digest.to_string()) && text.contains("\"arm64\""),
        "{text}"
    );
    let copy = tempfile::tempdir().unwrap();
    let copy = format!("oci:{}:v1", copy.path().display());
    skopeo(&["copy", "--all", "--src-tls-verify=false", &name, &copy]);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_to_the_registry_in_this_process() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let layout = tempfile::tempdir().unwrap();
    let digest = Sample::random(300_000).write(layout.path()).unwrap();
    let from = format!("oci:{}", layout.path().display());
    let to = format!("docker://{}/copied:v1", server.host());
    let copied = skopeo(&[
        "copy",
        "--preserve-digests",
        "--dest-tls-verify=false",
        &from,
        &to,
    ]);
    if copied.is_some() {
        let found = anonymous()
            .find(&image(&server, "copied:v1"))
            .await
            .unwrap();
        assert_eq!(found, Some(digest));
    }
}

#[tokio::test]
async fn a_proxy_that_limits_requests_is_no_hindrance() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY_LIMITED") else {
        return;
    };
    let base = format!("{host}/launch-registry").parse().unwrap();
    conformance::all(&Subject::new(Arc::new(anonymous()), base)).await;
}
