//! The conformance suite against the registry in this process, and layouts of all kinds.

use std::sync::Arc;

use launch_registry::config::image::Digest;
use launch_registry::config::secret::Secret;
use launch_registry::conformance::{self, Sample, Subject};
use launch_registry::memory::{Faults, MemoryRegistry};
use launch_registry::{Error, Registry as _};

use crate::support::{anonymous, image, known, silent};

#[tokio::test]
async fn an_open_registry_conforms() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let subject = Subject::new(Arc::new(anonymous()), image(&server, "base"));
    conformance::all(&subject).await;
}

#[tokio::test]
async fn a_registry_with_passwords_conforms() {
    let password = Secret::new("planted");
    let server = MemoryRegistry::builder()
        .with_basic("u", password)
        .start()
        .await
        .unwrap();
    let subject = Subject::new(
        Arc::new(known(&server.host(), "u", "planted")),
        image(&server, "b"),
    )
    .with_stranger(Arc::new(known(&server.host(), "u", "wrong")));
    conformance::all(&subject).await;
    let nobody = subject.clone().with_stranger(Arc::new(anonymous()));
    conformance::strangers_are_refused(&nobody).await;
}

#[tokio::test]
async fn a_registry_with_tokens_conforms() {
    let password = Secret::new("planted");
    let builder = MemoryRegistry::builder().with_bearer("u", password, None);
    let server = builder.with_uploads_elsewhere().start().await.unwrap();
    let subject = Subject::new(
        Arc::new(known(&server.host(), "u", "planted")),
        image(&server, "b"),
    )
    .with_stranger(Arc::new(known(&server.host(), "u", "wrong")));
    conformance::all(&subject).await;
    assert_eq!(
        server.counts().leaks,
        0,
        "credentials went to the upload host"
    );
    assert!(
        server.counts().tokens < 60,
        "tokens are kept: {:?}",
        server.counts()
    );
}

#[tokio::test]
async fn a_registry_that_does_not_say_digests_conforms() {
    let faults = Faults::default().with_silence();
    let server = MemoryRegistry::builder()
        .with_faults(faults)
        .start()
        .await
        .unwrap();
    let subject = Subject::new(Arc::new(anonymous()), image(&server, "base"));
    conformance::all(&subject).await;
}

#[tokio::test]
async fn what_arrives_is_what_was_sent() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let layout = tempfile::tempdir().unwrap();
    let sample = Sample::random(3_000_000);
    let digest = sample.write(layout.path()).unwrap();
    anonymous()
        .push(layout.path(), &image(&server, "a/b:t"), &silent())
        .await
        .unwrap();
    let manifest = fs_err::read(layout.path().join("blobs/sha256").join(digest.to_hex())).unwrap();
    assert_eq!(server.manifest("a/b", "t").unwrap(), manifest);
    let layer = sample.layer_path(layout.path(), 0);
    let name = layer.file_name().unwrap().to_str().unwrap();
    let stored = server
        .blob("a/b", format!("sha256:{name}").parse().unwrap())
        .unwrap();
    assert!(stored == fs_err::read(&layer).unwrap());
}

#[tokio::test]
async fn a_check_cancels_what_it_began() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    anonymous().check(&image(&server, "a")).await.unwrap();
    assert_eq!((server.counts().cancelled, server.open_uploads()), (1, 0));
}

#[tokio::test]
async fn a_pinned_name_must_fit_the_layout() {
    let server = MemoryRegistry::builder().start().await.unwrap();
    let layout = tempfile::tempdir().unwrap();
    let digest = Sample::random(10).write(layout.path()).unwrap();
    let name = image(&server, "a");
    let pinned = name.pin(digest);
    let pushed = anonymous()
        .push(layout.path(), pinned.image(), &silent())
        .await
        .unwrap();
    assert_eq!(pushed, pinned);
    let wrong = name.pin(Digest::from_sha256([0; 32]));
    let error = anonymous()
        .push(layout.path(), wrong.image(), &silent())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Digest { .. }), "{error:?}");
}
