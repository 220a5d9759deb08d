//! The digest of a context, record by record, as written at the top of the parent module.

use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

/// The first bytes that are hashed. The number changes with the recipe.
const VERSION: &[u8] = b"launch-context 1\n";

/// Records are hashed when there are so many bytes of them.
const ROOM: usize = 32 * 1024;

/// What an entry turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Directory,
    Link(Vec<u8>),
    File {
        executable: bool,
        size: u64,
        digest: Digest,
    },
}

impl Found {
    /// A file that is not in the tree.
    pub(super) fn added(content: &[u8]) -> Self {
        Self::File {
            executable: false,
            size: content.len() as u64,
            digest: sha256(content),
        }
    }
}

/// Takes records in the order of the bytes of their paths.
#[derive(Debug)]
pub(super) struct Recipe {
    hash: Sha256,
    /// Those not hashed yet.
    records: Vec<u8>,
}

impl Recipe {
    pub(super) fn new(rules: Digest) -> Self {
        let mut hash = Sha256::new();
        hash.update(VERSION);
        hash.update(format!("rules {}\n", rules.to_hex()));
        Self {
            hash,
            records: Vec::new(),
        }
    }

    /// Adds what was found at a path.
    pub(super) fn add(&mut self, path: &[u8], found: &Found) {
        record(&mut self.records, path, found);
        if self.records.len() >= ROOM {
            self.hash.update(&self.records);
            self.records.clear();
        }
    }

    pub(super) fn finish(mut self) -> Digest {
        self.hash.update(&self.records);
        Digest::from_sha256(self.hash.finalize().into())
    }
}

/// Appends the record of what was found at a path.
pub(super) fn record(to: &mut Vec<u8>, path: &[u8], found: &Found) {
    let (kind, size, content) = match found {
        Found::Directory => ("d 0755", 0, None),
        Found::Link(target) => ("l 0777", target.len() as u64, Some(sha256(target))),
        Found::File {
            executable,
            size,
            digest,
        } => {
            let kind = if *executable { "f 0755" } else { "f 0644" };
            (kind, *size, Some(*digest))
        }
    };
    to.extend_from_slice(kind.as_bytes());
    to.push(b' ');
    to.extend_from_slice(itoa::Buffer::new().format(size).as_bytes());
    to.push(b' ');
    match content {
        Some(digest) => to.extend_from_slice(&hex(digest)),
        None => to.push(b'-'),
    }
    to.push(b' ');
    to.extend_from_slice(path);
    to.push(0);
}

/// The digits of a digest, without the allocation: there is one for every file.
fn hex(digest: Digest) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(digest.as_bytes()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    digits
}

/// The SHA-256 of bytes.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}
