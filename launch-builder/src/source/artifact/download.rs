//! All files of an artifact: several at a time, each until it is what it should be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use launch_config::wandb_ref::ArtifactRef;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::object::{self, Finished, Partial};
use super::{ArtifactStore, FetchOptions, ManifestFile, StoreError, blocking};
use crate::confine;
use crate::error::Error;
use crate::event::{Event, Events};

/// So many files come at a time; the Python agent takes as many.
const AT_ONCE: usize = 32;
/// A file that made no headway is asked for so many times.
const TRIES: u32 = 5;
/// What is read at a time; with [`AT_ONCE`] it bounds the memory.
const BLOCK: usize = 256 * 1024;

/// What all downloads of an artifact share.
#[derive(Debug)]
struct Download {
    store: Arc<dyn ArtifactStore>,
    artifact: ArtifactRef,
    objects: PathBuf,
    target: PathBuf,
    pause: Duration,
}

/// Fetches all files into `target`.
pub(super) async fn all(
    store: Arc<dyn ArtifactStore>,
    artifact: &ArtifactRef,
    target: &Path,
    options: &FetchOptions,
    events: &Events,
) -> Result<(), Error> {
    let manifest = store
        .manifest(artifact)
        .await
        .map_err(|error| failed(artifact, error))?;
    // What is not cached lies beside the target, and goes with it.
    let objects = match &options.cache {
        Some(cache) => cache.clone(),
        None => target.with_file_name("objects"),
    };
    let made = objects.clone();
    blocking(move || Ok(fs_err::create_dir_all(made)?)).await?;
    let download = Arc::new(Download {
        store,
        artifact: artifact.clone(),
        objects,
        target: blocking({
            let target = target.to_owned();
            move || Ok(target.canonicalize()?)
        })
        .await?,
        pause: options.retry_pause,
    });
    let total = manifest.files.len();
    let (mut tasks, turns) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    for file in manifest.files {
        let (download, turns) = (Arc::clone(&download), Arc::clone(&turns));
        tasks.spawn(async move {
            let _turn = turns.acquire_owned().await;
            download.one(&file).await
        });
    }
    let mut done = 0;
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(fetched) => fetched?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => return Err(std::io::Error::other(error).into()),
        }
        done += 1;
        events.say(Event::Fetch(format!("{done} of {total} files")));
    }
    Ok(())
}

impl Download {
    /// Fetches one file, or finds it, and puts it into its place.
    async fn one(self: &Arc<Self>, file: &ManifestFile) -> Result<(), Error> {
        let object = match self
            .with(file, |this, file| object::find(&this.objects, file))
            .await?
        {
            Some(object) => object,
            None => self.fetch(file).await?,
        };
        self.with(file, move |this, file| {
            confine::place(&this.target, Path::new(&file.path), |to| {
                std::io::copy(&mut fs_err::File::open(&object)?, to).map(drop)
            })
        })
        .await
    }

    /// Tries until the bytes are all there and right. Headway begins the count anew.
    async fn fetch(self: &Arc<Self>, file: &ManifestFile) -> Result<PathBuf, Error> {
        let mut tries = 0;
        loop {
            let partial = self
                .with(file, |this, file| Partial::open(&this.objects, file))
                .await?;
            let before = partial.length();
            let (partial, broken) = self.receive(file, partial).await?;
            let length = partial.length();
            if broken.is_none() || length >= file.size {
                match self
                    .with(file, |this, file| partial.finish(&this.objects, file))
                    .await?
                {
                    Finished::Whole(path) => return Ok(path),
                    Finished::Wrong if tries + 1 >= TRIES => return Err(self.wrong(file, length)),
                    Finished::Wrong => tries += 1,
                }
            } else if length > before {
                tries = 0;
            } else {
                tries += 1;
            }
            if let Some(error) = broken.filter(|_| tries >= TRIES) {
                return Err(failed(&self.artifact, error));
            }
            tokio::time::sleep(self.pause * tries.max(1)).await;
        }
    }

    /// Reads to the end, or to where it breaks.
    async fn receive(
        &self,
        file: &ManifestFile,
        mut partial: Partial,
    ) -> Result<(Partial, Option<StoreError>), Error> {
        if partial.length() == file.size {
            return Ok((partial, None));
        }
        let mut content = match self
            .store
            .open(&self.artifact, file, partial.length())
            .await
        {
            Ok(content) => content,
            Err(error @ StoreError::Unavailable(_)) => return Ok((partial, Some(error))),
            Err(error) => return Err(failed(&self.artifact, error)),
        };
        let mut block = vec![0; BLOCK];
        loop {
            let count = match content.read(&mut block).await {
                Ok(0) if partial.length() < file.size => {
                    let why = format!("the content ends after {} bytes", partial.length());
                    return Ok((partial, Some(StoreError::unavailable(why))));
                }
                Ok(0) => return Ok((partial, None)),
                // More than was promised: what comes is not the file.
                Ok(_) if partial.length() > file.size => return Ok((partial, None)),
                Ok(count) => count,
                Err(error) => return Ok((partial, Some(StoreError::unavailable(error)))),
            };
            (partial, block) = blocking(move || {
                partial.write(&block[..count])?;
                Ok((partial, block))
            })
            .await?;
        }
    }

    /// Work on the disk, on a thread where it may take its time.
    async fn with<T: Send + 'static>(
        self: &Arc<Self>,
        file: &ManifestFile,
        work: impl FnOnce(&Self, &ManifestFile) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (this, file) = (Arc::clone(self), file.clone());
        blocking(move || work(&this, &file)).await
    }

    fn wrong(&self, file: &ManifestFile, length: u64) -> Error {
        let (path, size, digest) = (&file.path, file.size, file.digest);
        Error::Artifact {
            artifact: self.artifact.to_string(),
            what: format!("`{path}` is not the {size} bytes with {digest} ({length} bytes came)"),
            is_retryable: false,
            source: None,
        }
    }
}

fn failed(artifact: &ArtifactRef, error: StoreError) -> Error {
    let is_retryable = matches!(error, StoreError::Unavailable(_));
    Error::Artifact {
        artifact: artifact.to_string(),
        what: "cannot be fetched".to_owned(),
        is_retryable,
        source: Some(Box::new(error)),
    }
}
