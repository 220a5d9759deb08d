//! Code artifacts from a store that fails in every way it can.

#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use launch_builder::Error;
use launch_builder::event::Events;
use launch_builder::source::artifact::{
    ArtifactStore, Content, ContentDigest, Manifest, ManifestFile, StoreError, fetch,
};
use launch_builder::source::{FetchOptions, SourceTree};
use launch_config::wandb_ref::ArtifactRef;
use md5::{Digest as _, Md5};
use tokio::io::{AsyncRead, ReadBuf};

/// Files in memory, and what goes wrong with each.
#[derive(Debug, Default)]
struct Store {
    files: BTreeMap<String, Vec<u8>>,
    /// Of a file's bytes, so many come before the connection breaks, each time.
    breaks_after: Option<usize>,
    /// These bytes come instead.
    forged: Option<Vec<u8>>,
    gone: bool,
    /// Every file that was opened, and from where.
    opened: Mutex<Vec<(String, u64)>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Store {
    fn of(files: &[(&str, &[u8])]) -> Self {
        let own = |(name, bytes): &(&str, &[u8])| ((*name).to_owned(), bytes.to_vec());
        Self {
            files: files.iter().map(own).collect(),
            ..Self::default()
        }
    }

    fn opened(&self) -> Vec<(String, u64)> {
        self.opened.lock().unwrap().clone()
    }
}

#[async_trait]
impl ArtifactStore for Store {
    async fn manifest(&self, _: &ArtifactRef) -> Result<Manifest, StoreError> {
        if self.gone {
            return Err(StoreError::Absent);
        }
        let file = |(name, bytes): (&String, &Vec<u8>)| {
            let digest = ContentDigest::Md5(Md5::digest(bytes).into());
            ManifestFile::new(name, digest, bytes.len() as u64)
        };
        Manifest::new(self.files.iter().map(file).collect()).map_err(StoreError::refused)
    }

