//! From a context to an archive: pieces are read, hashed and compressed on threads, and come
//! out in their order.

use std::io::Write;
use std::os::unix::fs::FileExt;

use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

use super::blocks::Blocks;
use super::cut::{Content, Cutter, Part, Piece};
use super::encode::{self, Encoded, Encoder, Frame};
use super::options::Compression;
use super::order::in_order;
use super::pass::{Outcome, Pass};
use super::read::Reader;
use super::recipe::{Found, record, sha256};
use super::scan::Kind;
use super::seen::Seen;
use super::stats::Learned;
use super::tarball::{self, file_header, header, pad};
use crate::error::Error;

/// How an archive is made.
#[derive(Clone, Copy)]
pub(super) struct Archive<'a> {
    pub(super) compression: Compression,
    /// Pieces from earlier times.
    pub(super) blocks: Option<&'a Blocks>,
    /// Whether the archive is hashed.
    pub(super) is_hashed: bool,
}

/// What was written.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) digest: Option<Digest>,
}

/// A piece that was made, and the entries that end in it.
struct Made {
    found: Vec<(Found, Option<Learned>)>,
    piece: Encoded,
}

/// Writes an archive of every entry, each read once, or not at all if the piece it is in is
/// known.
pub(super) fn pack(
    pass: Pass<'_>,
    archive: Archive<'_>,
    out: &mut impl Write,
) -> Result<(Outcome, Written), Error> {
    let reader = || Reader::new(pass.root, pass.cancel, pass.progress);
    let mut cutter = Cutter::new(pass.entries, reader(), pass.known);
    let mut outcome = Outcome::default();
    let mut sink = Sink {
        out,
        frame: Frame::new(archive.compression.format),
        bytes: 0,
        hash: archive.is_hashed.then(Sha256::new),
    };
    sink.write(sink.frame.begin())?;
    in_order(
        pass.threads,
        || cutter.next(),
        || {
            let mut maker = Maker::new(pass, archive, reader())?;
            Ok(move |piece| maker.make(piece))
        },
        |made: Made| {
            for (found, learned) in made.found {
                outcome.found.push(found);
                outcome.learned.extend(learned);
            }
            sink.frame.add(&made.piece);
            pass.cancel.check()?;
            sink.write(&made.piece.bytes)
        },
    )?;
    let end = sink.frame.end();
    sink.write(&end)?;
    Ok((outcome, sink.finish()?))
}

/// Where an archive goes.
struct Sink<'a, W> {
    out: &'a mut W,
    frame: Frame,
    bytes: u64,
    hash: Option<Sha256>,
}

impl<W: Write> Sink<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }

    fn finish(self) -> Result<Written, Error> {
        self.out.flush()?;
        let digest = |hash: Sha256| Digest::from_sha256(hash.finalize().into());
        Ok(Written {
            bytes: self.bytes,
            digest: self.hash.map(digest),
        })
    }
}

/// Makes pieces; each thread has one.
struct Maker<'a> {
    pass: Pass<'a>,
    archive: Archive<'a>,
    reader: Reader<'a>,
    encoder: Encoder,
    name: String,
    /// Where the next file is in what is known.
    near: usize,
}

