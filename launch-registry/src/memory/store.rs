//! What the registry holds, and the rules about it.

use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};
use launch_config::image::Digest;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::http::Answer;

/// A manifest as it was put.
#[derive(Debug, Clone)]
pub(super) struct StoredManifest {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) bytes: Bytes,
}

#[derive(Debug, Default)]
struct Repository {
    blobs: HashMap<Digest, Bytes>,
    manifests: HashMap<Digest, StoredManifest>,
    tags: BTreeMap<String, Digest>,
}

#[derive(Debug, Default)]
struct Upload {
    repository: String,
    bytes: BytesMut,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    repositories: HashMap<String, Repository>,
    uploads: HashMap<u64, Upload>,
    next_upload: u64,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(default, rename = "mediaType")]
    media_type: String,
    digest: Digest,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    config: Option<Reference>,
    #[serde(default)]
    layers: Vec<Reference>,
    #[serde(default)]
    manifests: Vec<Reference>,
}

impl Manifest {
    fn parse(media_type: &str, bytes: &[u8]) -> Result<Self, Answer> {
        let invalid = |message: &str| Answer::error(400, "MANIFEST_INVALID", message);
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| invalid(&error.to_string()))?;
        match manifest.media_type.as_deref() {
            Some(own) if own != media_type => {
                Err(invalid("its media type is not that of the request"))
            }
            _ => Ok(manifest),
        }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

fn unknown_upload() -> Answer {
    Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry")
}

impl Store {
    pub(super) fn blob(&self, repository: &str, digest: Digest) -> Option<Bytes> {
        self.repositories
            .get(repository)?
            .blobs
            .get(&digest)
            .cloned()
    }

    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<&StoredManifest> {
        let repository = self.repositories.get(repository)?;
        let tagged = || repository.tags.get(reference).copied();
        let digest = reference.parse().ok().or_else(tagged)?;
        repository.manifests.get(&digest)
    }

    pub(super) fn tags(&self, repository: &str) -> Option<Vec<String>> {
        Some(
            self.repositories
                .get(repository)?
                .tags
                .keys()
                .cloned()
                .collect(),
        )
    }

    pub(super) fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    /// Puts a blob of another repository into this one, if it is there.
    pub(super) fn mount(&mut self, repository: &str, from: &str, digest: Digest) -> bool {
        let Some(blob) = self.blob(from, digest) else {
            return false;
        };
        self.repository(repository).blobs.insert(digest, blob);
        true
    }

    pub(super) fn open(&mut self, repository: &str) -> u64 {
        self.next_upload += 1;
        let upload = Upload {
            repository: repository.to_owned(),
            bytes: BytesMut::new(),
        };
        self.uploads.insert(self.next_upload, upload);
        self.next_upload
    }

    /// How many bytes an upload holds.
    pub(super) fn stored(&mut self, repository: &str, id: u64) -> Result<usize, Answer> {
        self.upload(repository, id).map(|upload| upload.bytes.len())
    }

    pub(super) fn append(&mut self, repository: &str, id: u64, piece: &[u8]) -> Result<(), Answer> {
        self.upload(repository, id)?.bytes.extend_from_slice(piece);
        Ok(())
    }

    pub(super) fn cancel(&mut self, repository: &str, id: u64) -> Result<(), Answer> {
        self.upload(repository, id)?;
        self.uploads.remove(&id);
        Ok(())
    }

    /// Ends an upload, which must have the digest its client says.
    pub(super) fn complete(
        &mut self,
        repository: &str,
        id: u64,
        digest: Digest,
    ) -> Result<(), Answer> {
        self.upload(repository, id)?;
        let upload = self.uploads.remove(&id).ok_or_else(unknown_upload)?;
        let found = sha256(&upload.bytes);
        if found != digest {
            let message = format!("content has digest {found}");
            return Err(Answer::error(400, "DIGEST_INVALID", &message));
        }
        self.repository(repository)
            .blobs
            .insert(digest, upload.bytes.freeze());
        Ok(())
    }

    /// Takes a manifest whose parts are all here.
    pub(super) fn put_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<Digest, Answer> {
        self.check_parts(repository, &Manifest::parse(media_type, &bytes)?)?;
        let digest = sha256(&bytes);
        let named = reference.parse::<Digest>();
        if named.as_ref().is_ok_and(|named| *named != digest) {
            let message = "the manifest has another digest";
            return Err(Answer::error(400, "DIGEST_INVALID", message));
        }
        let repository = self.repository(repository);
        if named.is_err() {
            repository.tags.insert(reference.to_owned(), digest);
        }
        let stored = StoredManifest {
            digest,
            media_type: media_type.to_owned(),
            bytes,
        };
        repository.manifests.insert(digest, stored);
        Ok(digest)
    }

    fn check_parts(&mut self, repository: &str, manifest: &Manifest) -> Result<(), Answer> {
        let repository = self.repository(repository);
        let layers = manifest.layers.iter().filter(|layer| {
            !layer.media_type.contains("nondistributable") && !layer.media_type.contains("foreign")
        });
        let mut blobs = layers.chain(&manifest.config).map(|part| part.digest);
        let missing = blobs.find(|digest| !repository.blobs.contains_key(digest));
        let mut children = manifest.manifests.iter().map(|part| part.digest);
        let orphan = children.find(|digest| !repository.manifests.contains_key(digest));
        match missing.or(orphan) {
            Some(digest) => Err(Answer::error(
                404,
                "MANIFEST_BLOB_UNKNOWN",
                &format!("manifest references unknown {digest}"),
            )),
            None => Ok(()),
        }
    }

    fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    fn upload(&mut self, repository: &str, id: u64) -> Result<&mut Upload, Answer> {
        let upload = self
            .uploads
            .get_mut(&id)
            .filter(|upload| upload.repository == repository);
        upload.ok_or_else(unknown_upload)
    }
}
