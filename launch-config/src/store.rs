//! Addresses of object stores, where build contexts and outputs go.
//!
//! ```
//! use launch_config::store::StoreUri;
//!
//! let store: StoreUri = "s3://contexts/team".parse()?;
//! assert!(matches!(&store, StoreUri::S3 { bucket, .. } if bucket.as_str() == "contexts"));
//! assert_eq!(store.to_string(), "s3://contexts/team");
//! # Ok::<(), launch_config::store::ParseStoreError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use crate::registry::AzureCloud;

const S3: &str = "s3://";
const GCS: &str = "gs://";
const HTTPS: &str = "https://";

/// Why a text is not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseStoreError {
    /// It begins like none.
    #[error("{0:?} is not a store of S3, Google Cloud Storage or Azure")]
    Kind(String),
    /// A bucket, account or container has another name than such things have.
    #[error("{text:?} is in {name:?}, which is not a name of letters, digits and `.-_`")]
    Name {
        /// The text as given.
        text: String,
        /// The part that is not a name.
        name: String,
    },
    /// It holds a line break or another control character.
    #[error("{0:?} holds a control character")]
    Control(String),
}

impl ParseStoreError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "write `s3://BUCKET/KEY`, `gs://BUCKET/KEY` or \
         `https://ACCOUNT.blob.core.windows.net/CONTAINER/PATH`"
    }
}

/// The name of a bucket, an account or a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StoreName(String);

impl StoreName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands behind the bucket: nothing, or a slash and a key that may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Option<String>);

impl Key {
    /// The key without its slash; `None` if there is not even that.
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |key| write!(f, "/{key}"))
    }
}

/// A place in an object store. Displays as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreUri {
    /// Amazon S3.
    S3 {
        /// The bucket.
        bucket: StoreName,
        /// The key within.
        key: Key,
    },
    /// Google Cloud Storage.
    Gcs {
        /// The bucket.
        bucket: StoreName,
        /// The key within.
        key: Key,
    },
    /// Azure Blob Storage.
    AzureBlob {
        /// The storage account.
        account: StoreName,
        /// The part of Azure it is in.
        cloud: AzureCloud,
        /// The container.
        container: StoreName,
        /// The path within.
        path: Key,
    },
}

impl FromStr for StoreUri {
    type Err = ParseStoreError;

    fn from_str(text: &str) -> Result<Self, ParseStoreError> {
        if text.contains(char::is_control) {
            return Err(ParseStoreError::Control(text.to_owned()));
        }
        let kind = || ParseStoreError::Kind(text.to_owned());
        if let Some(rest) = text.strip_prefix(S3) {
            let (bucket, key) = bucket(text, rest)?;
            return Ok(Self::S3 { bucket, key });
        }
        if let Some(rest) = text.strip_prefix(GCS) {
            let (bucket, key) = bucket(text, rest)?;
            return Ok(Self::Gcs { bucket, key });
        }
        let rest = text.strip_prefix(HTTPS).ok_or_else(kind)?;
        let (host, rest) = rest.split_once('/').ok_or_else(kind)?;
        let part = |cloud: AzureCloud| Some((host.strip_suffix(cloud.blob_suffix())?, cloud));
        let (account, cloud) = AzureCloud::ALL
            .into_iter()
            .find_map(part)
            .ok_or_else(kind)?;
        let account = name(text, account, "-_")?;
        let (container, path) = split(rest);
        let container = name(text, container, ".-_$")?;
        Ok(Self::AzureBlob {
            account,
            cloud,
            container,
            path,
        })
    }
}

fn bucket(text: &str, rest: &str) -> Result<(StoreName, Key), ParseStoreError> {
    let (bucket, key) = split(rest);
    Ok((name(text, bucket, ".-_")?, key))
}

fn split(rest: &str) -> (&str, Key) {
    match rest.split_once('/') {
        Some((first, key)) => (first, Key(Some(key.to_owned()))),
        None => (rest, Key(None)),
    }
}

fn name(text: &str, name: &str, extra: &str) -> Result<StoreName, ParseStoreError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
    if !name.is_empty() && name.chars().all(fine) {
        return Ok(StoreName(name.to_owned()));
    }
    let (text, name) = (text.to_owned(), name.to_owned());
    Err(ParseStoreError::Name { text, name })
}

impl fmt::Display for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "{S3}{}{key}", bucket.0),
            Self::Gcs { bucket, key } => write!(f, "{GCS}{}{key}", bucket.0),
            Self::AzureBlob {
                account,
                cloud,
                container,
                path,
            } => {
                let (account, container) = (&account.0, &container.0);
                write!(
                    f,
                    "{HTTPS}{account}{}/{container}{path}",
                    cloud.blob_suffix()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stores_are_of_three_kinds() {
        for text in [
            "s3://b",
            "s3://b/",
            "s3://b/a//b?versionId=1",
            "gs://a_b.c/k",
            "https://acct.blob.core.windows.net/c",
            "https://acct.blob.core.chinacloudapi.cn/$web/p/q",
        ] {
            let store: StoreUri = text.parse().unwrap();
            assert_eq!(store.to_string(), text);
        }
        for text in [
            "",
            "s3://",
            "s3:///k",
            "S3://b",
            "s3a://b",
            "gcs://b/k",
            "gs://a b/k",
            "s3://b\nx/k",
            "s3://b/k\n",
            "http://acct.blob.core.windows.net/c",
            "https://acct.blob.core.windows.net",
            "https://acct.blob.core.windows.net/",
            "https://a.b.blob.core.windows.net/c",
            "https://.blob.core.windows.net/c",
            "https://acct.blob.core.windows.net:443/c",
            "https://acct.dfs.core.windows.net/c",
        ] {
            assert!(text.parse::<StoreUri>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_displays_as_written(text in "(s3://|gs://|https://a.blob.core.windows.net/)?\\PC{0,20}") {
            if let Ok(store) = text.parse::<StoreUri>() {
                prop_assert_eq!(store.to_string(), text);
            }
        }

        #[test]
        fn stores_of_usual_names_are_stores(text in "(s3|gs)://[a-z0-9.-]{1,12}(/[a-z0-9/]{0,8})?") {
            prop_assert_eq!(text.parse::<StoreUri>().unwrap().to_string(), text);
        }
    }
}
