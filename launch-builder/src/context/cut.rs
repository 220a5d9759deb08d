//! Where an archive is cut into pieces, which are compressed each by itself.
//!
//! Where the cuts are depends on paths and sizes alone, as written in the parent module, and
//! a cut after a change is where it was before: most pieces of a changed tree are those of
//! the tree before.

use std::fs::File;

use launch_config::image::Digest;
use libdeflater::crc32;
use sha2::{Digest as _, Sha256};

use super::entries::{Entries, Kind};
use super::read::Reader;
use super::seen::Seen;
use super::spare::Spare;
use super::stats::Known;
use super::tarball::padding;
use crate::error::Error;

/// A piece of whole entries has at least so many bytes, if another entry follows it.
const LEAST: u64 = 512 << 10;

/// And no more than these.
const MOST: u64 = 1536 << 10;

/// Larger files are pieces of their own, cut every so many bytes.
pub(super) const PART: u64 = 1 << 20;

/// Between [`LEAST`] and [`MOST`], a piece ends before an entry whose path has a CRC-32 that
/// is a multiple of this.
const CHANCE: u32 = 16;

/// A piece of an archive, before it is read.
pub(super) enum Piece {
    /// Whole entries, with what is seen of each that is a file.
    Run(Vec<(usize, Option<Seen>)>),
    /// A part of a large file.
    Part(Part),
    /// The end of the archive.
    End,
}

/// A part of a large file.
pub(super) struct Part {
    pub(super) index: usize,
    pub(super) seen: Seen,
    /// Which part it is, from 0.
    pub(super) number: u64,
    pub(super) length: u64,
    pub(super) is_last: bool,
    pub(super) content: Content,
}

/// What is known of a part.
pub(super) enum Content {
    /// Its bytes; and with the last part the digest of the file and whether it holds for as
    /// long as the file is seen like this.
    Read(Vec<u8>, Option<(Digest, bool)>),
    /// The digest of the file, from an earlier pass: it need not be read if the piece is kept.
    Known(Digest),
}

/// Cuts an archive, piece by piece.
pub(super) struct Cutter<'a> {
    entries: &'a Entries,
    reader: Reader<'a>,
    known: &'a Known,
    spare: &'a Spare,
    at: usize,
    /// The file at `at`, if it was looked at.
    looked: Option<Seen>,
    large: Option<Large>,
    is_over: bool,
    /// Where the next file is in what is known.
    near: usize,
}

/// A large file, and how far it was cut.
struct Large {
    seen: Seen,
    number: u64,
    content: Source,
}

enum Source {
    Open(File, Sha256, Option<std::time::SystemTime>),
    Known(Digest),
}

impl<'a> Cutter<'a> {
    pub(super) fn new(
        entries: &'a Entries,
        reader: Reader<'a>,
        known: &'a Known,
        spare: &'a Spare,
    ) -> Self {
        Self {
            entries,
            reader,
            known,
            spare,
            at: 0,
            looked: None,
            large: None,
            is_over: false,
            near: 0,
        }
    }

    /// The next piece.
    pub(super) fn next(&mut self) -> Option<Result<Piece, Error>> {
        if self.is_over {
            return None;
        }
        Some(self.cut())
    }

    fn cut(&mut self) -> Result<Piece, Error> {
        if self.large.is_some() {
            return self.part();
        }
        let mut run = Vec::new();
        let mut length = 0;
        while let Some((path, kind)) = self.entries.get(self.at) {
            let seen = match (kind, self.looked.take()) {
                (Kind::File(seen), None) => Some(self.look(path, seen.as_ref())?),
                (_, looked) => looked,
            };
            if let Some(seen) = seen.filter(|seen| seen.size > PART) {
                if run.is_empty() {
                    self.large = Some(self.begin(path, seen)?);
                    return self.part();
                }
                self.looked = Some(seen);
                break;
            }
            let size = size(kind, seen.as_ref());
            let ends =
                length >= LEAST && (length + size > MOST || crc32(path).is_multiple_of(CHANCE));
            if ends {
                self.looked = seen;
                break;
            }
            length += size;
            run.push((self.at, seen));
            self.at += 1;
        }
        if run.is_empty() {
            self.is_over = true;
            return Ok(Piece::End);
        }
        Ok(Piece::Run(run))
    }

    /// A file that has to be read is looked at now; for one that is known, that was done.
    fn look(&mut self, path: &[u8], seen: Option<&Seen>) -> Result<Seen, Error> {
        match seen.filter(|seen| self.known.digest(path, seen, &mut self.near).is_some()) {
            Some(seen) => Ok(*seen),
            None => self.reader.look(path),
        }
    }

    fn begin(&mut self, path: &[u8], seen: Seen) -> Result<Large, Error> {
        let content = if let Some(digest) = self.known.digest(path, &seen, &mut 0) {
            Source::Known(digest)
        } else {
            let began = self.known.now();
            let (file, opened) = self.reader.open(path)?;
            if !seen.is_same_content(&opened) {
                return Err(self.reader.changed(path));
            }
            Source::Open(file, Sha256::new(), began)
        };
        Ok(Large {
            seen,
            number: 0,
            content,
        })
    }

    fn part(&mut self) -> Result<Piece, Error> {
        let mut large = self.large.take().expect("a large file was begun");
        let index = self.at;
        let path = self.entries.path(index);
        let (seen, number) = (large.seen, large.number);
        let left = seen.size - number * PART;
        let (length, is_last) = (left.min(PART), left <= PART);
        let content = match &mut large.content {
            Source::Known(digest) => Content::Known(*digest),
            Source::Open(file, hash, began) => {
                let mut bytes = self.spare.take();
                bytes.resize(usize::try_from(length).expect("a part fits memory"), 0);
                self.reader.fill(path, file, &mut bytes)?;
                hash.update(&bytes);
                let mut whole = None;
                if is_last {
                    let after = self.reader.check(path, file, &seen)?;
                    let holds = after == seen && self.known.is_settled(&seen, *began);
                    let digest = Digest::from_sha256(hash.clone().finalize().into());
                    whole = Some((digest, holds));
                }
                Content::Read(bytes, whole)
            }
        };
        if is_last {
            self.at += 1;
            self.reader.done();
        } else {
            large.number += 1;
            self.large = Some(large);
        }
        Ok(Piece::Part(Part {
            index,
            seen,
            number,
            length,
            is_last,
            content,
        }))
    }
}

/// Bytes of an entry, for the cut: header, content and padding; a long name is not counted.
fn size(kind: &Kind, seen: Option<&Seen>) -> u64 {
    let content = match (kind, seen) {
        (Kind::Added(file), _) => file.content.len() as u64,
        (_, Some(seen)) => seen.size,
        _ => 0,
    };
    512 + content + padding(content) as u64
}
