//! The digest of a context, record by record, as written at the top of the parent module.

use std::io::Write as _;

use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

/// The first bytes that are hashed. The number changes with the recipe.
const VERSION: &[u8] = b"launch-context 1\n";

/// Takes records in the order of the bytes of their paths.
#[derive(Debug)]
pub(super) struct Recipe {
    hash: Sha256,
    record: Vec<u8>,
}

impl Recipe {
    pub(super) fn new(rules: Digest) -> Self {
        let mut hash = Sha256::new();
        hash.update(VERSION);
        hash.update(format!("rules {}\n", rules.to_hex()));
        Self {
            hash,
            record: Vec::new(),
        }
    }

    pub(super) fn directory(&mut self, path: &[u8]) {
        self.add("d 0755", 0, "-", path);
    }

    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) {
        self.add(
            "l 0777",
            target.len() as u64,
            &sha256(target).to_hex(),
            path,
        );
    }

    pub(super) fn file(&mut self, path: &[u8], executable: bool, size: u64, content: Digest) {
        let kind = if executable { "f 0755" } else { "f 0644" };
        self.add(kind, size, &content.to_hex(), path);
    }

    fn add(&mut self, kind: &str, size: u64, content: &str, path: &[u8]) {
        self.record.clear();
        write!(self.record, "{kind} {size} {content} ").expect("a vector takes every write");
        self.record.extend_from_slice(path);
        self.record.push(0);
        self.hash.update(&self.record);
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from_sha256(self.hash.finalize().into())
    }
}

/// The SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}
