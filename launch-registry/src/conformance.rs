//! What every [`Registry`] must do, for the authors of adapters.
//!
//! Each function panics with a sentence if the registry does not keep the contract.
//! [`all`] runs them in turn against a registry that takes pushes:
//!
//! ```no_run
//! use std::sync::Arc;
//! use launch_registry::conformance::{self, Subject};
//! use launch_registry::oci::OciRegistry;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Arc::new(OciRegistry::builder().build()?);
//! let subject = Subject::new(registry, "127.0.0.1:5000/conformance".parse()?);
//! conformance::all(&subject).await;
//! # Ok(())
//! # }
//! ```

mod sample;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use launch_config::image::{Digest, ImageRef, PinnedImage};
use tempfile::TempDir;

pub use self::sample::Sample;
use crate::{BlobSource, Credentials, Error, PushEvent, PushEvents, Registry};

/// The registry to be examined, and where it may be written to.
#[derive(Clone)]
pub struct Subject {
    registry: Arc<dyn Registry>,
    stranger: Option<Arc<dyn Registry>>,
    puller: Option<Puller>,
    base: ImageRef,
}

/// Makes a client of the same registry that has these credentials and no others.
pub type Puller = Arc<dyn Fn(Option<Credentials>) -> Arc<dyn Registry> + Send + Sync>;

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.registry, self.base)
    }
}

impl Subject {
    /// `registry` is examined in repositories below `base`, whose tag is not used.
    pub fn new(registry: Arc<dyn Registry>, base: ImageRef) -> Self {
        Self {
            registry,
            stranger: None,
            puller: None,
            base,
        }
    }

    /// The same registry with credentials that it must refuse.
    #[must_use]
    pub fn with_stranger(self, stranger: Arc<dyn Registry>) -> Self {
        Self {
            stranger: Some(stranger),
            ..self
        }
    }

    /// How another program would read, with the credentials that [`Registry::credentials`]
    /// hands out.
    #[must_use]
    pub fn with_puller(self, puller: Puller) -> Self {
        let puller = Some(puller);
        Self { puller, ..self }
    }

    /// A name in a repository that nobody has used yet.
    fn image(&self, what: &str) -> ImageRef {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        let random = u64::from_le_bytes(bytes);
        let name = format!("{}/{what}-{random:x}:v1", self.base.name());
        name.parse()
            .expect("the base is a name, and so is what follows")
    }

    async fn push(&self, layout: &TempDir, image: &ImageRef) -> Pushed {
        let log = Log::default();
        let pushed = self
            .registry
            .push(layout.path(), image, &log.events())
            .await;
        let image = pushed.unwrap_or_else(|error| panic!("push of {image} failed: {error:?}"));
        Pushed {
            image,
            events: log.take(),
        }
    }

    async fn find(&self, image: &ImageRef) -> Option<Digest> {
        let found = self.registry.find(image).await;
        found.unwrap_or_else(|error| panic!("find of {image} failed: {error:?}"))
    }
}

struct Pushed {
    image: PinnedImage,
    events: Vec<PushEvent>,
}

/// Keeps the events of a push.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<PushEvent>>>);

impl Log {
    /// What a push is given.
    pub fn events(&self) -> PushEvents {
        let log = Arc::clone(&self.0);
        Arc::new(move |event| {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(event);
        })
    }

    /// What happened since the last time.
    pub fn take(&self) -> Vec<PushEvent> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One thing a registry must do.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it must do, as the name of its function.
    pub name: &'static str,
    run: for<'a> fn(&'a Subject) -> BoxFuture<'a, ()>,
}

impl Case {
    /// Runs it.
    ///
    /// # Panics
    /// If the registry does not do it.
    pub async fn run(&self, subject: &Subject) {
        (self.run)(subject).await;
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        vec![$(Case { name: stringify!($name), run: |subject| Box::pin($name(subject)) }),+]
    };
}

/// Everything a registry must do, for those who count.
pub fn cases() -> Vec<Case> {
    cases![
        a_missing_tag_is_none,
        what_was_pushed_is_found,
        a_second_push_sends_nothing,
        an_index_is_pushed_with_its_images,
        wrong_content_is_refused,
        a_missing_blob_is_refused,
        a_tag_can_be_moved,
        check_leaves_nothing_behind,
        others_can_pull_with_our_credentials,
        strangers_are_refused,
    ]
}

/// Runs everything.
///
/// # Panics
/// If the registry does not keep the contract.
pub async fn all(subject: &Subject) {
    for case in cases() {
        case.run(subject).await;
    }
}

fn layout(samples: &[Sample]) -> (TempDir, Digest) {
    let directory = TempDir::new().expect("there is room for temporary files");
    let digest = Sample::write_all(samples, directory.path()).expect("files can be written");
    (directory, digest)
}