    async fn open(
        &self,
        _: &ArtifactRef,
        file: &ManifestFile,
        offset: u64,
    ) -> Result<Content, StoreError> {
        self.opened
            .lock()
            .unwrap()
            .push((file.path.clone(), offset));
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let bytes = self.forged.as_ref().unwrap_or(&self.files[&file.path]);
        let rest = bytes[usize::try_from(offset).unwrap()..].to_vec();
        let Some(count) = self.breaks_after else {
            return Ok(Box::new(std::io::Cursor::new(rest)));
        };
        let is_last = rest.len() <= count;
        let rest = rest[..rest.len().min(count)].to_vec();
        Ok(Box::new(Breaking { rest, is_last }))
    }
}

/// Breaks when its bytes are read, unless they were the last.
struct Breaking {
    rest: Vec<u8>,
    is_last: bool,
}

impl AsyncRead for Breaking {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.rest.is_empty() && !self.is_last {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
        buffer.put_slice(&std::mem::take(&mut self.rest));
        Poll::Ready(Ok(()))
    }
}

fn artifact() -> ArtifactRef {
    "wandb-artifact://acme/vision/code:v1".parse().unwrap()
}

fn options() -> FetchOptions {
    FetchOptions::new().with_retry_pause(Duration::from_millis(1))
}

async fn fetched(store: &Arc<Store>, options: &FetchOptions) -> Result<SourceTree, Error> {
    let store = Arc::clone(store);
    fetch(store, &artifact(), options, &Events::silent()).await
}

fn read(tree: &SourceTree, path: &str) -> Vec<u8> {
    fs_err::read(tree.root().join(path)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_at_the_same_time_and_as_they_are() {
    let files: Vec<(String, Vec<u8>)> = (0..100)
        .map(|number| {
            (
                format!("d{}/f{number}", number % 7),
                vec![number; number.into()],
            )
        })
        .collect();
    let named: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(n, b)| (n.as_str(), b.as_slice()))
        .collect();
    let store = Arc::new(Store::of(&named));
    let tree = fetched(&store, &options()).await.unwrap();
    for (name, bytes) in &files {
        assert_eq!(&read(&tree, name), bytes, "{name}");
    }
    assert_eq!(tree.origin(), "wandb-artifact://acme/vision/code:v1");
    let most = store.most_at_once.load(Ordering::SeqCst);
    assert!((2..=32).contains(&most), "{most} at once");
    let (root, paths) = (
        tree.root().to_owned(),
        fs_err::read_dir(tree.root()).unwrap().count(),
    );
    assert_eq!(paths, 7, "nothing but the files is there");
    drop(tree);
    assert!(!root.exists(), "a fetched artifact goes with its value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_goes_on_where_it_stopped() {
    let bytes: Vec<u8> = (0..100_u8).collect();
    let store = Arc::new(Store {
        breaks_after: Some(7),
        ..Store::of(&[("a", &bytes)])
    });
    let tree = fetched(&store, &options()).await.unwrap();
    assert_eq!(read(&tree, "a"), bytes);
    let offsets: Vec<u64> = store
        .opened()
        .into_iter()
        .map(|(_, offset)| offset)
        .collect();
    assert_eq!(
        offsets,
        (0..15).map(|count| count * 7).collect::<Vec<u64>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_goes_on_and_asks_for_nothing_twice() {
    let cache = tempfile::tempdir().unwrap();
    let options = options().with_cache(cache.path());
    let bytes = vec![7; 1000];
    let dying = Arc::new(Store {
        breaks_after: Some(0),
        ..Store::of(&[("a", &bytes)])
    });
    // What a process that died at byte 600 left.
    let digest = ContentDigest::Md5(Md5::digest(&bytes).into()).to_string();
    let name = format!("{}-1000", digest.replace(':', "-"));
    fs_err::write(cache.path().join(format!("{name}.part")), &bytes[..600]).unwrap();
    let error = fetched(&dying, &options).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(
        dying.opened().iter().all(|(_, offset)| *offset == 600),
        "{:?}",
        dying.opened()
    );

    let store = Arc::new(Store::of(&[("a", &bytes), ("b/same", &bytes)]));
    let tree = fetched(&store, &options).await.unwrap();
    assert_eq!(
        (read(&tree, "a"), read(&tree, "b/same")),
        (bytes.clone(), bytes.clone())
    );
    assert!(
        store.opened().contains(&("a".to_owned(), 600))
            || store.opened().contains(&("b/same".to_owned(), 600))
    );

    let again = Arc::new(Store::of(&[("a", &bytes)]));
    fetched(&again, &options).await.unwrap();
    assert_eq!(again.opened(), [], "it is in the cache");
    // A file somebody wrote to is not taken for what its name says.
    fs_err::write(cache.path().join(&name), vec![8; 1000]).unwrap();
    let tree = fetched(&again, &options).await.unwrap();
    assert_eq!(read(&tree, "a"), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_the_files_are_refused() {
    for forged in [vec![1; 10], vec![2; 11], vec![2; 1 << 20]] {
        let scratch = tempfile::tempdir().unwrap();
        let store = Arc::new(Store {
            forged: Some(forged.clone()),
            ..Store::of(&[("a", &[2; 10])])
        });
        let options = options().with_scratch(scratch.path());
        let error = fetched(&store, &options).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`a` is not the 10 bytes with md5:"), "{text}");
        assert!(!error.is_retryable());
        assert_eq!(store.opened().len(), 5);
    }
    let store = Arc::new(Store {
        forged: Some(vec![2; 9]),
        ..Store::of(&[("a", &[2; 10])])
    });
    let error = fetched(&store, &options()).await.unwrap_err();
    assert!(
        error.is_retryable(),
        "what is missing may yet come: {error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_said_once() {
    let store = Arc::new(Store {
        gone: true,
        ..Store::default()
    });
    let error = fetched(&store, &options()).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("was it deleted?"), "{cause}");
    assert!(!error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_ends_is_given_up() {
    let store = Arc::new(Store {
        breaks_after: Some(0),
        ..Store::of(&[("a", b"x")])
    });
    let options = FetchOptions::new()
        .with_retry_pause(Duration::from_mins(1))
        .with_timeout(Duration::from_millis(200));
    let error = fetched(&store, &options).await.unwrap_err();
    assert!(error.to_string().contains("gave up after 0.2 s"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_download_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let store = Arc::new(Store {
        breaks_after: Some(0),
        ..Store::of(&[("a", b"x")])
    });
    let options = FetchOptions::new()
        .with_scratch(scratch.path())
        .with_retry_pause(Duration::from_mins(1));
    let count = |path: &Path| fs_err::read_dir(path).unwrap().count();
    tokio::select! {
        result = fetched(&store, &options) => panic!("{result:?}"),
        () = tokio::time::sleep(Duration::from_millis(300)) => {}
    }
    for _ in 0..100 {
        if count(scratch.path()) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} entries stay", count(scratch.path()));
}
