//! What is remembered of a source, on disk.
//!
//! One file for each source, replaced as a whole: [`MAGIC`], then for each file in the order of
//! paths, numbers little-endian, the fields of [`Learned`] and the path, and at the end the
//! SHA-256 of it all. What is not whole, or of another version, is as if it were not there.

use std::cmp::Ordering;
use std::io::{self, Write as _};
use std::path::Path;

use launch_config::image::Digest;

use super::super::recipe::sha256;
use super::super::scan::Entries;
use super::super::seen::Seen;

const MAGIC: &[u8] = b"launch-stats 1\n";

/// Device, inode, size, two times, and whether it is executable.
pub(super) const SEEN: usize = 8 * 5 + 4 * 2 + 1;

/// A path's length, then what is seen, then the digest.
const FIXED: usize = 2 + SEEN + 32;

/// A file whose digest holds for as long as it is seen like this.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Learned {
    pub(in super::super) index: usize,
    pub(super) seen: Seen,
    pub(super) digest: Digest,
}

impl Learned {
    pub(in super::super) fn new(index: usize, seen: Seen, digest: Digest) -> Self {
        Self {
            index,
            seen,
            digest,
        }
    }

    fn write(&self, path: &[u8], to: &mut Vec<u8>) {
        let length = u16::try_from(path.len()).expect("longer paths are left out");
        to.extend_from_slice(&length.to_le_bytes());
        put_seen(to, &self.seen);
        to.extend_from_slice(self.digest.as_bytes());
        to.extend_from_slice(path);
    }
}

/// Appends what is seen of an entry.
pub(super) fn put_seen(to: &mut Vec<u8>, seen: &Seen) {
    let Seen {
        device,
        inode,
        size,
        executable,
        modified,
        changed,
    } = *seen;
    for number in [device, inode, size] {
        to.extend_from_slice(&number.to_le_bytes());
    }
    for (seconds, nanoseconds) in [modified, changed] {
        to.extend_from_slice(&seconds.to_le_bytes());
        to.extend_from_slice(&nanoseconds.to_le_bytes());
    }
    to.push(u8::from(executable));
}

/// Reads it back.
pub(super) fn seen_at(bytes: &[u8], at: usize) -> Option<Seen> {
    let bytes = bytes.get(at..)?.first_chunk::<SEEN>()?;
    let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let time_at = |at: usize| {
        let nanoseconds = u32::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?);
        Some((u64_at(at)?.cast_signed(), nanoseconds))
    };
    Some(Seen {
        device: u64_at(0)?,
        inode: u64_at(8)?,
        size: u64_at(16)?,
        modified: time_at(24)?,
        changed: time_at(36)?,
        executable: bytes[48] != 0,
    })
}

/// What a file of the cache says, if it is whole and begins with `magic`.
pub(super) fn summed<'a>(bytes: &'a [u8], magic: &[u8]) -> Option<&'a [u8]> {
    let (content, sum) = bytes.split_at(bytes.len().checked_sub(32)?);
    let is_whole = content.starts_with(magic) && sha256(content).as_bytes() == sum;
    is_whole.then_some(content)
}

/// Writes a file of the cache, with the sum at its end, in the place of what was there.
pub(super) fn write_whole(file: &Path, mut bytes: Vec<u8>) -> io::Result<()> {
    bytes.extend_from_slice(sha256(&bytes).as_bytes());
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut scratch = tempfile::NamedTempFile::new_in(directory)?;
    scratch.write_all(&bytes)?;
    scratch.persist(file)?;
    Ok(())
}

/// A file of the cache, read.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    bytes: Vec<u8>,
    /// Where the entries are in `bytes`.
    places: Vec<u32>,
}

impl Remembered {
    pub(super) fn read(file: &Path) -> Self {
        let bytes = fs_err::read(file).unwrap_or_default();
        let places = index(&bytes).unwrap_or_default();
        Self { bytes, places }
    }

    /// How many files.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// What is remembered of a path. `near` is where to look first, and then where the path
    /// after this one is likely to be.
    pub(super) fn find(&self, path: &[u8], near: &mut usize) -> Option<(Seen, Digest)> {
        let at = |place: u32| entry(&self.bytes[place as usize..]);
        let is_near = |place: &u32| at(*place).is_some_and(|(other, ..)| other == path);
        if !self.places.get(*near).is_some_and(is_near) {
            let compare = |place: &u32| at(*place).map_or(Ordering::Less, |e| e.0.cmp(path));
            *near = self.places.binary_search_by(compare).ok()?;
        }
        let (_, seen, digest) = at(*self.places.get(*near)?)?;
        *near += 1;
        Some((seen, digest))
    }
}

/// Puts what was learned, in the order of paths, in the place of what was there.
pub(super) fn replace(file: &Path, entries: &Entries, learned: &[Learned]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    bytes.reserve(learned.len() * (FIXED + 64));
    for learned in learned {
        let path = entries[learned.index].0.as_slice();
        if u16::try_from(path.len()).is_ok() {
            learned.write(path, &mut bytes);
        }
    }
    write_whole(file, bytes)
}

/// Where the entries of a file are; nothing if it is not whole.
fn index(bytes: &[u8]) -> Option<Vec<u32>> {
    let content = summed(bytes, MAGIC)?;
    let (mut places, mut at) = (Vec::new(), MAGIC.len());
    while at < content.len() {
        let (path, ..) = entry(&content[at..])?;
        places.push(u32::try_from(at).ok()?);
        at += FIXED + path.len();
    }
    Some(places)
}

/// The entry bytes begin with.
fn entry(bytes: &[u8]) -> Option<(&[u8], Seen, Digest)> {
    let length = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
    let path = bytes.get(FIXED..FIXED + length)?;
    let digest = Digest::from_sha256(*bytes.get(2 + SEEN..)?.first_chunk()?);
    Some((path, seen_at(bytes, 2)?, digest))
}
