//! Both forms of an export, and exports that lie.

use serde_json::Value;

use super::*;
use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

fn hex(bytes: &[u8]) -> String {
    Digest::from_sha256(Sha256::digest(bytes).into()).to_hex()
}

fn layer(text: &str) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(text.len().try_into().unwrap());
    header.set_mode(0o644);
    layer
        .append_data(&mut header, "file", text.as_bytes())
        .unwrap();
    layer.into_inner().unwrap()
}

fn config(diff_ids: &[&[u8]]) -> Vec<u8> {
    let ids: Vec<_> = diff_ids
        .iter()
        .map(|layer| format!("sha256:{}", hex(layer)))
        .collect();
    let rootfs = json!({ "type": "layers", "diff_ids": ids });
    json!({ "architecture": "arm", "os": "linux", "variant": "v7", "rootfs": rootfs })
        .to_string()
        .into_bytes()
}

enum Entry<'a> {
    File(String, &'a [u8]),
    Link(String, String),
}

fn export(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        match entry {
            Entry::File(name, bytes) => {
                header.set_size(bytes.len().try_into().unwrap());
                archive.append_data(&mut header, name, *bytes).unwrap();
            }
            Entry::Link(name, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, name, target).unwrap();
            }
        }
    }
    archive.into_inner().unwrap()
}

fn file<'a>(name: &str, bytes: &'a [u8]) -> Entry<'a> {
    Entry::File(name.to_owned(), bytes)
}

fn manifest(config: &str, layers: &[&str]) -> Vec<u8> {
    json!([{ "Config": config, "RepoTags": ["a:1"], "Layers": layers }])
        .to_string()
        .into_bytes()
}

/// As an engine before 25 writes it, the third layer a link to the first.
fn old_export(layers: [&[u8]; 2], config: &[u8]) -> Vec<u8> {
    let name = format!("{}.json", hex(config));
    let paths = ["one/layer.tar", "two/layer.tar", "three/layer.tar"];
    export(&[
        file("one/VERSION", b"1.0"),
        file(paths[0], layers[0]),
        file(paths[1], layers[1]),
        Entry::Link(paths[2].to_owned(), "../one/layer.tar".to_owned()),
        file(&name, config),
        file("manifest.json", &manifest(&name, &paths)),
    ])
}

fn converted(export: &[u8]) -> io::Result<(TempDir, std::path::PathBuf)> {
    let parent = tempfile::tempdir().unwrap();
    let target = parent.path().join("layout");
    place(convert(export, &target, "v1", &|| false)?, &target)?;
    assert_eq!(
        fs_err::read_dir(parent.path())?.count(),
        1,
        "nothing is left beside the layout"
    );
    Ok((parent, target))
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"]
        .as_str()
        .unwrap()
        .strip_prefix("sha256:")
        .unwrap();
    let bytes = fs_err::read(layout.join("blobs/sha256").join(digest)).unwrap();
    assert_eq!(hex(&bytes), digest);
    assert_eq!(descriptor["size"].as_u64(), u64::try_from(bytes.len()).ok());
    bytes
}

#[test]
fn an_old_export_becomes_a_layout() {
    let (one, two) = (layer("one"), layer("two"));
    let config = config(&[&one, &two, &one]);
    let (_parent, layout) = converted(&old_export([&one, &two], &config)).unwrap();
    let index = read_json(&layout.join("index.json"));
    let mut shown = index.clone();
    // The digest is the compressor's too, whose next version may compress better.
    shown["manifests"][0]["digest"] = "sha256:…".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap(), @r#"
    {
      "schemaVersion": 2,
      "mediaType": "application/vnd.oci.image.index.v1+json",
      "manifests": [
        {
          "mediaType": "application/vnd.oci.image.manifest.v1+json",
          "digest": "sha256:…",
          "size": 706,
          "annotations": {
            "org.opencontainers.image.ref.name": "v1"
          },
          "platform": {
            "architecture": "arm",
            "os": "linux",
            "variant": "v7"
          }
        }
      ]
    }
    "#);
    let manifest: Value = serde_json::from_slice(&blob(&layout, &index["manifests"][0])).unwrap();
    assert_eq!(blob(&layout, &manifest["config"]), config);
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!((layers.len(), &layers[0]), (3, &layers[2]));
    let mut text = Vec::new();
    let compressed = blob(&layout, &layers[1]);
    flate2::read::GzDecoder::new(compressed.as_slice())
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, two);
}

#[test]
fn the_same_image_is_the_same_layout() {
    let (one, two) = (layer("one"), layer("two"));
    let config = config(&[&one, &two, &one]);
    let index = || {
        let (_parent, layout) = converted(&old_export([&one, &two], &config)).unwrap();
        read_json(&layout.join("index.json"))
    };
    assert_eq!(index(), index());
}

#[test]
fn a_new_export_is_a_layout_already_and_is_brought_into_form() {
    let one = layer("one");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut gzip, &layer("two")).unwrap();
    let two = gzip.finish().unwrap();
    let config = config(&[&one, &layer("two")]);
    let path = |bytes: &[u8]| format!("blobs/sha256/{}", hex(bytes));
    let paths = [path(&one), path(&two)];
    let export = export(&[
        file(&paths[0], &one),
        file(&paths[1], &two),
        file(&path(&config), &config),
        file("index.json", b"{}"),
        file("oci-layout", b"{}"),
        file(
            "manifest.json",
            &manifest(&path(&config), &[&paths[0], &paths[1]]),
        ),
    ]);
    let (_parent, layout) = converted(&export).unwrap();
    let index = read_json(&layout.join("index.json"));
    let manifest: Value = serde_json::from_slice(&blob(&layout, &index["manifests"][0])).unwrap();
    assert_ne!(
        blob(&layout, &manifest["layers"][0]),
        one,
        "a plain layer is compressed"
    );
    assert_eq!(
        blob(&layout, &manifest["layers"][1]),
        two,
        "a compressed one stays as it is"
    );
}

#[test]
fn an_export_that_lies_is_refused() {
    let (one, two) = (layer("one"), layer("two"));
    let right = config(&[&one, &two, &one]);
    let refused = |export: Vec<u8>, why: &str| {
        let error = converted(&export).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(old_export([&one, &one], &right), "where its config names");
    refused(old_export([&one, &two], &config(&[&one])), "3 layers");
    refused(export(&[]), "no `manifest.json`");
    let name = format!("{}.json", "0".repeat(64));
    let manifest = manifest(&name, &[]);
    refused(
        export(&[file("manifest.json", &manifest), file(&name, &right)]),
        "its config",
    );
    let outside = self::manifest("../../etc/passwd", &[]);
    refused(
        export(&[file("manifest.json", &outside)]),
        "no `../../etc/passwd`",
    );
}

#[test]
fn an_export_that_breaks_off_leaves_nothing() {
    let (one, two) = (layer("one"), layer("two"));
    let export = old_export([&one, &two], &config(&[&one, &two, &one]));
    let parent = tempfile::tempdir().unwrap();
    for length in [0, 700, 1500, export.len() / 2] {
        let target = parent.path().join("layout");
        assert!(convert(&export[..length], &target, "v1", &|| false).is_err());
        assert_eq!(fs_err::read_dir(parent.path()).unwrap().count(), 0);
    }
}
