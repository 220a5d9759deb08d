//! An OCI image layout out of what the engine exports.
//!
//! Engines before 25 write `manifest.json`, `<config>.json` and `<id>/layer.tar`; later ones
//! write an OCI layout and the same `manifest.json` into it, whose paths are then blobs. So
//! `manifest.json` is the way in for both. Layers come out gzip-compressed, the same bytes
//! for the same layer, and each is checked against the config's `diff_ids` on the way.
//! Memory is a few blocks; the disk holds one uncompressed copy of the image meanwhile.
//!
//! Formats: OCI image-spec, `image-layout.md`, `manifest.md`, `config.md`.

mod blob;
mod saved;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tempfile::TempDir;

use self::blob::{Blobs, Compression};
use self::saved::Saved;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A blob as a manifest names it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: u64,
}

/// The parts of an image config that a layout repeats or is checked by.
#[derive(Debug, Deserialize)]
struct Config {
    architecture: String,
    os: String,
    variant: Option<String>,
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Converts an export into a fresh directory beside `target`. `InvalidData` says that the
/// export is not what it should be.
pub(super) fn convert(
    export: impl Read,
    target: &Path,
    tag: &str,
    is_stopped: &dyn Fn() -> bool,
) -> io::Result<TempDir> {
    let parent = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let scratch = tempfile::Builder::new()
        .prefix(".launch-export-")
        .tempdir_in(parent)?;
    let staged = tempfile::Builder::new()
        .prefix(".launch-layout-")
        .tempdir_in(parent)?;
    let saved = Saved::unpack(export, scratch.path(), is_stopped)?;
    let mut blobs = Blobs::new(staged.path(), is_stopped)?;
    let config = saved.config()?;
    let parsed: Config = parse("image config", &config)?;
    let layers = layers(&saved, &mut blobs, &parsed.rootfs.diff_ids)?;
    let config = descriptor(CONFIG, blobs.put(&config)?);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let manifest = descriptor(MANIFEST, blobs.put(manifest.to_string().as_bytes())?);
    fs_err::write(
        staged.path().join("index.json"),
        index(&manifest, &parsed, tag),
    )?;
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    fs_err::write(staged.path().join("oci-layout"), version.to_string())?;
    Ok(staged)
}

/// Puts a finished layout where it belongs, in one step.
pub(super) fn place(staged: TempDir, target: &Path) -> io::Result<()> {
    // A directory takes the place of an empty one, and of no other.
    fs_err::rename(staged.path(), target)?;
    // It has moved: there is nothing left to remove.
    let _ = staged.keep();
    Ok(())
}

fn descriptor(media_type: &'static str, (digest, size): (String, u64)) -> Descriptor {
    Descriptor {
        media_type,
        digest,
        size,
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(|error| invalid(format!("its {what}: {error}")))
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn layers(
    saved: &Saved,
    blobs: &mut Blobs<'_>,
    diff_ids: &[String],
) -> io::Result<Vec<Descriptor>> {
    let paths = saved.layers()?;
    if paths.len() != diff_ids.len() {
        let (has, names) = (paths.len(), diff_ids.len());
        return Err(invalid(format!(
            "it has {has} layers where its config names {names}"
        )));
    }
    // An image may have one layer several times: two equal steps, or two empty ones.
    let mut known: HashMap<&str, Descriptor> = HashMap::new();
    let mut layers = Vec::with_capacity(paths.len());
    for (path, diff_id) in paths.iter().zip(diff_ids) {
        if !known.contains_key(diff_id.as_str()) {
            let (compression, blob) = blobs.put_layer(path, diff_id)?;
            known.insert(diff_id, descriptor(media_type(compression), blob));
        }
        layers.extend(known.get(diff_id.as_str()).cloned());
    }
    Ok(layers)
}

fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
        Compression::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
    }
}

fn index(manifest: &Descriptor, config: &Config, tag: &str) -> String {
    let mut platform = json!({ "architecture": config.architecture, "os": config.os });
    if let Some(variant) = config
        .variant
        .as_deref()
        .filter(|variant| !variant.is_empty())
    {
        platform["variant"] = variant.into();
    }
    let mut entry = json!(manifest);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    entry["platform"] = platform;
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string()
}

#[cfg(test)]
mod tests;
