//! Reads an OCI image layout (image-spec, "Image Layout Specification").
//!
//! [`read`] walks from `index.json` down and answers what is to be pushed, in which order.
//! It checks that every blob is there in its right size; blobs are hashed when they are
//! sent, so that a layer is read once. File names are made of parsed digests, never of text
//! from a manifest, so no path leads out of the layout.

mod document;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use launch_config::image::{Digest, ImageRef};

pub(crate) use self::document::media;
use self::document::{Descriptor, Document, Marker};
use super::client::{same_digest, sha256};
use crate::Error;

/// Registries refuse larger manifests (distribution-spec, "Pushing Manifests").
const MANIFEST: u64 = 4 * 1024 * 1024;
/// Indexes in indexes deeper than this are no images.
const DEPTH: usize = 4;

/// A layer or a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    pub(crate) path: PathBuf,
}

/// A manifest or index, as it lies in the layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
}

/// All that is to be pushed, each thing once and after what it refers to.
#[derive(Debug, Default)]
pub(crate) struct Image {
    pub(crate) layers: Vec<Blob>,
    pub(crate) configs: Vec<Blob>,
    /// The last one is the image itself.
    pub(crate) manifests: Vec<Manifest>,
}

impl Image {
    /// The manifest that gets the tag.
    pub(crate) fn root(&self) -> &Manifest {
        self.manifests
            .last()
            .expect("an image is only read with a manifest")
    }
}

/// Reads the layout at `path`. Blocking.
///
/// An index with one entry is that image. With several, the one whose name annotation is
/// the tag of `image` is meant; if none is, and all are for some platform, the index itself.
pub(crate) fn read(path: &Path, image: &ImageRef) -> Result<Image, Error> {
    let mut walk = Walk {
        layout: path,
        image: Image::default(),
        seen: HashSet::new(),
    };
    walk.check_marker()?;
    let file = path.join("index.json");
    let bytes = read_capped(&file)?;
    let index: Document = document::parse(&file, &bytes)?;
    match index.select(image.tag()) {
        Some(root) => walk.manifest(root, 0)?,
        None if index.is_multi_platform() => {
            let (digest, media_type) = (sha256(&bytes), media::INDEX);
            walk.children(&index, 0)?;
            walk.image.manifests.push(Manifest {
                digest,
                media_type,
                bytes: bytes.into(),
            });
        }
        None => return Err(ambiguous(&file, &index, image)),
    }
    Ok(walk.image)
}

fn ambiguous(file: &Path, index: &Document, image: &ImageRef) -> Error {
    let (count, tag) = (index.manifests.len(), image.tag().unwrap_or("latest"));
    let why = format!("its index names {count} images, none of them by the tag `{tag}`");
    invalid(file, why)
}

struct Walk<'a> {
    layout: &'a Path,
    image: Image,
    seen: HashSet<Digest>,
}

impl Walk<'_> {
    fn check_marker(&self) -> Result<(), Error> {
        let file = self.layout.join("oci-layout");
        if !file.is_file() {
            return Err(invalid(self.layout, "it has no file `oci-layout`"));
        }
        let marker: Marker = document::parse(&file, &read_capped(&file)?)?;
        if marker.version.starts_with("1.") {
            return Ok(());
        }
        Err(invalid(
            &file,
            format!("its version is `{}` instead of 1", marker.version),
        ))
    }

    fn manifest(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), Error> {
        let (digest, path) = self.locate(descriptor)?;
        if !self.seen.insert(digest) {
            return Ok(());
        }
        let bytes = read_capped(&path)?;
        let what = format!("manifest `{}`", path.display());
        same_digest(&what, digest, sha256(&bytes))?;
        let document: Document = document::parse(&path, &bytes)?;
        let media_type = document.media_type(descriptor);
        let media_type = media_type
            .ok_or_else(|| invalid(&path, "it is neither an image manifest nor an index"))?;
        if media::is_index(media_type) {
            if depth == DEPTH {
                return Err(invalid(&path, "its indexes are nested too deeply"));
            }
            self.children(&document, depth + 1)?;
        } else {
            self.parts(&path, &document)?;
        }
        self.image.manifests.push(Manifest {
            digest,
            media_type,
            bytes: bytes.into(),
        });
        Ok(())
    }

    fn children(&mut self, index: &Document, depth: usize) -> Result<(), Error> {
        index
            .manifests
            .iter()
            .try_for_each(|child| self.manifest(child, depth))
    }

    fn parts(&mut self, path: &Path, manifest: &Document) -> Result<(), Error> {
        let config = manifest.config.as_ref();
        let config = config.ok_or_else(|| invalid(path, "it names no config"))?;
        let config = self.blob(config)?;
        self.image.configs.extend(config);
        for layer in manifest.layers.iter().filter(|layer| !layer.is_foreign()) {
            let layer = self.blob(layer)?;
            self.image.layers.extend(layer);
        }
        Ok(())
    }

    /// The blob, unless it was met before.
    fn blob(&mut self, descriptor: &Descriptor) -> Result<Option<Blob>, Error> {
        let (digest, path) = self.locate(descriptor)?;
        let size = descriptor.size;
        Ok(self
            .seen
            .insert(digest)
            .then_some(Blob { digest, size, path }))
    }

    /// Where the content is, which must be a file of the size it should have.
    fn locate(&self, descriptor: &Descriptor) -> Result<(Digest, PathBuf), Error> {
        let digest: Digest = descriptor.digest.parse().map_err(|_| {
            invalid(
                self.layout,
                format!("`{}` is not a SHA-256 digest", descriptor.digest),
            )
        })?;
        let path = self
            .layout
            .join("blobs")
            .join("sha256")
            .join(digest.to_hex());
        let found = match fs_err::metadata(&path) {
            Ok(found) if found.is_file() => found.len(),
            _ => return Err(invalid(&path, "the blob is missing")),
        };
        if found != descriptor.size {
            let why = format!("the blob has {found} bytes instead of {}", descriptor.size);
            return Err(invalid(&path, why));
        }
        Ok((digest, path))
    }
}

fn read_capped(path: &Path) -> Result<Vec<u8>, Error> {
    if fs_err::metadata(path).is_ok_and(|file| file.len() > MANIFEST) {
        return Err(invalid(path, "it is too large"));
    }
    fs_err::read(path).map_err(Error::Io)
}

pub(super) fn invalid(path: &Path, why: impl Into<String>) -> Error {
    Error::Layout {
        path: path.display().to_string(),
        why: why.into(),
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
