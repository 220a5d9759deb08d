//! Reads a layout, believing nothing: every digest is computed again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use launch_config::image::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

fn digest(bytes: &[u8]) -> String {
    Digest::from_sha256(Sha256::digest(bytes).into()).to_string()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("`{key}` is missing in {value}"))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("a document of the layout is JSON")
}

/// A blob, whose digest and size are right.
fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let named = text(descriptor, "digest");
    let hex = named.strip_prefix("sha256:").expect("a SHA-256 digest");
    let bytes = fs_err::read(layout.join("blobs/sha256").join(hex)).expect("the blob is there");
    assert_eq!(digest(&bytes), named, "a blob is not what its name says");
    assert_eq!(
        descriptor["size"].as_u64(),
        u64::try_from(bytes.len()).ok(),
        "a blob's size"
    );
    bytes
}

fn manifest(layout: &Path) -> Value {
    let read = |name: &str| json(&fs_err::read(layout.join(name)).expect("the layout's own files"));
    assert_eq!(text(&read("oci-layout"), "imageLayoutVersion"), "1.0.0");
    let index = read("index.json");
    let [entry] = index["manifests"]
        .as_array()
        .expect("`manifests`")
        .as_slice()
    else {
        panic!("an index with one manifest: {index}");
    };
    assert_eq!(
        text(entry, "mediaType"),
        "application/vnd.oci.image.manifest.v1+json"
    );
    entry.clone()
}

/// The digest that identifies the image.
pub(super) fn manifest_digest(layout: &Path) -> String {
    text(&manifest(layout), "digest").to_owned()
}

/// The regular files of all layers together, small ones with their content.
pub(super) fn files(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let manifest = json(&blob(layout, &manifest(layout)));
    let media_type = text(&manifest["config"], "mediaType");
    assert_eq!(media_type, "application/vnd.oci.image.config.v1+json");
    let config = json(&blob(layout, &manifest["config"]));
    let layers = manifest["layers"].as_array().expect("`layers`");
    let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("`diff_ids`");
    assert_eq!(layers.len(), diff_ids.len(), "one layer for each `diff_id`");
    let mut files = BTreeMap::new();
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        assert_eq!(
            text(layer, "mediaType"),
            "application/vnd.oci.image.layer.v1.tar+gzip"
        );
        let mut tar = Vec::new();
        let unpacked = MultiGzDecoder::new(blob(layout, layer).as_slice()).read_to_end(&mut tar);
        unpacked.expect("a layer is gzip");
        assert_eq!(
            Some(digest(&tar).as_str()),
            diff_id.as_str(),
            "a layer's `diff_id`"
        );
        read_layer(&tar, &mut files);
    }
    files
}

fn read_layer(tar: &[u8], files: &mut BTreeMap<String, Vec<u8>>) {
    let mut archive = tar::Archive::new(tar);
    for entry in archive.entries().expect("a layer is a tar") {
        let entry = entry.expect("a layer's entry");
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().expect("an entry's path").display().to_string();
        let mut content = Vec::new();
        entry
            .take(4096)
            .read_to_end(&mut content)
            .expect("an entry's content");
        files.insert(path.trim_start_matches("./").to_owned(), content);
    }
}
