//! Image references, digests, and pinned images: parsed once, valid ever after.
//!
//! The grammar is the distribution project's (`reference.go`, "Grammar"): an optional
//! host, a lower-case path, an optional tag of at most 128 characters, an optional
//! digest. Only SHA-256 digests are accepted: nothing else is in use.

mod digest;
mod name;
mod pinned;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::digest::Digest;
pub use self::name::safe_name;
pub use self::pinned::PinnedImage;

/// The host Docker means when a reference names none.
pub const DOCKER_HUB: &str = "docker.io";

/// Why a text is not an image reference or a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseImageError {
    /// There is nothing before the tag or digest.
    #[error("image `{0}` has no name")]
    NoName(String),
    /// The host is not a host name with an optional port.
    #[error("image `{image}` has an invalid host `{host}`")]
    Host {
        /// The reference as given.
        image: String,
        /// The part taken for its host.
        host: String,
    },
    /// The path is not made of lower-case components.
    #[error("image `{image}` has an invalid path component `{component}`")]
    Path {
        /// The reference as given.
        image: String,
        /// The first component that is not valid.
        component: String,
    },
    /// The tag is not 1–128 of letters, digits, `_`, `.`, `-`.
    #[error("image `{image}` has an invalid tag `{tag}`")]
    Tag {
        /// The reference as given.
        image: String,
        /// The tag.
        tag: String,
    },
    /// The digest is not `sha256:` and 64 lower-case hex digits.
    #[error("`{0}` is not a digest (`sha256:` and 64 hex digits)")]
    Digest(String),
    /// A pinned image has no digest.
    #[error("image `{0}` is not pinned by a digest")]
    NotPinned(String),
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A reference to an image: `[host[:port]/]path[:tag][@sha256:…]`.
///
/// Displays as it was written; [`ImageRef::host`] and [`ImageRef::repository`] apply
/// Docker's defaults (`docker.io`, `library/`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    host: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// The registry's host with its port, `docker.io` if none was written.
    pub fn host(&self) -> &str {
        self.host.as_deref().unwrap_or(DOCKER_HUB)
    }

    /// Whether a host was written.
    pub fn has_host(&self) -> bool {
        self.host.is_some()
    }

    /// The repository within its registry, `library/` included where Docker implies it.
    pub fn repository(&self) -> String {
        let implied = self.host() == DOCKER_HUB && !self.path.contains('/');
        if implied {
            format!("library/{}", self.path)
        } else {
            self.path.clone()
        }
    }

    /// Host and path as written, without tag and digest.
    pub fn name(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The tag, if one was written.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry is asked for: the digest, else the tag, else `latest`.
    pub fn reference(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository under another tag, without a digest.
    ///
    /// # Errors
    /// [`ParseImageError::Tag`] if `tag` is not one.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ParseImageError> {
        check_tag(&self.name(), tag)?;
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository, pinned to `digest` (the tag is dropped).
    pub fn pin(&self, digest: Digest) -> PinnedImage {
        PinnedImage {
            image: Self {
                tag: None,
                digest: Some(digest),
                ..self.clone()
            },
            digest,
        }
    }
}

fn check_tag(image: &str, tag: &str) -> Result<(), ParseImageError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let rest = |b: u8| word(b) || b == b'.' || b == b'-';
    let bytes = tag.as_bytes();
    let fits = !bytes.is_empty() && bytes.len() <= 128;
    if fits && word(bytes[0]) && bytes.iter().all(|b| rest(*b)) {
        return Ok(());
    }
    Err(ParseImageError::Tag {
        image: image.to_owned(),
        tag: tag.to_owned(),
    })
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
    ends && bytes
        .split(alphanumeric)
        .filter(|gap| !gap.is_empty())
        .all(|gap| matches!(gap, b"." | b"_" | b"__") || gap.iter().all(|b| *b == b'-'))
}

fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (name, port) = text
        .split_once(':')
        .map_or((text, None), |(n, p)| (n, Some(p)));
    let label = |l: &str| {
        let alphanumeric = |b: &u8| b.is_ascii_alphanumeric();
        let bytes = l.as_bytes();
        bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    port.is_none_or(is_port) && name.split('.').all(label)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|b| b.is_ascii_digit())
}

impl FromStr for ImageRef {
    type Err = ParseImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse()?)),
            None => (text, None),
        };
        let (name, tag) = match name.rfind(':').filter(|at| !name[*at..].contains('/')) {
            Some(at) => (&name[..at], Some(&name[at + 1..])),
            None => (name, None),
        };
        if let Some(tag) = tag {
            check_tag(text, tag)?;
        }
        // Docker's rule: the first component is a host if it could not be a path one.
        let (host, path) = match name.split_once('/') {
            Some((first, rest))
                if first.contains(['.', ':']) || first == "localhost" || first.starts_with('[') =>
            {
                (Some(first), rest)
            }
            _ => (None, name),
        };
        if path.is_empty() {
            return Err(ParseImageError::NoName(text.to_owned()));
        }
        if let Some(host) = host.filter(|host| !is_host(host)) {
            return Err(ParseImageError::Host {
                image: text.to_owned(),
                host: host.to_owned(),
            });
        }
        if let Some(component) = path.split('/').find(|component| !is_component(component)) {
            let component = component.to_owned();
            return Err(ParseImageError::Path {
                image: text.to_owned(),
                component,
            });
        }
        let (host, tag) = (host.map(str::to_owned), tag.map(str::to_owned));
        Ok(Self {
            host,
            path: path.to_owned(),
            tag,
            digest,
        })
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ParseImageError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

impl From<PinnedImage> for String {
    fn from(image: PinnedImage) -> Self {
        image.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn references_have_the_parts_docker_gives_them() {
        let image: ImageRef = "python:3.12-slim".parse().unwrap();
        assert_eq!(
            (image.host(), image.repository().as_str()),
            ("docker.io", "library/python")
        );
        let image: ImageRef = "localhost:5000/a/b__c:v1".parse().unwrap();
        assert_eq!((image.host(), image.tag()), ("localhost:5000", Some("v1")));
        let image: ImageRef = format!("[::1]:5000/a@sha256:{HEX}").parse().unwrap();
        assert_eq!(image.reference(), format!("sha256:{HEX}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            ":tag",
            "Upper/case",
            "a//b",
            "-rm",
            "a:",
            "a:b c",
            "h.io:port/a",
            "a__ _b",
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
        assert!("a@sha256:12".parse::<ImageRef>().is_err());
        assert!("a:b".parse::<PinnedImage>().is_err());
    }

    proptest! {
        #[test]
        fn parse_and_display_agree(
            text in "([a-z0-9]{1,5}(\\.[a-z]{2,3})(:[0-9]{2,4})?/)?[a-z0-9]{1,6}((-|_|__)[a-z0-9]{1,4}){0,2}(/[a-z0-9]{1,5}){0,2}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9})?(@sha256:[0-9a-f]{64})?"
        ) {
            let image: ImageRef = text.parse().unwrap();
            prop_assert_eq!(image.to_string(), text);
        }

        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = text.parse::<ImageRef>();
            let _ = text.parse::<Digest>();
        }
    }
}
