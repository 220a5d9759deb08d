//! What directories held, on disk.
//!
//! One file for each source, replaced as a whole: [`MAGIC`], then for each directory in the
//! order of paths, numbers little-endian: the length of its path in 16 bits, what is seen of
//! it, the length of its names in 32 bits, the path, the names; at the end the SHA-256 of it
//! all. A name is a letter for what it is, the name, a zero byte.

use std::io;
use std::path::Path;

use rustix::fs::FileType;

use super::super::seen::Seen;
use super::file::{SEEN, put_seen, seen_at, summed, write_whole};

const MAGIC: &[u8] = b"launch-lists 1\n";

/// A path's length, what is seen, the length of the names.
const FIXED: usize = 2 + SEEN + 4;

/// What kinds of entries are called.
const KINDS: [(FileType, u8); 7] = [
    (FileType::RegularFile, b'f'),
    (FileType::Directory, b'd'),
    (FileType::Symlink, b'l'),
    (FileType::Fifo, b'p'),
    (FileType::Socket, b's'),
    (FileType::CharacterDevice, b'c'),
    (FileType::BlockDevice, b'b'),
];

/// What a directory holds for as long as it is seen like this.
#[derive(Debug, Clone)]
pub(in super::super) struct Listed {
    pub(in super::super) path: Vec<u8>,
    seen: Seen,
    names: Vec<u8>,
}

impl Listed {
    pub(in super::super) fn new(path: Vec<u8>, seen: Seen) -> Self {
        let names = Vec::new();
        Self { path, seen, names }
    }

    /// Adds an entry.
    pub(in super::super) fn add(&mut self, name: &[u8], kind: FileType) {
        let letter = KINDS.iter().find(|(other, _)| *other == kind);
        self.names.push(letter.map_or(b'?', |(_, letter)| *letter));
        self.names.extend_from_slice(name);
        self.names.push(0);
    }
}

/// The names of a directory, as they were written.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Names<'a> {
    seen: Seen,
    bytes: &'a [u8],
}

impl<'a> Names<'a> {
    /// Whether they are those of a directory that is seen like this.
    pub(in super::super) fn are_of(self, seen: &Seen) -> bool {
        self.seen == *seen
    }

    /// Every entry, and what it is.
    pub(in super::super) fn entries(self) -> impl Iterator<Item = (&'a [u8], FileType)> {
        let names = self.bytes.split(|byte| *byte == 0);
        names.filter_map(|name| {
            let (letter, name) = name.split_first()?;
            let kind = KINDS.iter().find(|(_, other)| other == letter);
            Some((name, kind.map_or(FileType::Unknown, |(kind, _)| *kind)))
        })
    }

    /// The same, to be written again.
    pub(super) fn to_listed(self, path: &[u8]) -> Listed {
        Listed {
            path: path.to_vec(),
            seen: self.seen,
            names: self.bytes.to_vec(),
        }
    }
}

/// A file of the cache, read.
#[derive(Debug, Default)]
pub(super) struct Lists {
    bytes: Vec<u8>,
    /// Where the directories are in `bytes`.
    places: Vec<u32>,
}

impl Lists {
    pub(super) fn read(file: &Path) -> Self {
        let bytes = fs_err::read(file).unwrap_or_default();
        let places = index(&bytes).unwrap_or_default();
        Self { bytes, places }
    }

    /// How many directories.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// What a directory held.
    pub(super) fn find(&self, path: &[u8]) -> Option<Names<'_>> {
        let at = |place: u32| list(&self.bytes[place as usize..]);
        let compare = |place: &u32| at(*place).map_or(std::cmp::Ordering::Less, |l| l.0.cmp(path));
        let found = self.places.binary_search_by(compare).ok()?;
        Some(at(self.places[found])?.1)
    }
}

/// Puts lists, in the order of paths, in the place of what was there.
pub(super) fn replace(file: &Path, lists: &[Listed]) -> io::Result<()> {
    let mut bytes = MAGIC.to_vec();
    for Listed { path, seen, names } in lists {
        let lengths = (u16::try_from(path.len()), u32::try_from(names.len()));
        if let (Ok(path_length), Ok(names_length)) = lengths {
            bytes.extend_from_slice(&path_length.to_le_bytes());
            put_seen(&mut bytes, seen);
            bytes.extend_from_slice(&names_length.to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(names);
        }
    }
    write_whole(file, bytes)
}

/// Where the directories of a file are; nothing if it is not whole.
fn index(bytes: &[u8]) -> Option<Vec<u32>> {
    let content = summed(bytes, MAGIC)?;
    let (mut places, mut at) = (Vec::new(), MAGIC.len());
    while at < content.len() {
        let (path, names) = list(&content[at..])?;
        places.push(u32::try_from(at).ok()?);
        at += FIXED + path.len() + names.bytes.len();
    }
    Some(places)
}

/// The directory bytes begin with.
fn list(bytes: &[u8]) -> Option<(&[u8], Names<'_>)> {
    let path = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
    let seen = seen_at(bytes, 2)?;
    let names = u32::from_le_bytes(*bytes.get(2 + SEEN..)?.first_chunk()?) as usize;
    let (path, rest) = bytes.get(FIXED..)?.split_at_checked(path)?;
    let bytes = rest.get(..names)?;
    Some((path, Names { seen, bytes }))
}
