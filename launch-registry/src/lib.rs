//! Find and push images in OCI registries.
//!
//! A [`Registry`] answers four questions: may we push here ([`Registry::check`]), is it there
//! already ([`Registry::find`]), take this image ([`Registry::push`]), and how does somebody
//! else get at it ([`Registry::credentials`]). [`oci::OciRegistry`] answers them for every
//! registry that follows the OCI distribution specification, with the credentials that
//! `docker login` wrote.
//!
//! ```no_run
//! use std::sync::Arc;
//! use launch_registry::Registry as _;
//! use launch_registry::oci::OciRegistry;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = OciRegistry::builder().build()?;
//! let image = "ghcr.io/me/train:v1".parse()?;
//! registry.check(&image).await?;
//! let events: launch_registry::PushEvents = Arc::new(|event| tracing::info!(?event));
//! let pushed = registry.push("image-layout".as_ref(), &image, &events).await?;
//! assert!(pushed.to_string().starts_with("ghcr.io/me/train@sha256:"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it is, and what it is not
//!
//! It takes an image from a directory, in the OCI image layout, to a registry, and nothing
//! else: it builds no image, pulls none and runs none. What comes in is a path; what goes
//! out is a [`config::image::PinnedImage`], a name with a digest, which is all that later stages
//! need. It never prints: progress leaves as [`PushEvent`]s, details as `tracing`.
//!
//! # How a push works
//!
//! 1. The layout is read: every blob must be there, in its right size.
//! 2. Layers go side by side. Each is asked for first; then mounted, if an earlier push put it
//!    into another repository, or repositories were named that may have it; then uploaded, hashed on the way. Wrong content never arrives whole.
//! 3. Configs follow, then manifests from the inside out, the one with the tag last.
//!
//! A request that fails for want of a connection, or with 408, 429 or 5xx, is tried again
//! ([`oci::RetryPolicy`]); an upload goes on where it stood. Where a request is too large (413,
//! mostly of a proxy), or a broken connection lost a lot, the rest goes in smaller ones. What
//! stays wrong is an [`Error`]
//! that says which registry, which repository and what the registry said, with advice apart
//! in [`Error::hint`].
//!
//! # Credentials
//!
//! They come from a [`oci::Keychain`]: [`oci::DockerKeychain`] reads docker's `config.json`,
//! asks its credential helpers, and falls back to podman's file. They are shown to the
//! registry when it asks, and to the token service it names; only encrypted, or on loopback,
//! or to hosts that [`oci::OciRegistryBuilder::with_insecure`] lists; never to the other host an
//! upload may be sent to.
//!
//! # Features
//!
//! | Feature | What it adds |
//! | --- | --- |
//! | `memory` | `memory::MemoryRegistry`, a strict registry in your test's process |
//! | `s3`, `gcs`, `blob` | `store`, where build contexts are put: Amazon S3, Google Cloud Storage, Azure Blob |
//! | `conformance` | `conformance`, what every [`Registry`] must do |
//!
//! # How to add an adapter
//!
//! A cloud's registry is an OCI registry with credentials of its own, and perhaps with
//! repositories that must be made before a push. So an adapter for, say, ECR is
//!
//! 1. a [`oci::Keychain`] that knows its hosts, gets a password for them from the cloud's API, and
//!    answers `None` for all others; chain it before docker's with [`oci::ChainedKeychain`];
//! 2. where repositories must exist, a type that holds an [`oci::OciRegistry`], implements
//!    [`Registry`] by handing on, and makes the repository in [`Registry::check`] (a missing one
//!    is an [`Error::Protocol`] with status 404);
//! 3. a test that runs `conformance::all` on it, against the `memory` registry if not the real.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod error;
#[cfg(feature = "memory")]
pub mod memory;
pub mod oci;
#[cfg(any(feature = "s3", feature = "gcs", feature = "blob"))]
pub mod store;

use std::fmt::{Debug, Display};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
pub use launch_config as config;
use launch_config::image::{Digest, ImageRef, PinnedImage};
use launch_config::secret::Secret;

pub use crate::error::Error;

/// A registry of OCI images.
///
/// # Contract
///
/// - `find` answers the digest a tag points to, or `None`: not there, or not to be seen
///   (a 403 on a read is "unknown", so the caller builds and the push says what is wrong).
/// - `push` reads an OCI image layout and is repeatable: what is there is not sent again.
///   Order: layers, then config, then manifest, so that no reader meets a manifest whose
///   parts are missing. Every digest is checked, on reading and on the registry's answer.
/// - Dropping a future stops the work; what was uploaded may stay as unreferenced blobs.
/// - Memory is bounded, whatever the size of a layer.
#[async_trait]
pub trait Registry: Debug + Display + Send + Sync + 'static {
    /// Asks whether we may push to the repository of `image`, before anything is built.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Unauthorized`], [`Error::Unreachable`].
    async fn check(&self, image: &ImageRef) -> Result<(), Error>;

    /// The digest that the tag (or digest) of `image` stands for.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::Unreachable`], [`Error::Protocol`].
    async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error>;

    /// Pushes the image in the OCI layout at `layout` under the name and tag of `image`.
    ///
    /// # Errors
    /// Any but [`Error::Config`].
    async fn push(
        &self,
        layout: &Path,
        image: &ImageRef,
        events: &PushEvents,
    ) -> Result<PinnedImage, Error>;

    /// User and password with which another program may pull `image`; `None` if the
    /// registry needs none, or we have none.
    ///
    /// # Errors
    /// [`Error::Config`] if a credential source is broken.
    async fn credentials(&self, image: &ImageRef) -> Result<Option<Credentials>, Error>;
}

/// User and password for a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// Receives what happens during a push; clone-cheap, called from any thread.
pub type PushEvents = Arc<dyn Fn(PushEvent) + Send + Sync>;

/// Something that happened during a push.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushEvent {
    /// A blob is about to be dealt with.
    Blob {
        /// Its digest.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// Bytes of a blob were handed to the connection.
    Sent {
        /// The blob.
        digest: Digest,
        /// How many in all so far. After a broken connection it goes back to what the
        /// registry has.
        bytes: u64,
    },
    /// A blob is in place.
    Done {
        /// The blob.
        digest: Digest,
        /// How it came to be there.
        how: BlobSource,
    },
    /// A request is tried again.
    Retry {
        /// What is tried again, and why.
        what: String,
    },
}

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BlobSource {
    /// It was there.
    Present,
    /// It was mounted from another repository of the same registry.
    Mounted,
    /// It was uploaded.
    Uploaded,
}
