//! Registries that misbehave.

use std::time::Duration;

use launch_registry::conformance::{Log, Sample};
use launch_registry::memory::{Faults, MemoryRegistry};
use launch_registry::oci::{AnonymousKeychain, OciRegistry, RetryPolicy, Timeouts};
use launch_registry::{Error, PushEvent, Registry as _};

use crate::support::{anonymous, fast, image, silent};

fn shaky(seed: u64) -> Faults {
    Faults::default()
        .with_resets(0.05)
        .with_errors(0.05)
        .with_throttles(0.05)
        .with_seed(seed)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_pushes_survive_a_shaky_registry() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let registry = anonymous();
    for seed in 0..50 {
        server.set_faults(shaky(seed));
        let layout = tempfile::tempdir().unwrap();
        let sample = Sample::random(1_200_000)
            .with_layer(vec![1; 5000])
            .with_layer(vec![2; 70_000]);
        let digest = sample.write(layout.path()).unwrap();
        let name = image(&server, &format!("shaky/{seed}:v1"));
        let pushed = registry.push(layout.path(), &name, &silent()).await;
        assert_eq!(
            pushed
                .unwrap_or_else(|e| panic!("push {seed}: {e:?}"))
                .digest(),
            digest
        );
        assert_eq!(registry.find(&name).await.unwrap(), Some(digest));
    }
    assert!(
        server.counts().faults > 30,
        "the registry was shaky: {:?}",
        server.counts()
    );
}

#[tokio::test]
async fn a_broken_upload_goes_on_where_it_stood() {
    const SIZE: usize = 6_000_000;
    let faults = Faults::default().with_breaks(3, 1_500_000);
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let layout = tempfile::tempdir().unwrap();
    Sample::random(SIZE).write(layout.path()).unwrap();
    let log = Log::default();
    anonymous()
        .push(layout.path(), &image(&server, "a:v1"), &log.events())
        .await
        .unwrap();
    let counts = server.counts();
    assert!(
        counts.bytes < SIZE as u64 + 2000,
        "nothing was sent twice: {counts:?}"
    );
    assert_eq!(
        counts.uploads, 2,
        "one upload for the layer, one for the config"
    );
    let retries = log
        .take()
        .into_iter()
        .filter(|event| matches!(event, PushEvent::Retry { .. }));
    assert_eq!(retries.count(), 3);
}

#[tokio::test]
async fn a_slow_registry_is_waited_for() {
    let faults = Faults::default().with_latency(Duration::from_millis(100));
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let layout = tempfile::tempdir().unwrap();
    let digest = Sample::random(2_000_000).write(layout.path()).unwrap();
    let name = image(&server, "slow:v1");
    let pushed = anonymous()
        .push(layout.path(), &name, &silent())
        .await
        .unwrap();
    assert_eq!(pushed.digest(), digest);
}

#[tokio::test]
async fn a_registry_that_never_answers_is_given_up() {
    let faults = Faults::default().with_latency(Duration::from_hours(1));
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let short = Duration::from_millis(100);
    let timeouts = Timeouts::default().with_answer(short).with_stall(short);
    let builder = OciRegistry::builder()
        .keychain(AnonymousKeychain)
        .with_timeouts(timeouts);
    let registry = builder.with_retry(fast().with_tries(2)).build().unwrap();
    let error = registry.find(&image(&server, "a:v1")).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { tries: 2, .. }),
        "{error:?}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn an_upload_that_stands_still_is_given_up() {
    let faults = Faults::default().with_stalls();
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let timeouts = Timeouts::default().with_stall(Duration::from_millis(200));
    let builder = OciRegistry::builder()
        .keychain(AnonymousKeychain)
        .with_timeouts(timeouts);
    let registry = builder.with_retry(fast().with_tries(2)).build().unwrap();
    let layout = tempfile::tempdir().unwrap();
    Sample::random(8_000_000).write(layout.path()).unwrap();
    let name = image(&server, "a:v1");
    let error = registry
        .push(layout.path(), &name, &silent())
        .await
        .unwrap_err();
    let Error::Unreachable {
        tries: 2, source, ..
    } = &error
    else {
        panic!("{error:?}")
    };
    assert!(
        source.to_string().starts_with("the upload stood still"),
        "{source}"
    );
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let gone = MemoryRegistry::builder().start().await.unwrap();
    let name = image(&gone, "a:v1");
    drop(gone);
    let registry = OciRegistry::builder()
        .with_retry(fast().with_tries(3))
        .build()
        .unwrap();
    let error = registry.find(&name).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { tries: 3, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_error_that_stays_is_shown_as_the_registry_put_it() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let registry = anonymous();
    let name = image(&server, "a:v1");
    registry.check(&name).await.unwrap();
    server.set_faults(Faults::default().with_errors(1.0));
    let error = registry.check(&name).await.unwrap_err();
    let expected = "answered 500 to POST /v2/a/blobs/uploads/: bad luck (UNKNOWN)";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_registry_that_lies_about_digests_is_found_out() {
    let faults = Faults::default().with_lies();
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    for size in [100, 2_000_000] {
        let layout = tempfile::tempdir().unwrap();
        Sample::random(size).write(layout.path()).unwrap();
        let name = image(&server, "a:v1");
        let error = anonymous()
            .push(layout.path(), &name, &silent())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Digest { .. }), "{error:?}");
        assert_eq!(server.counts().manifests, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_push_stops() {
    let faults = Faults::default().with_latency(Duration::from_millis(50));
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let layout = tempfile::tempdir().unwrap();
    Sample::random(8_000_000).write(layout.path()).unwrap();
    let name = image(&server, "a:v1");
    let registry = anonymous();
    let events = silent();
    let push = registry.push(layout.path(), &name, &events);
    assert!(
        tokio::time::timeout(Duration::from_millis(120), push)
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = server.counts();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((server.counts(), before.manifests), (before, 0));
}

#[tokio::test]
async fn the_registrys_wait_is_kept_within_our_patience() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let patience = RetryPolicy::default()
        .with_first(Duration::from_millis(1))
        .with_tries(50);
    let builder = OciRegistry::builder().keychain(AnonymousKeychain);
    let registry = builder.with_retry(patience).build().unwrap();
    server.set_faults(Faults::default().with_throttles(0.6).with_seed(1));
    for _ in 0..5 {
        registry.check(&image(&server, "a:v1")).await.unwrap();
    }
}
