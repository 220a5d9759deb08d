//! Pushes an image: layers side by side, then configs, then manifests.

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use launch_config::image::{Digest, ImageRef};
use url::Url;

use super::client::same_digest;
use super::layout::{Blob, Image};
use super::session::Session;
use super::upload::upload;
use crate::{BlobSource, Error, PushEvent};

/// How a push goes about it.
#[derive(Debug, Clone)]
pub(crate) struct PushOptions {
    /// How many blobs are sent at a time.
    pub(crate) parallel: usize,
    /// Repositories of the same registry in which a layer may be already.
    pub(crate) mount_from: Vec<String>,
}

/// Pushes `content` under the name of `image`, and answers its digest.
pub(crate) async fn push(
    session: &Session,
    content: &Image,
    image: &ImageRef,
    options: &PushOptions,
) -> Result<Digest, Error> {
    let root = content.root();
    if let Some(expected) = image.digest() {
        same_digest(&format!("the image for `{image}`"), expected, root.digest)?;
    }
    // One after the other, so that no reader meets a manifest whose parts are missing.
    for blobs in [&content.layers, &content.configs] {
        place_all(session, blobs, options).await?;
    }
    for manifest in &content.manifests {
        let reference = match image.tag() {
            _ if manifest.digest != root.digest => manifest.digest.to_string(),
            Some(tag) => tag.to_owned(),
            None => image.reference(),
        };
        session.put_manifest(&reference, manifest).await?;
    }
    Ok(root.digest)
}

async fn place_all(session: &Session, blobs: &[Blob], options: &PushOptions) -> Result<(), Error> {
    let places = blobs
        .iter()
        .map(|blob| place(session, blob, options).boxed());
    let places: Vec<_> = places.collect();
    stream::iter(places)
        .buffer_unordered(options.parallel.max(1))
        .try_collect()
        .await
}

/// Sees to it that the repository has `blob`, by the cheapest way.
async fn place(session: &Session, blob: &Blob, options: &PushOptions) -> Result<(), Error> {
    let (digest, size) = (blob.digest, blob.size);
    (session.events)(PushEvent::Blob { digest, size });
    let how = if session.has_blob(digest).await? {
        BlobSource::Present
    } else {
        match mount(session, blob, candidates(session, blob, options)).await {
            Mount::Done => BlobSource::Mounted,
            Mount::Not(opened) => {
                upload(session, blob, opened).await?;
                BlobSource::Uploaded
            }
        }
    };
    session.transport.set_place(&session.target, digest);
    (session.events)(PushEvent::Done { digest, how });
    Ok(())
}

/// Where the blob may be: where it was seen, and where we were told to look.
fn candidates(session: &Session, blob: &Blob, options: &PushOptions) -> Vec<String> {
    let seen = session.transport.place(&session.target, blob.digest);
    let told = options.mount_from.iter();
    let told =
        told.filter(|from| **from != session.target.repository && Some(*from) != seen.as_ref());
    seen.iter().chain(told).cloned().collect()
}

enum Mount {
    Done,
    /// The registry may have opened an upload instead.
    Not(Option<Url>),
}

/// Tries the candidates in turn. A mount is an optimisation: its failure is not ours.
async fn mount(session: &Session, blob: &Blob, candidates: Vec<String>) -> Mount {
    let mut opened: Option<Url> = None;
    for from in candidates {
        if let Some(unused) = opened.take() {
            session.cancel_upload(unused).await;
        }
        match session.mount(blob.digest, &from).await {
            Ok(None) => return Mount::Done,
            Ok(Some(upload)) => opened = Some(upload),
            Err(error) => tracing::debug!(%error, from, "the blob cannot be mounted"),
        }
    }
    Mount::Not(opened)
}
