//! What every [`ContextStore`] must do, for the authors of adapters.
//!
//! Each function panics with a sentence if the store does not keep the contract; [`all`]
//! runs them in turn. What was put is read back by a [`Reader`], which must not be the store
//! itself: it is given the address only, as the builder in the cluster is.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use launch_config::store::StoreUri;
use tempfile::TempDir;

use super::{Content, ContextStore, StoreError};

/// Reads objects by another way than the store that is examined.
#[async_trait]
pub trait Reader: Debug + Send + Sync {
    /// The object at this address; `None` if there is none.
    async fn read(&self, address: &StoreUri) -> Option<Vec<u8>>;
}

/// The store to be examined.
#[derive(Debug, Clone)]
pub struct Subject {
    store: Arc<dyn ContextStore>,
    reader: Arc<dyn Reader>,
    missing: Option<Arc<dyn ContextStore>>,
    stranger: Option<Arc<dyn ContextStore>>,
}

/// The size of a part: contents around it are of interest.
const PART: usize = 8 * 1024 * 1024;

impl Subject {
    /// `store` is examined under names that nobody else uses.
    pub fn new(store: Arc<dyn ContextStore>, reader: Arc<dyn Reader>) -> Self {
        Self {
            store,
            reader,
            missing: None,
            stranger: None,
        }
    }

    /// The same cloud, and a bucket that is not there.
    #[must_use]
    pub fn with_missing(self, missing: Arc<dyn ContextStore>) -> Self {
        Self {
            missing: Some(missing),
            ..self
        }
    }

    /// The same store with credentials that it must refuse.
    #[must_use]
    pub fn with_stranger(self, stranger: Arc<dyn ContextStore>) -> Self {
        Self {
            stranger: Some(stranger),
            ..self
        }
    }

    async fn put(&self, name: &str, content: &[u8]) -> StoreUri {
        let (_directory, file) = file(content);
        let put = self.store.put(name, &file).await;
        put.unwrap_or_else(|error| panic!("put of {name} failed: {error:?}"))
    }

    async fn put_stream(&self, name: &str, content: Content) -> Result<StoreUri, StoreError> {
        self.store.put_stream(name, content).await
    }

    async fn assert_content(&self, address: &StoreUri, content: &[u8]) {
        let found = self.reader.read(address).await;
        let length = found.as_ref().map(Vec::len);
        let is_same = found.as_deref() == Some(content);
        assert!(
            is_same,
            "{address} has {length:?} bytes, of {} that were put",
            content.len()
        );
    }
}

/// Bytes of which no part is like another.
fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

fn file(content: &[u8]) -> (TempDir, PathBuf) {
    let directory = TempDir::new().expect("there is room for temporary files");
    let file = directory.path().join("context.tar.gz");
    fs_err::write(&file, content).expect("files can be written");
    (directory, file)
}

fn name(what: &str) -> String {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    format!("{what}-{:x}", u64::from_le_bytes(bytes))
}

fn pieces(content: &[u8], length: usize) -> Content {
    let pieces: Vec<_> = content
        .chunks(length)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    stream::iter(pieces).boxed()
}

/// Runs everything.
///
/// # Panics
/// If the store does not keep the contract.
pub async fn all(subject: &Subject) {
    a_check_succeeds(subject).await;
    files_of_all_sizes_arrive(subject).await;
    streams_arrive_whatever_their_pieces(subject).await;
    names_are_kept_as_they_are(subject).await;
    wrong_names_are_refused(subject).await;
    a_put_replaces(subject).await;
    what_cannot_be_read_replaces_nothing(subject).await;
    what_is_deleted_is_gone(subject).await;
    a_dropped_put_leaves_no_object(subject).await;
    a_missing_bucket_is_told(subject).await;
    strangers_are_refused(subject).await;
}

/// `check` succeeds where a put does.
///
/// # Panics
/// If it does not.
pub async fn a_check_succeeds(subject: &Subject) {
    let checked = subject.store.check().await;
    checked.unwrap_or_else(|error| panic!("check of {} failed: {error:?}", subject.store));
}

/// An empty file, one part to the byte, and several parts.
///
/// # Panics
/// If one arrives otherwise than it was.
pub async fn files_of_all_sizes_arrive(subject: &Subject) {
    for length in [0, 1, 5000, PART, PART + 1, 4 * PART + 7] {
        let (content, name) = (content(length), name("file"));
        let address = subject.put(&name, &content).await;
        let (shown, end) = (address.to_string(), format!("/{name}"));
        assert!(shown.ends_with(&end), "{shown} is no address of {name}");
        subject.assert_content(&address, &content).await;
    }
}

/// Small pieces and one that is larger than a part.
///
/// # Panics
/// If one arrives otherwise than it was.
pub async fn streams_arrive_whatever_their_pieces(subject: &Subject) {
    for (length, piece) in [
        (0, 1),
        (900, 100),
        (2 * PART + 3, 1_000_003),
        (2 * PART, 3 * PART),
    ] {
        let (content, name) = (content(length), name("stream"));
        let address = subject.put_stream(&name, pieces(&content, piece)).await;
        let address = address.unwrap_or_else(|error| panic!("put of {name} failed: {error:?}"));
        subject.assert_content(&address, &content).await;
    }
}