impl<'a> Maker<'a> {
    fn new(pass: Pass<'a>, archive: Archive<'a>, reader: Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            pass,
            archive,
            reader,
            encoder: Encoder::new(archive.compression)?,
            name: encode::name(archive.compression),
            near: 0,
        })
    }

    fn make(&mut self, piece: Piece) -> Result<Made, Error> {
        match piece {
            Piece::Run(run) => self.run(&run),
            Piece::Part(part) => self.part(&part),
            Piece::End => Ok(Made {
                found: Vec::new(),
                piece: self.encoder.encode(tarball::END.to_vec())?,
            }),
        }
    }

    fn run(&mut self, run: &[(usize, Option<Seen>)]) -> Result<Made, Error> {
        if let Some(made) = self.known_run(run)? {
            return Ok(made);
        }
        let mut tar = Vec::new();
        let mut found = Vec::with_capacity(run.len());
        for (index, seen) in run {
            found.push(self.entry(*index, seen.as_ref(), &mut tar)?);
        }
        let key = self.key_of_run(run, &found);
        let piece = self.encode(key, tar)?;
        Ok(Made { found, piece })
    }

    /// A run of which no file need be read: all were before, and the piece is kept.
    fn known_run(&mut self, run: &[(usize, Option<Seen>)]) -> Result<Option<Made>, Error> {
        if self.archive.blocks.is_none() || !self.pass.known.is_of_use() {
            return Ok(None);
        }
        let mut found = Vec::with_capacity(run.len());
        for (index, seen) in run {
            let (path, kind) = &self.pass.entries[*index];
            let entry = match (kind, seen) {
                (Kind::File, Some(seen)) => {
                    match self.pass.known.digest(path, seen, &mut self.near) {
                        Some(digest) => {
                            (seen.file(digest), Some(Learned::new(*index, *seen, digest)))
                        }
                        None => return Ok(None),
                    }
                }
                (Kind::Link, _) => (Found::Link(self.reader.link(path)?), None),
                (Kind::Added(added), _) => (Found::added(&added.content), None),
                _ => (Found::Directory, None),
            };
            found.push(entry);
        }
        let key = self.key_of_run(run, &found);
        let Some(piece) = key.and_then(|key| self.archive.blocks?.get(key)) else {
            return Ok(None);
        };
        for (found, _) in &found {
            self.pass.progress.found(found);
        }
        Ok(Some(Made { found, piece }))
    }

    /// Appends an entry to a piece.
    fn entry(
        &mut self,
        index: usize,
        seen: Option<&Seen>,
        tar: &mut Vec<u8>,
    ) -> Result<(Found, Option<Learned>), Error> {
        let (path, kind) = &self.pass.entries[index];
        let found = match kind {
            Kind::File => {
                let seen = seen.ok_or_else(|| self.reader.changed(path))?;
                return self.file(index, seen, tar);
            }
            Kind::Directory => Found::Directory,
            Kind::Link => Found::Link(self.reader.link(path)?),
            Kind::Added(file) => Found::added(&file.content),
        };
        self.pass.progress.found(&found);
        header(tar, path, &found);
        if let Kind::Added(file) = kind {
            tar.extend_from_slice(&file.content);
            pad(tar, file.content.len() as u64);
        }
        Ok((found, None))
    }

    fn file(
        &mut self,
        index: usize,
        seen: &Seen,
        tar: &mut Vec<u8>,
    ) -> Result<(Found, Option<Learned>), Error> {
        let path = self.pass.entries[index].0.as_slice();
        let began = self.pass.known.now();
        let (mut open, _) = self.reader.open(path)?;
        file_header(tar, path, seen.executable, seen.size);
        let at = tar.len();
        tar.resize(
            at + usize::try_from(seen.size).expect("a small file fits memory"),
            0,
        );
        self.reader.fill(path, &mut open, &mut tar[at..])?;
        let after = self.reader.check(path, &open, seen)?;
        self.reader.done();
        let digest = sha256(&tar[at..]);
        pad(tar, seen.size);
        let holds = after == *seen && self.pass.known.is_settled(seen, began);
        Ok((
            seen.file(digest),
            holds.then(|| Learned::new(index, *seen, digest)),
        ))
    }

    fn part(&mut self, part: &Part) -> Result<Made, Error> {
        let path = self.pass.entries[part.index].0.as_slice();
        let mut tar = Vec::new();
        if part.number == 0 {
            file_header(&mut tar, path, part.seen.executable, part.seen.size);
        }
        let (key, whole) = match &part.content {
            Content::Read(bytes, whole) => {
                tar.extend_from_slice(bytes);
                let learn = |(digest, holds): (Digest, bool)| {
                    let learned = Learned::new(part.index, part.seen, digest);
                    (part.seen.file(digest), holds.then_some(learned))
                };
                (None, whole.map(learn))
            }
            Content::Known(digest) => {
                self.pass.progress.bytes(part.length);
                let found = part.seen.file(*digest);
                let key = self.key([(part.index, &found)], part.number + 1);
                let piece = key.and_then(|key| self.archive.blocks?.get(key));
                let learned = Learned::new(part.index, part.seen, *digest);
                let whole = part.is_last.then_some((found, Some(learned)));
                if let Some(piece) = piece {
                    let found = whole.into_iter().collect();
                    return Ok(Made { found, piece });
                }
                self.read_part(part, &mut tar)?;
                (key, whole)
            }
        };
        if part.is_last {
            pad(&mut tar, part.seen.size);
        }
        Ok(Made {
            found: whole.into_iter().collect(),
            piece: self.encode(key, tar)?,
        })
    }

    /// Reads a part of a file whose digest is known, but whose piece is not kept.
    fn read_part(&mut self, part: &Part, tar: &mut Vec<u8>) -> Result<(), Error> {
        let path = self.pass.entries[part.index].0.as_slice();
        let (open, seen) = self.reader.open(path)?;
        let at = tar.len();
        tar.resize(
            at + usize::try_from(part.length).expect("a part fits memory"),
            0,
        );
        open.read_exact_at(&mut tar[at..], part.number * super::cut::PART)
            .map_err(|error| self.reader.failed(path, error))?;
        if seen != part.seen {
            return Err(self.reader.changed(path));
        }
        self.reader.check(path, &open, &seen).map(drop)
    }

    /// Encodes a piece, or finds it encoded.
    fn encode(&mut self, key: Option<Digest>, tar: Vec<u8>) -> Result<Encoded, Error> {
        let kept = key.zip(self.archive.blocks);
        if let Some(piece) = kept.and_then(|(key, blocks)| blocks.get(key)) {
            return Ok(piece);
        }
        let piece = self.encoder.encode(tar)?;
        // What did not shrink is read again as fast as it would be found here.
        if let Some((key, blocks)) = kept
            && (piece.bytes.len() as u64) < piece.raw / 16 * 15
        {
            blocks.put(key, &piece);
        }
        Ok(piece)
    }

    fn key_of_run(
        &self,
        run: &[(usize, Option<Seen>)],
        found: &[(Found, Option<Learned>)],
    ) -> Option<Digest> {
        let entries = run.iter().zip(found);
        self.key(entries.map(|((index, _), (found, _))| (*index, found)), 0)
    }

    /// The digest of all that makes a piece: encoder, entries, and which part of a file it is,
    /// from 1; 0 is all of it.
    fn key<'f>(
        &self,
        entries: impl IntoIterator<Item = (usize, &'f Found)>,
        part: u64,
    ) -> Option<Digest> {
        self.archive.blocks?;
        let mut bytes =
            format!("launch-piece {} {part} {}\n", super::ARCHIVE, self.name).into_bytes();
        for (index, found) in entries {
            record(&mut bytes, &self.pass.entries[index].0, found);
        }
        Some(sha256(&bytes))
    }
}
