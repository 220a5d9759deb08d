//! Object stores that build contexts are put into: Amazon S3, Google Cloud Storage, Azure Blob.
//!
//! A builder that runs in a cluster reads its context from a bucket. [`open`] makes a
//! [`ContextStore`] of an address ([`StoreUri`]); it can tell whether we may write there
//! before anything is packed, take a file of any size in bounded memory, and remove it again.
//!
//! ```no_run
//! use std::sync::Arc;
//! use launch_registry::config::secret::Secret;
//! use launch_registry::store::{self, Credential, ContextStore as _, StoreOptions};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let keys = Credential::aws("AKIAEXAMPLE", Secret::new("from a vault"));
//! let options = StoreOptions::new(Arc::new(keys)).with_region("eu-central-1");
//! let store = store::open(&"s3://contexts/team".parse()?, options).await?;
//! store.check().await?;
//! let address = store.put("job-1.tar.gz", "context.tar.gz".as_ref()).await?;
//! assert_eq!(address.to_string(), "s3://contexts/team/job-1.tar.gz");
//! store.delete("job-1.tar.gz").await?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "blob")]
mod blob;
mod bridge;
#[cfg(feature = "conformance")]
pub mod conformance;
mod credential;
mod error;
#[cfg(feature = "gcs")]
mod gcs;
mod http;
mod object;
mod options;
mod parts;
mod refusal;
#[cfg(feature = "s3")]
mod s3;

use std::fmt::{Debug, Display};
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use launch_config::store::StoreUri;

pub use self::credential::{Credential, CredentialSource};
pub use self::error::StoreError;
pub use self::options::StoreOptions;

/// The content of an object, piece by piece, in pieces of any size.
pub type Content = BoxStream<'static, io::Result<Bytes>>;

/// A place in an object store, under which objects have names.
///
/// # Contract
///
/// - `check` tells whether an object could be put and deleted now; it leaves nothing behind.
/// - `put` is atomic: readers meet the whole object or none, and a `put` under a name that is
///   taken replaces it. It is repeatable.
/// - `delete` of what is not there succeeds.
/// - A name is one or more parts between slashes. It goes into the address as it is, never
///   escaped, so that whoever is given the address finds the object under it.
/// - Dropping a future stops the work; parts that were uploaded are removed.
/// - Memory is bounded, whatever the size of an object: at most four parts, of 8 MiB each for
///   a stream and for files up to 70 GiB.
/// - Errors name the permission that is missing, by the name the cloud gives it.
#[async_trait]
pub trait ContextStore: Debug + Display + Send + Sync + 'static {
    /// Asks whether the store exists and whether we may write there.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Denied`], [`StoreError::Unauthorized`],
    /// [`StoreError::Unreachable`], [`StoreError::Credentials`].
    async fn check(&self) -> Result<(), StoreError>;

    /// Puts the file under `name`, and answers its address.
    ///
    /// # Errors
    /// Those of [`ContextStore::check`], [`StoreError::Name`], [`StoreError::Io`].
    async fn put(&self, name: &str, file: &Path) -> Result<StoreUri, StoreError>;

    /// The same for content that is not in a file.
    ///
    /// # Errors
    /// Those of [`ContextStore::put`].
    async fn put_stream(&self, name: &str, content: Content) -> Result<StoreUri, StoreError>;

    /// Removes the object `name`, if it is there.
    ///
    /// # Errors
    /// Those of [`ContextStore::check`], [`StoreError::Name`].
    async fn delete(&self, name: &str) -> Result<(), StoreError>;
}

/// Opens the store at `uri`. Nothing is written; for S3, the bucket's region is asked for.
///
/// # Errors
/// [`StoreError::NotBuilt`] without the feature for this cloud, [`StoreError::Config`] for
/// an endpoint or a prefix that cannot be used.
#[cfg_attr(
    not(feature = "s3"),
    expect(clippy::unused_async, reason = "with S3 it asks for the region")
)]
pub async fn open(
    uri: &StoreUri,
    options: StoreOptions,
) -> Result<Arc<dyn ContextStore>, StoreError> {
    match uri {
        #[cfg(feature = "s3")]
        StoreUri::S3 { bucket, key } => s3::open(uri, bucket.as_str(), key, options).await,
        #[cfg(feature = "gcs")]
        StoreUri::Gcs { bucket, key } => gcs::open(uri, bucket.as_str(), key, options),
        #[cfg(feature = "blob")]
        StoreUri::AzureBlob {
            account,
            cloud,
            container,
            path,
        } => {
            let place = blob::Place {
                account: account.as_str(),
                cloud: *cloud,
                container: container.as_str(),
            };
            blob::open(uri, place, path, options)
        }
        _ => Err(not_built(uri)),
    }
}

fn not_built(uri: &StoreUri) -> StoreError {
    let feature = match uri {
        StoreUri::S3 { .. } => "s3",
        StoreUri::Gcs { .. } => "gcs",
        _ => "blob",
    };
    StoreError::NotBuilt {
        store: uri.to_string(),
        feature,
    }
}
