//! Real registries, named by the environment.

use std::process::Command;
use std::sync::Arc;

use launch_registry::Registry as _;
use launch_registry::conformance::{self, Sample, Subject};

use crate::support::{anonymous, known, real, silent};

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
    if Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("skipped: skopeo is not installed");
        return;
    }
    let layout = tempfile::tempdir().unwrap();
    let samples =
        ["amd64", "arm64"].map(|cpu| Sample::random(2_000_000).with_platform("linux", cpu));
    let digest = Sample::write_all(&samples, layout.path()).unwrap();
    let name = format!("{host}/launch-registry/skopeo:v1");
    anonymous()
        .push(layout.path(), &name.parse().unwrap(), &silent())
        .await
        .unwrap();
    let mut skopeo = Command::new("skopeo");
    skopeo.args([
        "inspect",
        "--tls-verify=false",
        "--override-arch=arm64",
        "--override-os=linux",
    ]);
    let output = skopeo.arg(format!("docker://{name}")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains(&digest.to_string()) && text.contains("\"arm64\""),
        "{text}"
    );
    let copy = tempfile::tempdir().unwrap();
    let mut skopeo = Command::new("skopeo");
    skopeo.args([
        "copy",
        "--all",
        "--src-tls-verify=false",
        &format!("docker://{name}"),
    ]);
    let copied = skopeo
        .arg(format!("oci:{}:v1", copy.path().display()))
        .output()
        .unwrap();
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
}