/// `find` answers `None` for a repository, a tag and a digest that are not there.
///
/// # Panics
/// If it does not.
pub async fn a_missing_tag_is_none(subject: &Subject) {
    let image = subject.image("missing");
    assert_eq!(subject.find(&image).await, None, "{image} was never pushed");
    let (layout, _) = layout(&[Sample::random(10)]);
    subject.push(&layout, &image).await;
    let other = image.with_tag("other").expect("`other` is a tag");
    assert_eq!(subject.find(&other).await, None, "{other} was never pushed");
    let pinned = image.pin(Digest::from_sha256([1; 32]));
    assert_eq!(
        subject.find(pinned.image()).await,
        None,
        "{pinned} cannot exist"
    );
}

/// A pushed image is found by tag and by digest, under the digest the layout gives it.
///
/// # Panics
/// If it is not.
pub async fn what_was_pushed_is_found(subject: &Subject) {
    let image = subject.image("found");
    // One layer goes in one piece, one is streamed, one is empty.
    let sample = Sample::random(2_500_000)
        .with_layer(vec![9; 40])
        .with_layer(Vec::new());
    let (layout, digest) = layout(&[sample]);
    let pushed = subject.push(&layout, &image).await;
    assert_eq!(
        pushed.image,
        image.pin(digest),
        "push answers what it pushed"
    );
    assert_eq!(subject.find(&image).await, Some(digest), "by its tag");
    assert_eq!(
        subject.find(pushed.image.image()).await,
        Some(digest),
        "by its digest"
    );
    let sources = sources(&pushed.events);
    assert_eq!(
        sources,
        [BlobSource::Uploaded; 4],
        "three layers and a config are new"
    );
    assert_reported(&pushed.events);
}

/// Every blob is announced, reported to its last byte, and done, in this order.
fn assert_reported(events: &[PushEvent]) {
    for event in events {
        let PushEvent::Blob { digest, size } = event else {
            continue;
        };
        let of_blob = |event: &&PushEvent| match event {
            PushEvent::Sent { digest: of, .. } | PushEvent::Done { digest: of, .. } => of == digest,
            _ => false,
        };
        let rest: Vec<&PushEvent> = events.iter().filter(of_blob).collect();
        assert!(
            matches!(rest.last(), Some(PushEvent::Done { .. })),
            "{digest} is done last"
        );
        let sent = rest.iter().rev().find_map(|event| match event {
            PushEvent::Sent { bytes, .. } => Some(*bytes),
            _ => None,
        });
        assert_eq!(sent.unwrap_or(0), *size, "all of {digest} is reported");
    }
}

fn sources(events: &[PushEvent]) -> Vec<BlobSource> {
    let done = events.iter().filter_map(|event| match event {
        PushEvent::Done { how, .. } => Some(*how),
        _ => None,
    });
    done.collect()
}

/// Pushing again is harmless and sends no blob.
///
/// # Panics
/// If it is not, or does.
pub async fn a_second_push_sends_nothing(subject: &Subject) {
    let image = subject.image("twice");
    let (layout, digest) = layout(&[Sample::random(5000)]);
    subject.push(&layout, &image).await;
    let again = subject.push(&layout, &image).await;
    assert_eq!(again.image.digest(), digest, "the digest stays");
    let sent = again
        .events
        .iter()
        .any(|event| matches!(event, PushEvent::Sent { .. }));
    assert!(!sent, "nothing is sent twice: {:?}", again.events);
    assert_eq!(
        sources(&again.events),
        [BlobSource::Present; 2],
        "layer and config are there"
    );
}

/// An index for several platforms arrives with all its images.
///
/// # Panics
/// If it does not.
pub async fn an_index_is_pushed_with_its_images(subject: &Subject) {
    let image = subject.image("index");
    let sample = || Sample::random(100).with_layer(vec![5; 3000]);
    let samples = ["amd64", "arm64"].map(|cpu| sample().with_platform("linux", cpu));
    let (layout, digest) = layout(&samples);
    let pushed = subject.push(&layout, &image).await;
    assert_eq!(
        subject.find(&image).await,
        Some(digest),
        "the index has the tag"
    );
    for sample in &samples {
        let part = image.pin(sample.digest());
        assert_eq!(
            subject.find(part.image()).await,
            Some(sample.digest()),
            "{part} is part of it"
        );
    }
    let blobs = pushed
        .events
        .iter()
        .filter(|event| matches!(event, PushEvent::Blob { .. }));
    assert_eq!(blobs.count(), 5, "a layer both have goes once");
}

