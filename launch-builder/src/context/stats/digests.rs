//! Digests of files, on disk.
//!
//! For each file, numbers little-endian: the length of its path in 16 bits, what is seen of
//! it, its digest, the path.

use std::io;
use std::path::Path;

use launch_config::image::Digest;

use super::super::entries::{Entries, Kind};
use super::super::seen::Seen;
use super::table::{self, Layout, SEEN, Table, put_seen, seen_at};

/// A path's length, then what is seen, then the digest.
const FIXED: usize = 2 + SEEN + 32;

/// A file whose digest holds for as long as it is seen like this.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Learned {
    pub(in super::super) index: usize,
    seen: Seen,
    digest: Digest,
}

impl Learned {
    pub(in super::super) fn new(index: usize, seen: Seen, digest: Digest) -> Self {
        Self {
            index,
            seen,
            digest,
        }
    }
}

/// How digests are written.
#[derive(Debug)]
pub(super) struct Digests;

impl Layout for Digests {
    const MAGIC: &'static [u8] = b"launch-stats 1\n";

    fn entry(bytes: &[u8]) -> Option<(&[u8], usize)> {
        let length = FIXED + usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
        Some((bytes.get(FIXED..length)?, length))
    }
}

impl Table<Digests> {
    /// The digest of a file seen like this. `near` is where to look first, and then where the
    /// file after this one is likely to be.
    pub(super) fn digest(&self, path: &[u8], seen: &Seen, near: &mut usize) -> Option<Digest> {
        let (index, bytes) = self.find(path, *near)?;
        *near = index + 1;
        let digest = Digest::from_sha256(*bytes.get(2 + SEEN..)?.first_chunk()?);
        (seen_at(bytes, 2)? == *seen).then_some(digest)
    }

    /// Writes what was learned, in the order of paths, with what still holds.
    pub(super) fn replace(
        &self,
        file: &Path,
        entries: &Entries,
        learned: &[Learned],
    ) -> io::Result<()> {
        let mut bytes = Digests::MAGIC.to_vec();
        let (mut near, mut learned) = (0, learned.iter().peekable());
        for (index, (path, kind)) in entries.iter().enumerate() {
            if let Some(new) = learned.next_if(|learned| learned.index == index) {
                put(&mut bytes, path, &new.seen, new.digest);
            } else if let Kind::File(Some(seen)) = kind
                && let Some(digest) = self.digest(path, seen, &mut near)
            {
                put(&mut bytes, path, seen, digest);
            }
        }
        table::replace(file, bytes)
    }
}

/// Appends an entry. A path that is too long is left out.
fn put(to: &mut Vec<u8>, path: &[u8], seen: &Seen, digest: Digest) {
    if let Ok(length) = u16::try_from(path.len()) {
        to.extend_from_slice(&length.to_le_bytes());
        put_seen(to, seen);
        to.extend_from_slice(digest.as_bytes());
        to.extend_from_slice(path);
    }
}
