//! The same for futures: blocking work that ends when its future is dropped.

use std::io::{self, Write};
use std::path::Path;

use super::cancel::Cancel;
use super::options::ContextOptions;
use super::view::{Context, ContextDigest, Packed};
use crate::error::Error;
use crate::event::Events;

/// [`hash`](super::hash()) on a thread for blocking work; dropping the future ends it.
///
/// # Errors
/// As [`hash`](super::hash()).
pub async fn hash_async(
    root: impl AsRef<Path> + Send + 'static,
    options: ContextOptions,
    events: Events,
) -> Result<ContextDigest, Error> {
    on_thread(move |cancel| {
        Context::scan_until(root.as_ref(), &options, &events, cancel)?.hash(&events)
    })
    .await
}

/// [`pack`](super::pack()) on a thread for blocking work, which hands the writer back; dropping the future
/// ends it before the next piece is written.
///
/// # Errors
/// As [`pack`](super::pack()).
pub async fn pack_async<W: Write + Send + 'static>(
    root: impl AsRef<Path> + Send + 'static,
    options: ContextOptions,
    writer: W,
    events: Events,
) -> Result<(Packed, W), Error> {
    on_thread(move |cancel| {
        Context::scan_until(root.as_ref(), &options, &events, cancel)?.pack(writer, &events)
    })
    .await
}

/// [`copy`](super::copy()) on a thread for blocking work; dropping the future ends it.
///
/// # Errors
/// As [`copy`](super::copy()).
pub async fn copy_async(
    root: impl AsRef<Path> + Send + 'static,
    options: ContextOptions,
    directory: impl AsRef<Path> + Send + 'static,
    events: Events,
) -> Result<ContextDigest, Error> {
    on_thread(move |cancel| {
        let context = Context::scan_until(root.as_ref(), &options, &events, cancel)?;
        context.copy(directory.as_ref(), &events)
    })
    .await
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` on a thread for blocking work and waits for it.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce(Cancel) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    match tokio::task::spawn_blocking(move || work(cancel)).await {
        Ok(result) => result,
        Err(join) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
        // The runtime is shutting down.
        Err(join) => Err(io::Error::other(join).into()),
    }
}
