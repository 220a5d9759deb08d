//! Addresses of image repositories: whose registry it is, and what it is called there.
//!
//! [`Address`] is a text as somebody wrote it, and what is recognised in it; a
//! [`RegistryUri`] is a repository images can be pushed to. A value of the latter is a
//! valid image name; its four kinds differ in how one logs in.
//!
//! ```
//! use launch_config::registry::{Address, RegistryUri};
//!
//! let address = Address::read("https://123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b");
//! let RegistryUri::Ecr(ecr) = address.repository()? else { panic!("an ECR repository") };
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
    /// Behind the repository of a destination stands a tag, a digest or something else.
    #[error("`{0}` does not end with the repository's name: a destination has no tag")]
    Tagged(String),
    /// A destination in Artifact Registry ends at the repository.
    #[error("`{0}` names a repository of Artifact Registry, but no image in it")]
    NoImageName(String),
}

impl AddressError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAnImage { text, .. } if text.contains("://") => {
                "write `HOST/PATH` without a scheme; a bucket is a `build-context-store`"
            }
            Self::NotAnImage { text, .. } if text.contains(char::is_uppercase) => {
                "the path of an address is in small letters"
            }
            Self::NotAnImage { .. } => "an address is `HOST/PATH`, the path in small letters",
            Self::Tagged(_) => "leave out what is behind it: every image built gets its own tag",
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

    /// The repository as an image without a tag.
    #[expect(
        clippy::missing_panics_doc,
        reason = "every repository was read from an image, and displays as its name"
    )]
    pub fn image(&self) -> ImageRef {
        let image = match self {
            Self::Other(image) => return image.clone(),
            known => known.to_string().parse(),
        };
        image.expect("a repository is the name of an image")
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
        let address = Address::read(text);
        if address.is_tagged() {
            return Err(AddressError::Tagged(address.to_string()));
        }
        address.recognised().cloned()
    }
}

/// An address as it was written, but for `https://` in front, which says nothing.
///
/// Any text is one: what is no image name is of an unknown kind, as it is to the Python
/// agent, and [`Address::repository`] says why nothing can be pushed to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    written: String,
    reading: Result<(RegistryUri, String), ParseImageError>,
}

/// An address that may stand in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Destination {
    /// The address, without `https://`.
    pub written: String,
    /// Whether its registry is not a known one, so that no login is made for it and a
    /// tag in the address is left out.
    pub warned: bool,
}

impl Address {
    /// Reads a text.
    pub fn read(text: &str) -> Self {
        let written = text.strip_prefix(SCHEME).unwrap_or(text).to_owned();
        let reading = reading(&written);
        Self { written, reading }
    }

    /// The text, without `https://`.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The repository named, whether images can be pushed to it or not.
    ///
    /// # Errors
    /// [`AddressError::NotAnImage`].
    pub fn recognised(&self) -> Result<&RegistryUri, AddressError> {
        let uri = self.reading.as_ref().map(|(uri, _)| uri);
        uri.map_err(|source| AddressError::NotAnImage {
            text: self.written.clone(),
            source: source.clone(),
        })
    }

    /// What stands behind the repository, from the `:` or `@` on; mostly nothing.
    pub fn rest(&self) -> &str {
        let rest = self.reading.as_ref().map(|(_, rest)| rest.as_str());
        rest.unwrap_or_default()
    }

    /// Whether something stands behind the repository. A colon alone is no tag, but to
    /// Artifact Registry.
    pub fn is_tagged(&self) -> bool {
        let colon = match &self.reading {
            Ok((RegistryUri::ArtifactRegistry(_), _)) | Err(_) => "",
            Ok(_) => ":",
        };
        !self.rest().is_empty() && self.rest() != colon
    }

    /// Checks what the schema of the Python agent checks: an address of a registry that is
    /// known has no tag, and names an image.
    ///
    /// # Errors
    /// [`AddressError::Tagged`] or [`AddressError::NoImageName`], for registries that are
    /// recognised; others are accepted with a warning.
    pub fn destination(&self) -> Result<Destination, AddressError> {
        let known = self.reading.as_ref().ok();
        let known = known.filter(|(uri, _)| uri.is_recognised());
        if known.is_some() {
            if self.is_tagged() {
                return Err(AddressError::Tagged(self.to_string()));
            }
            self.repository()?;
        }
        Ok(Destination {
            written: self.written.clone(),
            warned: known.is_none(),
        })
    }

    /// The repository, if images can be pushed to it; a tag is left out.
    ///
    /// # Errors
    /// [`AddressError::NotAnImage`], [`AddressError::NoImageName`].
    pub fn repository(&self) -> Result<&RegistryUri, AddressError> {
        let uri = self.recognised()?;
        if uri.has_image_name() {
            return Ok(uri);
        }
        Err(AddressError::NoImageName(self.to_string()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A whole text that is an image, or one that starts as a repository of a known registry:
/// what is wrong behind that is wrong with a tag.
fn reading(text: &str) -> Result<(RegistryUri, String), ParseImageError> {
    let error = match text.parse::<ImageRef>() {
        Ok(image) => {
            let rest = text.strip_prefix(&image.name()).unwrap_or_default();
            return Ok((RegistryUri::of(&image), rest.to_owned()));
        }
        Err(error) => error,
    };
    let path = text.find('/').map_or(text.len(), |slash| slash + 1);
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let name = text[..path].len()
        + text[path..]
            .find(|c| !is_name(c))
            .unwrap_or(text.len() - path);
    let name = text[..name].trim_end_matches('/');
    let image = name.parse::<ImageRef>();
    let known = image.map(|image| RegistryUri::of(&image)).ok();
    let known = known.filter(RegistryUri::is_recognised).ok_or(error)?;
    Ok((known, text[name.len()..].to_owned()))
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
