//! A real registry behind a proxy that behaves badly.

use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use launch_registry::config::secret::Secret;
use launch_registry::conformance::{Log, Sample};
use launch_registry::memory::{Faults, FaultyProxy};
use launch_registry::oci::{AnonymousKeychain, Keychain, Login};
use launch_registry::{Error, PushEvent, Registry as _};

use crate::support::{anonymous, client, real, silent, skopeo};

const PUSHES: u64 = 50;

/// A different image each: two layers that are streamed, two that go in one piece.
fn sample() -> Sample {
    Sample::random(3_000_000)
        .with_layer(Sample::noise(1_500_000))
        .with_layer(Sample::noise(70_000))
        .with_layer(Sample::noise(3000))
}

/// Pushes through a proxy before the registry at `host`, and asks the registry what it has.
async fn pushed(host: &str, faults: Faults, keychain: impl Keychain + Clone) -> (u64, u64) {
    let proxy = FaultyProxy::start(host, faults).await.unwrap();
    let layout = tempfile::tempdir().unwrap();
    let digest = sample().write(layout.path()).unwrap();
    let path = format!("launch-registry/proxied-{}:v1", &digest.to_hex()[..12]);
    let name = format!("{}/{path}", proxy.host()).parse().unwrap();
    let registry = client(keychain.clone());
    let pushed = registry.push(layout.path(), &name, &silent()).await;
    assert_eq!(pushed.unwrap().digest(), digest);
    let direct = format!("{host}/{path}").parse().unwrap();
    assert_eq!(client(keychain).find(&direct).await.unwrap(), Some(digest));
    proxy.counts()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_registry_is_waited_for() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    let slow = Faults::default().with_latency(Duration::from_millis(150));
    pushed(&host, slow, AnonymousKeychain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_are_redirected_arrive() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    pushed(&host, Faults::default().with_redirects(), AnonymousKeychain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_in_the_middle_of_a_push_are_answered() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY_TOKEN") else {
        return;
    };
    let keychain = Everywhere(Login::password("launch", Secret::new("s3cret-token")));
    let (requests, challenged) = pushed(&host, Faults::default().with_strips(4), keychain).await;
    assert!(
        challenged >= 4,
        "{challenged} of {requests} lost their credentials"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_digests_are_found_out() {
    let Some(host) = real("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    let proxy = FaultyProxy::start(&host, Faults::default().with_lies())
        .await
        .unwrap();
    let layout = tempfile::tempdir().unwrap();
    sample().write(layout.path()).unwrap();
    let name = format!("{}/launch-registry/lies:v1", proxy.host())
        .parse()
        .unwrap();
    let error = anonymous()
        .push(layout.path(), &name, &silent())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error:?}");
}

/// A login for the registry, by whichever address.
#[derive(Debug, Clone)]
struct Everywhere(Login);

#[async_trait]
impl Keychain for Everywhere {
    async fn login(&self, _: &str) -> Result<Option<Login>, Error> {
        Ok(Some(self.0.clone()))
    }
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
