//! Addresses of image repositories: whose registry it is, and what it is called there.
//!
//! [`Address`] is a text as somebody wrote it, `https://` dropped, with its tag kept
//! apart from the [`RegistryUri`] images are pushed to. A value that exists is a valid
//! image name; the four kinds differ in how one logs in.
//!
//! ```
//! use launch_config::registry::{Address, RegistryUri};
//!
//! let address: Address = "https://123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b".parse()?;
//! let RegistryUri::Ecr(ecr) = address.uri() else { panic!("an ECR repository") };
//! assert_eq!((ecr.region(), ecr.repository()), ("cn-north-1", "a/b"));
//! assert!(!address.destination()?.warned);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acr;
mod artifact_registry;
pub(crate) mod block;
mod ecr;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use acr::{Acr, AzureCloud};
pub use artifact_registry::ArtifactRegistry;
pub use block::Registry;
pub use ecr::{Ecr, Partition};

use crate::image::{ImageRef, ParseImageError};

/// What may stand in front of an address, and says nothing.
const SCHEME: &str = "https://";

/// Why a text is not an address, or not one to push to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is not the name of an image.
    #[error("`{text}` is not the address of an image repository")]
    NotAnImage {
        /// The text as given.
        text: String,
        /// Where it goes against the grammar.
        source: ParseImageError,
    },
    /// A destination has a tag or a digest.
    #[error("`{0}` has a tag or a digest, and a destination has none")]
    Tagged(String),
    /// A destination in Artifact Registry ends at the repository.
    #[error("`{0}` names a repository of Artifact Registry, but no image in it")]
    NoImageName(String),
}

impl AddressError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAnImage { .. } => "an address is `host/path`, the path in small letters",
            Self::Tagged(_) => "leave the tag out: every image built gets its own",
            Self::NoImageName(_) => "add a name: `REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE`",
        }
    }
}

/// A repository of images, by whose registry it is in. Displays as the address without
/// scheme and tag, and parses back to itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegistryUri {
    /// Amazon Elastic Container Registry.
    Ecr(Ecr),
    /// Google Artifact Registry, `gcr.io` included.
    ArtifactRegistry(ArtifactRegistry),
    /// Azure Container Registry.
    Acr(Acr),
    /// Any other registry; the reference has neither tag nor digest.
    Other(ImageRef),
}

impl RegistryUri {
    /// Recognises the repository of an image; its tag and digest are not part of it.
    pub fn of(image: &ImageRef) -> Self {
        let (host, path) = (image.host(), image.repository());
        Ecr::read(host, &path)
            .map(Self::Ecr)
            .or_else(|| ArtifactRegistry::read(host, &path).map(Self::ArtifactRegistry))
            .or_else(|| Acr::read(host, &path).map(Self::Acr))
            .unwrap_or_else(|| Self::Other(bare(image)))
    }

    /// Whether the registry is one whose login is known.
    pub fn is_recognised(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// The region in the address, if its kind has one.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::Ecr(ecr) => Some(ecr.region()),
            Self::ArtifactRegistry(registry) => Some(registry.region()),
            Self::Acr(_) | Self::Other(_) => None,
        }
    }

    /// Whether images can be pushed to it: Artifact Registry wants a name within.
    pub fn has_image_name(&self) -> bool {
        !matches!(self, Self::ArtifactRegistry(registry) if registry.image().is_none())
    }
}

impl fmt::Display for RegistryUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecr(ecr) => ecr.fmt(f),
            Self::ArtifactRegistry(registry) => registry.fmt(f),
            Self::Acr(acr) => acr.fmt(f),
            Self::Other(image) => image.fmt(f),
        }
    }
}

impl FromStr for RegistryUri {
    type Err = AddressError;

    /// An address without a tag.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let address: Address = text.parse()?;
        if address.suffix().is_some() {
            return Err(AddressError::Tagged(address.to_string()));
        }
        Ok(address.uri)
    }
}

/// An address as it was written, but for `https://` in front.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    image: ImageRef,
    uri: RegistryUri,
}

/// An address that was found fit to push to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The repository.
    pub uri: RegistryUri,
    /// Whether its registry is not a known one, so that no login is made for it and a
    /// tag in the address is left out.
    pub warned: bool,
}

impl Address {
    /// The repository, without the tag.
    pub fn uri(&self) -> &RegistryUri {
        &self.uri
    }

    /// The whole reference.
    pub fn image(&self) -> &ImageRef {
        &self.image
    }

    /// What stands behind the repository, without the colon in front of a tag:
    /// `tag`, `tag@sha256:…` or `@sha256:…`.
    pub fn suffix(&self) -> Option<String> {
        let digest = self.image.digest().map(|digest| format!("@{digest}"));
        match (self.image.tag(), digest) {
            (None, None) => None,
            (tag, digest) => Some(tag.unwrap_or_default().to_owned() + &digest.unwrap_or_default()),
        }
    }

    /// Checks that images can be pushed to it.
    ///
    /// # Errors
    /// [`AddressError::Tagged`] or [`AddressError::NoImageName`], for registries that are
    /// recognised; others are accepted with a warning.
    pub fn destination(&self) -> Result<Destination, AddressError> {
        let warned = !self.uri.is_recognised();
        if !warned && self.suffix().is_some() {
            return Err(AddressError::Tagged(self.to_string()));
        }
        self.with_image_name()?;
        let uri = self.uri.clone();
        Ok(Destination { uri, warned })
    }

    /// The repository, if images can be pushed to it; a tag is left out.
    ///
    /// # Errors
    /// [`AddressError::NoImageName`].
    pub fn with_image_name(&self) -> Result<&RegistryUri, AddressError> {
        if self.uri.has_image_name() {
            return Ok(&self.uri);
        }
        Err(AddressError::NoImageName(self.to_string()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.image.fmt(f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let plain = text.strip_prefix(SCHEME).unwrap_or(text);
        let image: ImageRef = plain.parse().map_err(|source| AddressError::NotAnImage {
            text: plain.to_owned(),
            source,
        })?;
        let uri = RegistryUri::of(&image);
        Ok(Self { image, uri })
    }
}

/// The image without tag and digest.
fn bare(image: &ImageRef) -> ImageRef {
    let bare = image.name().parse();
    bare.expect("an image without its tag is an image")
}

/// Whether a part of a host is one label: the grammar of images has checked its letters.
fn is_label(text: &str) -> bool {
    !text.is_empty() && !text.contains(['.', ':'])
}
