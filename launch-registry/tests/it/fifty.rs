//! Fifty pushes to a real registry, of whose requests one in twenty fails.

use std::process::Command;

use launch_registry::conformance::{Log, Sample};
use launch_registry::memory::{Faults, FaultyProxy};
use launch_registry::{PushEvent, Registry as _};

use crate::support::{anonymous, real, skopeo};

const PUSHES: u64 = 50;

/// A different image each: two layers that are streamed, two that go in one piece.
fn sample() -> Sample {
    Sample::random(3_000_000)
        .with_layer(Sample::noise(1_500_000))
        .with_layer(Sample::noise(70_000))
        .with_layer(Sample::noise(3000))
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_pushes_through_a_faulty_proxy_are_whole() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    if skopeo(&["--version"]).is_none() {
        return;
    }
    let proxy = FaultyProxy::start(&host, Faults::default()).await.unwrap();
    let (registry, mut retries, mut verified) = (anonymous(), 0, 0);
    for seed in 0..PUSHES {
        let faults = Faults::default().with_resets(0.025).with_errors(0.025);
        proxy.set_faults(faults.with_seed(seed));
        let layout = tempfile::tempdir().unwrap();
        let digest = sample().write(layout.path()).unwrap();
        let path = format!("fifty/{}:v1", digest.to_hex());
        let name = format!("{}/{path}", proxy.host()).parse().unwrap();
        let log = Log::default();
        let pushed = registry.push(layout.path(), &name, &log.events()).await;
        let pushed = pushed.unwrap_or_else(|error| panic!("push {seed}: {error:?}"));
        assert_eq!(pushed.digest(), digest);
        let is_retry = |event: &&PushEvent| matches!(event, PushEvent::Retry { .. });
        retries += log.take().iter().filter(is_retry).count();
        // From the registry itself; skopeo checks every digest of what it copies.
        let copy = tempfile::tempdir().unwrap();
        let from = format!("docker://{host}/{path}");
        let to = format!("dir:{}", copy.path().display());
        skopeo(&[
            "copy",
            "--src-tls-verify=false",
            "--preserve-digests",
            &from,
            &to,
        ]);
        let shown = Command::new("sha256sum")
            .arg(copy.path().join("manifest.json"))
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&shown.stdout).starts_with(&digest.to_hex()));
        verified += 1;
    }
    let (requests, failed) = proxy.counts();
    eprintln!(
        "{PUSHES} pushes, {requests} requests, {failed} of them failed, {retries} tries again, {verified} images verified by skopeo"
    );
    assert!(
        failed > requests / 40,
        "about one in twenty fails: {failed} of {requests}"
    );
}
