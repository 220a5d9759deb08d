//! The directory a checkout grows in, removed unless the checkout is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::error::Error;
use crate::source::blocking;

/// How often, and how far apart, a directory is removed again while killed processes of
/// git are still on their way out and may yet create a file in it.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// A fresh directory; removed on drop, in the background if there is a runtime.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: Option<TempDir>,
    checkout: PathBuf,
}

impl Scratch {
    pub(super) async fn new(parent: Option<PathBuf>) -> Result<Self, Error> {
        blocking(move || {
            let mut builder = tempfile::Builder::new();
            builder.prefix("launch-source-");
            let directory = match parent {
                Some(parent) => builder.tempdir_in(parent)?,
                None => builder.tempdir()?,
            };
            let checkout = directory.path().join("source");
            fs_err::create_dir(&checkout)?;
            Ok(Self {
                directory: Some(directory),
                checkout,
            })
        })
        .await
    }

    pub(super) fn checkout(&self) -> &Path {
        &self.checkout
    }

    /// Hands the directory over: from now on it lives as long as the answer.
    pub(super) fn keep(mut self) -> TempDir {
        self.directory
            .take()
            .expect("a scratch has its directory until it is kept")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(directory) = self.directory.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || remove(&directory))),
            Err(_) => remove(&directory),
        }
    }
}

fn remove(directory: &TempDir) {
    for _ in 0..TRIES {
        match fs_err::remove_dir_all(directory.path()) {
            Ok(()) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
    tracing::warn!(directory = %directory.path().display(), "cannot remove a checkout");
}