/// Names with slashes, spaces, and signs that addresses escape elsewhere.
///
/// # Panics
/// If the object is not found under its address.
pub async fn names_are_kept_as_they_are(subject: &Subject) {
    for odd in [
        "a/b/c.tar.gz",
        "with space",
        "plus+and&eq=:@,;!$'()",
        "ümläut~tilde",
        "dot..",
    ] {
        let name = format!("{}/{odd}", name("names"));
        let address = subject.put(&name, odd.as_bytes()).await;
        assert!(
            address.to_string().ends_with(&name),
            "{address} is no address of {name}"
        );
        subject.assert_content(&address, odd.as_bytes()).await;
    }
}

/// Names that would not be found under their address are refused, and nothing is sent.
///
/// # Panics
/// If they are not.
pub async fn wrong_names_are_refused(subject: &Subject) {
    let (_directory, file) = file(b"x");
    for wrong in [
        "", "/a", "a/", "a//b", "../a", "a?b", "a#b", "a%2fb", "a\nb",
    ] {
        let put = subject.store.put(wrong, &file).await;
        let delete = subject.store.delete(wrong).await;
        let is_refused = matches!(put, Err(StoreError::Name { .. }))
            && matches!(delete, Err(StoreError::Name { .. }));
        assert!(is_refused, "{wrong:?} is no name: {put:?}, {delete:?}");
    }
}

/// A name that is taken gets the new content.
///
/// # Panics
/// If it does not.
pub async fn a_put_replaces(subject: &Subject) {
    let name = name("replaced");
    for length in [PART + 5, 10, 2 * PART] {
        let content = content(length);
        let address = subject.put(&name, &content).await;
        subject.assert_content(&address, &content).await;
    }
}

/// A file that is not there and a stream that breaks are told apart from the store's
/// failures, and what was under the name stays.
///
/// # Panics
/// If not.
pub async fn what_cannot_be_read_replaces_nothing(subject: &Subject) {
    let (name, old) = (name("kept"), content(2000));
    let address = subject.put(&name, &old).await;
    let missing = subject.store.put(&name, "no/such/file".as_ref()).await;
    assert!(
        matches!(missing, Err(StoreError::Io { .. })),
        "no file: {missing:?}"
    );
    for length in [100, 2 * PART] {
        let broken = || stream::iter([Err(std::io::Error::other("the source broke"))]);
        let content = pieces(&content(length), 600_000).chain(broken()).boxed();
        let outcome = subject.put_stream(&name, content).await;
        assert!(
            matches!(outcome, Err(StoreError::Io { .. })),
            "broken: {outcome:?}"
        );
    }
    subject.assert_content(&address, &old).await;
}

/// Deleting works, and works again.
///
/// # Panics
/// If it does not.
pub async fn what_is_deleted_is_gone(subject: &Subject) {
    let name = name("deleted");
    let address = subject.put(&name, b"soon gone").await;
    for round in ["once", "twice"] {
        let deleted = subject.store.delete(&name).await;
        deleted.unwrap_or_else(|error| panic!("delete of {name}, {round}: {error:?}"));
        assert_eq!(
            subject.reader.read(&address).await,
            None,
            "{address} is deleted"
        );
    }
}

/// A put that is dropped in the middle makes no object.
///
/// # Panics
/// If it does.
pub async fn a_dropped_put_leaves_no_object(subject: &Subject) {
    let name = name("dropped");
    let begun = pieces(&content(2 * PART), 500_000);
    let content = begun.chain(stream::pending()).boxed();
    let put = subject.put_stream(&name, content);
    let outcome = tokio::time::timeout(std::time::Duration::from_secs(2), put).await;
    assert!(
        outcome.is_err(),
        "a stream without an end is put without an end: {outcome:?}"
    );
    let address = subject.put(&name, b"new").await;
    subject.assert_content(&address, b"new").await;
}

/// A bucket that is not there is [`StoreError::Missing`]. Needs [`Subject::with_missing`].
///
/// # Panics
/// If it is not.
pub async fn a_missing_bucket_is_told(subject: &Subject) {
    let Some(missing) = &subject.missing else {
        return;
    };
    let (_directory, file) = file(&content(2 * PART));
    let check = missing.check().await;
    let put = missing.put("x", &file).await.map(drop);
    for (what, outcome) in [("check", check), ("put", put)] {
        let is_told = matches!(outcome, Err(StoreError::Missing { .. }));
        assert!(is_told, "{what} in a bucket that is not there: {outcome:?}");
    }
}

/// Wrong credentials are refused as such. Needs [`Subject::with_stranger`].
///
/// # Panics
/// If they are not.
pub async fn strangers_are_refused(subject: &Subject) {
    let Some(stranger) = &subject.stranger else {
        return;
    };
    let (_directory, file) = file(b"x");
    let check = stranger.check().await;
    let put = stranger.put("x", &file).await.map(drop);
    let delete = stranger.delete("x").await;
    for (what, outcome) in [("check", check), ("put", put), ("delete", delete)] {
        let is_refused = matches!(outcome, Err(StoreError::Unauthorized { .. }));
        assert!(is_refused, "{what} by a stranger: {outcome:?}");
    }
}
