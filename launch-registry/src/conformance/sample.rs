//! Small images in OCI layouts.

use std::io;
use std::path::{Path, PathBuf};

use launch_config::image::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A small image: layers as given, and a config that fits.
///
/// ```
/// use launch_registry::conformance::Sample;
///
/// # fn main() -> std::io::Result<()> {
/// let directory = tempfile::tempdir()?;
/// let digest = Sample::random(1000).write(directory.path())?;
/// assert!(directory.path().join("blobs/sha256").join(digest.to_hex()).is_file());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// With their digests: these are asked for often, and slow without optimisation.
    layers: Vec<(Digest, Vec<u8>)>,
    process: Value,
    platform: Option<(String, String)>,
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

fn blob_path(layout: &Path, digest: Digest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.to_hex())
}

fn descriptor(media_type: &str, digest: Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}

impl Sample {
    /// An image without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// An image with one layer of `length` random bytes: new to every registry. It can be
    /// pushed and not run.
    ///
    /// # Panics
    /// If the system has no randomness.
    pub fn random(length: usize) -> Self {
        Self::new().with_layer(Self::noise(length))
    }

    /// Random bytes, for a layer that is new to every registry.
    ///
    /// # Panics
    /// If the system has no randomness.
    pub fn noise(length: usize) -> Vec<u8> {
        let mut layer = vec![0; length];
        getrandom::fill(&mut layer).expect("the system has randomness");
        layer
    }

    /// Adds a layer: an uncompressed tar, if it is to be run.
    #[must_use]
    pub fn with_layer(mut self, layer: Vec<u8>) -> Self {
        self.layers.push((sha256(&layer), layer));
        self
    }

    /// Sets what the image runs (image-spec, the `config` of an image configuration).
    #[must_use]
    pub fn with_process(self, process: Value) -> Self {
        Self { process, ..self }
    }

    /// Sets operating system and architecture, by their Go names.
    #[must_use]
    pub fn with_platform(self, os: &str, architecture: &str) -> Self {
        Self {
            platform: Some((os.to_owned(), architecture.to_owned())),
            ..self
        }
    }

    fn platform(&self) -> Value {
        let (os, architecture) = match &self.platform {
            Some((os, architecture)) => (os.as_str(), architecture.as_str()),
            None => ("linux", "amd64"),
        };
        json!({ "os": os, "architecture": architecture })
    }

    fn config(&self) -> Vec<u8> {
        let mut config = self.platform();
        let digests: Vec<Digest> = self.layers.iter().map(|(digest, _)| *digest).collect();
        config["rootfs"] = json!({ "type": "layers", "diff_ids": digests });
        config["config"] = if self.process.is_null() {
            json!({})
        } else {
            self.process.clone()
        };
        config.to_string().into_bytes()
    }

    fn manifest(&self) -> Vec<u8> {
        let layers = self.layers.iter();
        let layers = layers.map(|(digest, layer)| descriptor(LAYER, *digest, layer.len()));
        let layers: Vec<Value> = layers.collect();
        let config = self.config();
        let config = descriptor(CONFIG, sha256(&config), config.len());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
        });
        manifest.to_string().into_bytes()
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        sha256(&self.manifest())
    }

    /// Where the layer of this number lies in a layout.
    ///
    /// # Panics
    /// If there is no such layer.
    pub fn layer_path(&self, layout: &Path, number: usize) -> PathBuf {
        blob_path(layout, self.layers[number].0)
    }

    /// Writes a layout with this image into a directory; answers the image's digest.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, directory: &Path) -> io::Result<Digest> {
        Self::write_all(std::slice::from_ref(self), directory)
    }

    /// Writes a layout with several images, one per platform; answers the index's digest,
    /// or that of the only image.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_all(samples: &[Self], directory: &Path) -> io::Result<Digest> {
        fs_err::create_dir_all(directory.join("blobs/sha256"))?;
        let put = |digest, bytes: &[u8]| fs_err::write(blob_path(directory, digest), bytes);
        let mut entries = Vec::new();
        for sample in samples {
            sample
                .layers
                .iter()
                .try_for_each(|(digest, layer)| put(*digest, layer))?;
            let (config, manifest) = (sample.config(), sample.manifest());
            put(sha256(&config), &config)?;
            put(sha256(&manifest), &manifest)?;
            let mut entry = descriptor(MANIFEST, sha256(&manifest), manifest.len());
            entry["platform"] = sample.platform();
            entries.push(entry);
        }
        let index = json!({ "schemaVersion": 2, "manifests": entries }).to_string();
        fs_err::write(directory.join("index.json"), &index)?;
        let marker = json!({ "imageLayoutVersion": "1.0.0" }).to_string();
        fs_err::write(directory.join("oci-layout"), marker)?;
        Ok(match samples {
            [only] => only.digest(),
            _ => sha256(index.as_bytes()),
        })
    }
}
