//! What directories held, on disk.
//!
//! For each directory, numbers little-endian: the length of its path in 16 bits, what is seen
//! of it, the length of its names in 32 bits, the path, the names. A name is a letter for what
//! it is, the name, a zero byte.

use std::io;
use std::path::Path;

use rustix::fs::FileType;

use super::super::seen::Seen;
use super::table::{self, Layout, SEEN, Table, put_seen, seen_at};

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

/// How lists are written.
#[derive(Debug)]
pub(super) struct Lists;

impl Layout for Lists {
    const MAGIC: &'static [u8] = b"launch-lists 1\n";

    fn entry(bytes: &[u8]) -> Option<(&[u8], usize)> {
        let path = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
        let names = u32::from_le_bytes(*bytes.get(2 + SEEN..)?.first_chunk()?) as usize;
        let length = FIXED + path + names;
        Some((bytes.get(..length)?.get(FIXED..FIXED + path)?, length))
    }
}

impl Table<Lists> {
    /// What a directory held.
    pub(super) fn names(&self, path: &[u8]) -> Option<Names<'_>> {
        let (_, bytes) = self.find(path, 0)?;
        let (_, length) = Lists::entry(bytes)?;
        Some(Names {
            seen: seen_at(bytes, 2)?,
            bytes: bytes.get(FIXED + path.len()..length)?,
        })
    }
}

/// Puts lists, in the order of paths, in the place of what was there.
pub(super) fn replace(file: &Path, lists: &[Listed]) -> io::Result<()> {
    let mut bytes = Lists::MAGIC.to_vec();
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
    table::replace(file, bytes)
}
