//! Layers that another repository has already.

use launch_registry::config::secret::Secret;
use launch_registry::conformance::{Log, Sample};
use launch_registry::memory::MemoryRegistry;
use launch_registry::{BlobSource, PushEvent, Registry as _};

use crate::support::{image, known, silent};

fn mounted(log: &Log) -> usize {
    let is = |event: &PushEvent| {
        matches!(
            event,
            PushEvent::Done {
                how: BlobSource::Mounted,
                ..
            }
        )
    };
    log.take().iter().filter(|event| is(event)).count()
}

#[tokio::test]
async fn layers_of_the_base_are_mounted() {
    let password = Secret::new("planted");
    let builder = MemoryRegistry::builder().with_bearer("u", password, None);
    let server = builder.start().await.unwrap();
    let registry = known(&server.host(), "u", "planted");
    let base = Sample::random(2_000_000);
    let layout = tempfile::tempdir().unwrap();
    base.write(layout.path()).unwrap();
    registry
        .push(layout.path(), &image(&server, "library/base:1"), &silent())
        .await
        .unwrap();
    let before = server.counts();

    let ours = tempfile::tempdir().unwrap();
    base.with_layer(vec![3; 2000]).write(ours.path()).unwrap();
    let log = Log::default();
    let registry = registry.with_mount_from(["not/there", "library/base"]);
    registry
        .push(ours.path(), &image(&server, "ours:1"), &log.events())
        .await
        .unwrap();
    assert_eq!(mounted(&log), 1);
    let counts = server.counts();
    assert!(
        counts.bytes - before.bytes < 3000,
        "the base was not sent again: {counts:?}"
    );
    assert_eq!(
        server.open_uploads(),
        0,
        "uploads that were opened are used or cancelled"
    );
}