/// Content that does not match its name never becomes an image.
///
/// # Panics
/// If it does.
pub async fn wrong_content_is_refused(subject: &Subject) {
    for length in [700, 1_500_000] {
        let image = subject.image("wrong");
        let sample = Sample::random(length);
        let (layout, _) = layout(std::slice::from_ref(&sample));
        let blob = sample.layer_path(layout.path(), 0);
        let mut content = fs_err::read(&blob).expect("the layer was written");
        content[length / 2] ^= 1;
        fs_err::write(&blob, content).expect("the layer can be written");
        let error = refused(subject, layout.path(), &image).await;
        assert!(
            matches!(error, Error::Digest { .. }),
            "a digest is wrong, and not: {error:?}"
        );
        assert_eq!(subject.find(&image).await, None, "{image} must not exist");
    }
}

/// A layout in which a blob is missing, or cut off, is refused.
///
/// # Panics
/// If it is not.
pub async fn a_missing_blob_is_refused(subject: &Subject) {
    let image = subject.image("broken");
    let sample = Sample::random(900);
    let (layout, _) = layout(std::slice::from_ref(&sample));
    let blob = sample.layer_path(layout.path(), 0);
    fs_err::write(&blob, "short").expect("the layer can be written");
    let error = refused(subject, layout.path(), &image).await;
    assert!(
        matches!(error, Error::Layout { .. }),
        "the layout is broken, and not: {error:?}"
    );
    fs_err::remove_file(&blob).expect("the layer can be removed");
    let error = refused(subject, layout.path(), &image).await;
    assert!(
        matches!(error, Error::Layout { .. }),
        "the layout is broken, and not: {error:?}"
    );
    assert_eq!(subject.find(&image).await, None, "{image} must not exist");
}

async fn refused(subject: &Subject, layout: &Path, image: &ImageRef) -> Error {
    let pushed = subject
        .registry
        .push(layout, image, &Log::default().events())
        .await;
    pushed.expect_err("the push must be refused")
}

/// A tag that is pushed again points to the new image; the old one keeps its digest.
///
/// # Panics
/// If not.
pub async fn a_tag_can_be_moved(subject: &Subject) {
    let image = subject.image("moved");
    let (old, old_digest) = layout(&[Sample::random(50)]);
    let (new, new_digest) = layout(&[Sample::random(50)]);
    subject.push(&old, &image).await;
    subject.push(&new, &image).await;
    assert_eq!(
        subject.find(&image).await,
        Some(new_digest),
        "the tag moved"
    );
    let kept = image.pin(old_digest);
    assert_eq!(
        subject.find(kept.image()).await,
        Some(old_digest),
        "the old image is kept"
    );
}

/// `check` succeeds where a push does, and makes no image.
///
/// # Panics
/// If it does not.
pub async fn check_leaves_nothing_behind(subject: &Subject) {
    let image = subject.image("checked");
    let checked = subject.registry.check(&image).await;
    checked.unwrap_or_else(|error| panic!("check of {image} failed: {error:?}"));
    assert_eq!(subject.find(&image).await, None, "a check pushes nothing");
}

/// What `credentials` hands out, another client can read the image with.
///
/// # Panics
/// If it cannot.
pub async fn others_can_pull_with_our_credentials(subject: &Subject) {
    let image = subject.image("pulled");
    let (layout, digest) = layout(&[Sample::random(70)]);
    subject.push(&layout, &image).await;
    let given = subject.registry.credentials(&image).await;
    let given = given.unwrap_or_else(|error| panic!("no credentials for {image}: {error:?}"));
    let Some(puller) = subject.puller.as_ref() else {
        return;
    };
    let other = puller(given.clone());
    let found = other.find(&image).await;
    let found = found.unwrap_or_else(|error| panic!("{given:?} do not read {image}: {error:?}"));
    assert_eq!(
        found,
        Some(digest),
        "{image} is read with the credentials given"
    );
}

/// Wrong credentials are refused as such, by every method that asks the registry, and
/// before anything is sent. Needs [`Subject::with_stranger`].
///
/// # Panics
/// If they are not.
pub async fn strangers_are_refused(subject: &Subject) {
    let Some(stranger) = &subject.stranger else {
        return;
    };
    let image = subject.image("refused");
    let (layout, _) = layout(&[Sample::random(60)]);
    let log = Log::default();
    let push = stranger
        .push(layout.path(), &image, &log.events())
        .await
        .map(drop);
    let find = stranger.find(&image).await.map(drop);
    let check = stranger.check(&image).await;
    for (what, outcome) in [("push", push), ("find", find), ("check", check)] {
        let is_refused = matches!(outcome, Err(Error::Unauthorized { .. }));
        assert!(
            is_refused,
            "{what} by a stranger must be unauthorized, and is {outcome:?}"
        );
    }
    let done = log
        .take()
        .iter()
        .any(|event| matches!(event, PushEvent::Done { .. }));
    assert!(!done, "a stranger must not get a blob through");
}
