//! A file of the cache: entries in the order of their paths.
//!
//! Replaced as a whole: a magic line, the entries, and at the end the SHA-256 of it all. What is
//! not whole, or of another version, is as if it were not there.

use std::cmp::Ordering;
use std::io::{self, Write as _};
use std::path::Path;

use super::super::recipe::sha256;
use super::super::seen::Seen;

/// Device, inode, size, two times, and whether it is executable.
pub(super) const SEEN: usize = 8 * 5 + 4 * 2 + 1;

/// How entries are read.
pub(super) trait Layout {
    /// The first line of the file.
    const MAGIC: &'static [u8];

    /// The path of the entry that bytes begin with, and how long the entry is.
    fn entry(bytes: &[u8]) -> Option<(&[u8], usize)>;
}

/// A file of the cache, read.
#[derive(Debug)]
pub(super) struct Table<L> {
    bytes: Vec<u8>,
    /// Where the entries are in `bytes`.
    places: Vec<u32>,
    layout: std::marker::PhantomData<L>,
}

impl<L> Default for Table<L> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            places: Vec::new(),
            layout: std::marker::PhantomData,
        }
    }
}

impl<L: Layout> Table<L> {
    pub(super) fn read(file: &Path) -> Self {
        let bytes = fs_err::read(file).unwrap_or_default();
        let places = places::<L>(&bytes).unwrap_or_default();
        Self {
            bytes,
            places,
            ..Self::default()
        }
    }

    /// How many entries.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The entry of a path, and which it is. `near` is where to look first.
    pub(super) fn find(&self, path: &[u8], near: usize) -> Option<(usize, &[u8])> {
        let is_near = self.path(near).is_some_and(|other| other == path);
        let index = if is_near {
            near
        } else {
            let compare = |place: &u32| {
                let entry = L::entry(&self.bytes[*place as usize..]);
                entry.map_or(Ordering::Less, |(other, _)| other.cmp(path))
            };
            self.places.binary_search_by(compare).ok()?
        };
        Some((index, &self.bytes[self.places[index] as usize..]))
    }

    fn path(&self, index: usize) -> Option<&[u8]> {
        let place = *self.places.get(index)? as usize;
        Some(L::entry(&self.bytes[place..])?.0)
    }
}

/// Where the entries of a file are; nothing if it is not whole.
fn places<L: Layout>(bytes: &[u8]) -> Option<Vec<u32>> {
    let (content, sum) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if !content.starts_with(L::MAGIC) || sha256(content).as_bytes() != sum {
        return None;
    }
    let (mut places, mut at) = (Vec::new(), L::MAGIC.len());
    while at < content.len() {
        let (_, length) = L::entry(&content[at..])?;
        places.push(u32::try_from(at).ok()?);
        at += length;
    }
    Some(places)
}

/// Writes a file of the cache in the place of what was there. `bytes` has the first line and
/// the entries.
pub(super) fn replace(file: &Path, mut bytes: Vec<u8>) -> io::Result<()> {
    bytes.extend_from_slice(sha256(&bytes).as_bytes());
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(directory)?;
    let mut scratch = tempfile::NamedTempFile::new_in(directory)?;
    scratch.write_all(&bytes)?;
    scratch.persist(file)?;
    Ok(())
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
