//! Archives that never change, and a second implementation that makes the same ones.
//!
//! The digests of compressed archives are those of the libraries' versions in `Cargo.lock`: a
//! new version that makes other bytes shows here, and is told in the changelog.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/skip.rs"]
mod skip;
#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;
#[path = "context/vectors.rs"]
mod vectors;

use std::io::Read as _;
use std::path::Path;
use std::process::Command;

use flate2::bufread::GzDecoder;
use launch_builder::context::{self, ContextOptions, Format};
use launch_builder::event::Events;
use serde_json::{Value, json};

use self::tree::{ODD, PLAIN, write};
use self::vectors::{entries, second_opinion};

const ARCHIVE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/archive.py");

const FORMS: [(&str, Format, u32); 4] = [
    ("tar", Format::Tar, 0),
    ("tar.gz", Format::TarGz, 6),
    ("tar.gz, level 1", Format::TarGz, 1),
    ("tar.zst", Format::TarZst, 3),
];

/// The archive, and its digest.
fn pack(root: &Path, format: Format, level: u32) -> (Vec<u8>, String) {
    let options = ContextOptions::new().with_format(format).with_level(level);
    let options = options.with_archive_digest();
    let mut archive = Vec::new();
    let packed = context::pack(root, &options, &mut archive, &Events::silent()).unwrap();
    (archive, packed.archive_digest.unwrap().to_string())
}

/// The pieces an archive is made of, as a reader finds them.
fn pieces(archive: &[u8], format: Format) -> Vec<Vec<u8>> {
    let (mut rest, mut pieces) = (archive, Vec::new());
    while !rest.is_empty() {
        let mut piece = Vec::new();
        rest = if format == Format::TarGz {
            let mut member = GzDecoder::new(rest);
            member.read_to_end(&mut piece).unwrap();
            member.into_inner()
        } else {
            let frame = zstd::stream::read::Decoder::with_buffer(rest).unwrap();
            let mut frame = frame.single_frame();
            frame.read_to_end(&mut piece).unwrap();
            frame.finish()
        };
        pieces.push(piece);
    }
    pieces
}

#[test]
fn archives_are_what_they_were() {
    let text = include_str!("golden/archives.json");
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    for vector in vectors {
        let (tree, name) = (entries(&vector), &vector["name"]);
        for way in [PLAIN, ODD] {
            let root = write(&tree, way);
            let said = FORMS.map(|(form, format, level)| {
                let (_, digest) = pack(root.path(), format, level);
                (form.to_owned(), json!(digest))
            });
            let said = Value::Object(said.into_iter().collect());
            let known = FORMS.map(|(form, ..)| (form.to_owned(), vector[form].clone()));
            assert_eq!(said, Value::Object(known.into_iter().collect()), "{name}");
        }
        let root = write(&tree, PLAIN);
        let mut python = Command::new("python3");
        let Some(second) = second_opinion(python.arg(ARCHIVE).arg(root.path()), "") else {
            continue;
        };
        let expected = json!({"tar": vector["tar"], "pieces": vector["pieces"]});
        let second: Value = serde_json::from_str(&second).unwrap();
        assert_eq!(second, expected, "{name}");
    }
}

#[test]
fn every_piece_is_a_member_or_a_frame_of_its_own() {
    let text = include_str!("golden/archives.json");
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    for vector in vectors {
        let root = write(&entries(&vector), PLAIN);
        let (tar, _) = pack(root.path(), Format::Tar, 0);
        for format in [Format::TarGz, Format::TarZst] {
            let pieces = pieces(&pack(root.path(), format, 1).0, format);
            let lengths: Vec<_> = pieces.iter().map(Vec::len).collect();
            assert_eq!(json!(lengths), vector["pieces"], "{}", vector["name"]);
            assert!(pieces.concat() == tar, "{}", vector["name"]);
        }
    }
}
