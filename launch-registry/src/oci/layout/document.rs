//! The JSON of a layout: only what a push needs to know of it.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::invalid;
use crate::Error;

/// Media types (image-spec, "OCI Image Media Types"; docker's Image Manifest V2, Schema 2).
pub(crate) mod media {
    pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

    /// What we accept as an answer, and push.
    pub(crate) const MANIFESTS: [&str; 4] = [INDEX, MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

    /// The constant for a media type, if it is one of a manifest.
    pub(crate) fn known(media_type: &str) -> Option<&'static str> {
        MANIFESTS.into_iter().find(|known| *known == media_type)
    }

    pub(crate) fn is_index(media_type: &str) -> bool {
        matches!(media_type, INDEX | DOCKER_LIST)
    }

    /// The type of a manifest that does not name its own.
    pub(crate) fn assumed(is_index: bool) -> &'static str {
        if is_index { INDEX } else { MANIFEST }
    }
}

/// The tag of an image in a layout (image-spec, "Pre-Defined Annotation Keys").
const NAME: &str = "org.opencontainers.image.ref.name";
/// The name `docker buildx` gives it besides.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

#[derive(Deserialize)]
pub(super) struct Marker {
    #[serde(rename = "imageLayoutVersion")]
    pub(super) version: String,
}

/// image-spec, "OCI Content Descriptors".
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    platform: Option<serde_json::Value>,
    #[serde(default)]
    annotations: HashMap<String, String>,
}

impl Descriptor {
    /// Layers that licences forbid to push: they stay where they are.
    pub(super) fn is_foreign(&self) -> bool {
        self.media_type.contains(".nondistributable.")
            || self.media_type == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    }

    fn is_named(&self, tag: &str) -> bool {
        let name = |key| self.annotations.get(key).map(String::as_str);
        let ends = |name: &str| name.rsplit_once(':').is_some_and(|(_, end)| end == tag);
        name(NAME).is_some_and(|name| name == tag || ends(name))
            || name(CONTAINERD_NAME).is_some_and(ends)
    }
}

/// A manifest, an index, or `index.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    media_type: Option<String>,
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
}

impl Document {
    /// What it is: by its own word, else by that of who refers to it, else by its looks.
    pub(super) fn media_type(&self, referrer: &Descriptor) -> Option<&'static str> {
        match self.media_type.as_deref() {
            Some(own) => media::known(own),
            None if referrer.media_type.is_empty() => Some(media::assumed(self.config.is_none())),
            None => media::known(&referrer.media_type),
        }
    }

    /// The one image that is meant.
    pub(super) fn select(&self, tag: Option<&str>) -> Option<&Descriptor> {
        match self.manifests.as_slice() {
            [only] => Some(only),
            several => {
                let mut named = several
                    .iter()
                    .filter(|entry| entry.is_named(tag.unwrap_or("latest")));
                named.next().filter(|_| named.next().is_none())
            }
        }
    }

    pub(super) fn is_multi_platform(&self) -> bool {
        !self.manifests.is_empty() && self.manifests.iter().all(|entry| entry.platform.is_some())
    }
}

pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| invalid(path, error.to_string()))
}
