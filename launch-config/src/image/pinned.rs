//! Images by their digests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Digest, ImageRef, ParseImageError};

/// An image by content: `repository@sha256:…`. Past the build, nothing else travels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedImage {
    pub(super) image: ImageRef,
    pub(super) digest: Digest,
}

impl PinnedImage {
    /// The reference, whose digest is set.
    pub fn image(&self) -> &ImageRef {
        &self.image
    }

    /// The digest it is pinned to.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.image.fmt(f)
    }
}

impl FromStr for PinnedImage {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let image: ImageRef = text.parse()?;
        match image.digest {
            Some(digest) => Ok(Self { image, digest }),
            None => Err(ParseImageError::NotPinned(text.to_owned())),
        }
    }
}

impl TryFrom<String> for PinnedImage {
    type Error = ParseImageError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}
