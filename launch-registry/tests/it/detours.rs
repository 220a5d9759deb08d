//! Registries that change their mind in the middle of a push.

use std::sync::Arc;
use std::time::{Duration, Instant};

use launch_registry::config::image::Digest;
use launch_registry::config::secret::Secret;
use launch_registry::conformance::{Log, Sample};
use launch_registry::memory::{Faults, Guard, MemoryRegistry};
use launch_registry::oci::{AnonymousKeychain, OciRegistry};
use launch_registry::{BlobSource, Error, PushEvent, PushEvents, Registry as _};
use tempfile::TempDir;

use crate::support::{anonymous, image, known, silent};

const PASSWORD: &str = "planted-pa55word";

/// Layers that are streamed, and one that goes in one piece.
fn large() -> (TempDir, Digest) {
    let layout = tempfile::tempdir().unwrap();
    let sample = Sample::random(3_000_000)
        .with_layer(vec![1; 2_500_000])
        .with_layer(vec![2; 400_000]);
    let digest = sample.write(layout.path()).unwrap();
    (layout, digest)
}

fn guards() -> [Guard; 3] {
    let (user, password) = ("u".to_owned(), Secret::new(PASSWORD));
    let bearer = Guard::Bearer {
        user: user.clone(),
        password: password.clone(),
        good_for: None,
    };
    [Guard::Open, Guard::Basic { user, password }, bearer]
}

/// Does something when a push has come so far, once.
fn once_sent(bytes: u64, act: impl FnOnce() + Send + 'static) -> PushEvents {
    let act = std::sync::Mutex::new(Some(act));
    Arc::new(move |event| {
        if matches!(event, PushEvent::Sent { bytes: sent, .. } if sent >= bytes)
            && let Some(act) = act.lock().unwrap().take()
        {
            act();
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_challenge_in_the_middle_of_a_push_is_answered() {
    for before in guards() {
        for after in guards() {
            let server = Arc::new(MemoryRegistry::builder().start().await.unwrap());
            server.set_guard(before.clone());
            let registry = known(&server.host(), "u", PASSWORD);
            let (layout, digest) = large();
            let (changing, next) = (Arc::clone(&server), after.clone());
            let events = once_sent(1_000_000, move || changing.set_guard(next));
            let pushed = registry
                .push(layout.path(), &image(&server, "a:v1"), &events)
                .await;
            let pushed = pushed.unwrap_or_else(|error| panic!("{before:?}, {after:?}: {error:?}"));
            assert_eq!(pushed.digest(), digest);
            assert!(server.manifest("a", "v1").is_some());
        }
    }
}

#[tokio::test]
async fn uploads_are_redirected_to_another_host_without_credentials() {
    let builder = MemoryRegistry::builder().with_bearer("u", Secret::new(PASSWORD), None);
    let server = builder
        .with_uploads_elsewhere()
        .with_faults(Faults::default().with_redirects())
        .start()
        .await
        .unwrap();
    let (layout, digest) = large();
    let registry = known(&server.host(), "u", PASSWORD);
    let name = image(&server, "a:v1");
    let pushed = registry
        .push(layout.path(), &name, &silent())
        .await
        .unwrap();
    assert_eq!(pushed.digest(), digest);
    let counts = server.counts();
    assert_eq!((counts.leaks, counts.blobs), (0, 4), "{counts:?}");
}

#[tokio::test]
async fn a_limit_of_requests_is_kept_and_remembered() {
    let server = MemoryRegistry::builder()
        .with_faults(Faults::default().with_limit(1 << 20))
        .start()
        .await
        .unwrap();
    let registry = OciRegistry::builder()
        .keychain(AnonymousKeychain)
        .with_parallel(1)
        .build()
        .unwrap();
    let (layout, digest) = large();
    let name = image(&server, "a:v1");
    let pushed = registry
        .push(layout.path(), &name, &silent())
        .await
        .unwrap();
    assert_eq!(pushed.digest(), digest);
    let counts = server.counts();
    assert!(
        counts.bytes < 6_000_000,
        "what was refused was not sent: {counts:?}"
    );
    // HEAD, POST, three PATCH each of a MiB, PUT; once more for the first, which was too large.
    assert!(counts.requests < 25, "one refusal is enough: {counts:?}");
}

#[tokio::test]
async fn a_limit_that_nothing_fits_is_told() {
    let faults = Faults::default().with_limit(100_000);
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let (layout, _) = large();
    let error = anonymous()
        .push(layout.path(), &image(&server, "a:v1"), &silent())
        .await
        .unwrap_err();
    let Error::TooLarge { bytes, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(*bytes <= 1 << 20, "{error}");
    assert!(error.to_string().contains("does not take the"), "{error}");
    assert!(error.hint().unwrap().contains("client_max_body_size") && !error.is_retryable());
}

#[tokio::test]
async fn a_wait_the_registry_names_is_kept() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let registry = anonymous();
    let name = image(&server, "a:v1");
    registry.check(&name).await.unwrap();
    let busy = Faults::default()
        .with_throttles(0.5)
        .with_retry_after(Duration::from_secs(1))
        .with_seed(4);
    server.set_faults(busy);
    let began = Instant::now();
    registry.check(&name).await.unwrap();
    registry.check(&name).await.unwrap();
    let faults = server.counts().faults;
    assert!(
        faults > 0 && began.elapsed() >= Duration::from_secs(faults),
        "{faults} waits of a second"
    );
}

#[tokio::test]
async fn layers_pushed_before_are_mounted_without_being_told() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let registry = anonymous();
    let (layout, digest) = large();
    registry
        .push(layout.path(), &image(&server, "first:v1"), &silent())
        .await
        .unwrap();
    let sent = server.counts().bytes;
    let log = Log::default();
    let name = image(&server, "second:v1");
    let pushed = registry
        .push(layout.path(), &name, &log.events())
        .await
        .unwrap();
    assert_eq!(
        (pushed.digest(), server.counts().bytes),
        (digest, sent),
        "nothing is sent twice"
    );
    let is_mounted = |event: &PushEvent| {
        matches!(
            event,
            PushEvent::Done {
                how: BlobSource::Mounted,
                ..
            }
        )
    };
    assert_eq!(
        log.take().iter().filter(|event| is_mounted(event)).count(),
        4
    );
}

#[tokio::test]
async fn a_manifest_that_is_not_confirmed_is_looked_at() {
    let faults = Faults::default().with_silence();
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let layout = tempfile::tempdir().unwrap();
    Sample::random(100).write(layout.path()).unwrap();
    let registry = anonymous();
    registry
        .push(layout.path(), &image(&server, "a:v1"), &silent())
        .await
        .unwrap();
    let requests = server.counts().requests;
    // HEAD, POST, PUT for each blob; PUT, HEAD, GET for the manifest.
    assert_eq!(requests, 9, "{:?}", server.counts());
}
