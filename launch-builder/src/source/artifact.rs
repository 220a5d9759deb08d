//! A source that is a list of files by digest: a code artifact.
//!
//! Where the files are is for an [`ArtifactStore`] to know, which a queue's backend
//! implements; what they are is checked here. A file counts as fetched when its bytes have
//! the size and the digest of the manifest, and not before. Names that leave the target are
//! refused before the first byte is fetched.
//!
//! Files come several at a time. One that breaks off goes on where it stopped, also in
//! another process, if [`FetchOptions::with_cache`] gives them a place that stays.
//!
//! ```
//! use std::sync::Arc;
//! use launch_builder::event::Events;
//! use launch_builder::source::FetchOptions;
//! use launch_builder::source::artifact::{
//!     ArtifactStore, Content, Manifest, ManifestFile, StoreError, fetch,
//! };
//! use launch_config::wandb_ref::ArtifactRef;
//!
//! /// A store that has one file.
//! #[derive(Debug)]
//! struct Fixed;
//!
//! #[async_trait::async_trait]
//! impl ArtifactStore for Fixed {
//!     async fn manifest(&self, _: &ArtifactRef) -> Result<Manifest, StoreError> {
//!         let digest = "3uXEaYn17AkjERiPT+gpww==";
//!         let text = format!(
//!             r#"{{"version": 1, "contents": {{"train.py": {{"digest": "{digest}", "size": 9}}}}}}"#
//!         );
//!         Manifest::from_json(text.as_bytes()).map_err(StoreError::refused)
//!     }
//!
//!     async fn open(
//!         &self,
//!         _: &ArtifactRef,
//!         _: &ManifestFile,
//!         offset: u64,
//!     ) -> Result<Content, StoreError> {
//!         let rest = &b"print(1)\n"[usize::try_from(offset).map_err(StoreError::refused)?..];
//!         Ok(Box::new(rest))
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let artifact = "wandb-artifact://acme/vision/code:v1".parse()?;
//! let tree = fetch(Arc::new(Fixed), &artifact, &FetchOptions::new(), &Events::silent()).await?;
//! assert!(tree.root().join("train.py").is_file());
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod download;
mod manifest;
mod object;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use launch_config::wandb_ref::ArtifactRef;
use tokio::io::AsyncRead;

pub use self::manifest::{ContentDigest, Manifest, ManifestFile};
use super::scratch::Scratch;
use super::{FetchOptions, SourceTree, blocking};
use crate::error::Error;
use crate::event::Events;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The bytes of a file, from the offset asked for.
pub type Content = Box<dyn AsyncRead + Send + Unpin>;

/// Where artifacts are.
///
/// # Contract
///
/// - An artifact never changes: the same reference by version or id has the same manifest.
/// - `open` may be called for many files at once, and again for one that broke off; it
///   answers the bytes from `offset` to the end. Nothing it answers is trusted.
/// - Dropping a future or a [`Content`] ends its request.
#[async_trait]
pub trait ArtifactStore: Debug + Send + Sync + 'static {
    /// The files of an artifact.
    ///
    /// # Errors
    /// [`StoreError`]; an artifact that was deleted is [`StoreError::Absent`].
    async fn manifest(&self, artifact: &ArtifactRef) -> Result<Manifest, StoreError>;

    /// A file of an artifact, from `offset` on.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open(
        &self,
        artifact: &ArtifactRef,
        file: &ManifestFile,
        offset: u64,
    ) -> Result<Content, StoreError>;
}

/// Why a store did not answer what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such artifact, or it was deleted.
    #[error("there is no such artifact (was it deleted?)")]
    Absent,
    /// Another try may succeed.
    #[error("the store does not answer")]
    Unavailable(#[source] Cause),
    /// Another try will not.
    #[error("the store refuses")]
    Refused(#[source] Cause),
}

impl StoreError {
    /// A failure that another try may not meet.
    pub fn unavailable(error: impl Into<Cause>) -> Self {
        Self::Unavailable(error.into())
    }

    /// A failure that every try will meet.
    pub fn refused(error: impl Into<Cause>) -> Self {
        Self::Refused(error.into())
    }
}

/// Fetches all files of an artifact into a fresh directory.
///
/// Dropping the future ends all downloads and removes what has no place in the cache.
///
/// # Errors
/// [`Error::Artifact`] if the store fails or an artifact is not what its manifest says,
/// [`Error::Path`] for a name that leads out.
pub async fn fetch(
    store: Arc<dyn ArtifactStore>,
    artifact: &ArtifactRef,
    options: &FetchOptions,
    events: &Events,
) -> Result<SourceTree, Error> {
    let scratch = Scratch::new(options.scratch.clone()).await?;
    fetch_into(store, artifact, scratch.checkout(), options, events).await?;
    let checkout = scratch.checkout().to_owned();
    let root = blocking(move || Ok(checkout.canonicalize()?)).await?;
    Ok(SourceTree {
        root,
        origin: artifact.to_string(),
        revision: None,
        _scratch: Some(scratch.keep()),
    })
}

/// Fetches all files of an artifact into a directory of ours, over what is there.
pub(super) async fn fetch_into(
    store: Arc<dyn ArtifactStore>,
    artifact: &ArtifactRef,
    target: &std::path::Path,
    options: &FetchOptions,
    events: &Events,
) -> Result<(), Error> {
    let fetching = download::all(store, artifact, target, options, events);
    match tokio::time::timeout(options.timeout, fetching).await {
        Ok(fetched) => fetched,
        Err(_) => Err(Error::Artifact {
            artifact: artifact.to_string(),
            what: format!("gave up after {} s", options.timeout.as_secs_f32()),
            is_retryable: true,
            source: None,
        }),
    }
}
