//! One piece of an archive, from the tree or from what is kept.

mod part;

use launch_config::image::Digest;

use super::super::cut::Piece;
use super::super::encode::{self, Encoded, Encoder};
use super::super::entries::Kind;
use super::super::pass::Pass;
use super::super::read::Reader;
use super::super::recipe::{Found, record, sha256};
use super::super::seen::Seen;
use super::super::spare::Spare;
use super::super::stats::Learned;
use super::super::tarball::{self, file_header, header, pad};
use super::Archive;
use crate::error::Error;

/// A piece that was made, and the entries that end in it, with what is new about them.
pub(super) struct Made {
    pub(super) found: Vec<(Found, Option<Learned>)>,
    pub(super) piece: Vec<u8>,
}

/// Makes pieces; each thread has one.
pub(super) struct Maker<'a> {
    pass: Pass<'a>,
    archive: Archive<'a>,
    reader: Reader<'a>,
    encoder: Encoder,
    spare: &'a Spare,
    name: String,
    /// The piece in the making; its room is used again.
    tar: Vec<u8>,
    /// Where the next file is in what is known.
    near: usize,
}

impl<'a> Maker<'a> {
    pub(super) fn new(
        pass: Pass<'a>,
        archive: Archive<'a>,
        reader: Reader<'a>,
        spare: &'a Spare,
    ) -> Result<Self, Error> {
        Ok(Self {
            pass,
            archive,
            reader,
            encoder: Encoder::new(archive.compression)?,
            spare,
            name: match archive.blocks {
                Some(_) => encode::name(archive.compression)?,
                None => String::new(),
            },
            tar: Vec::new(),
            near: 0,
        })
    }

    pub(super) fn make(&mut self, piece: Piece) -> Result<Made, Error> {
        match piece {
            Piece::Run(run) => self.run(&run),
            Piece::Part(part) => self.part(part),
            Piece::End => Ok(Made {
                found: Vec::new(),
                piece: self.encode(None, tarball::END.to_vec())?,
            }),
        }
    }

    fn run(&mut self, run: &[(usize, Option<Seen>)]) -> Result<Made, Error> {
        if let Some(made) = self.known_run(run)? {
            return Ok(made);
        }
        let mut tar = self.begin();
        let mut found = Vec::with_capacity(run.len());
        for (index, seen) in run {
            found.push(self.entry(*index, seen.as_ref(), &mut tar)?);
        }
        let key = self.key_of_run(run, &found);
        let piece = self.encode(key, tar)?;
        Ok(Made { found, piece })
    }

    /// An empty piece.
    fn begin(&mut self) -> Vec<u8> {
        let mut tar = std::mem::take(&mut self.tar);
        tar.clear();
        tar
    }

    /// A run of which no file need be read: all were before, and the piece is kept.
    fn known_run(&mut self, run: &[(usize, Option<Seen>)]) -> Result<Option<Made>, Error> {
        if self.archive.blocks.is_none() || !self.pass.known.is_of_use() {
            return Ok(None);
        }
        let entries = self.pass.entries;
        let mut found = Vec::with_capacity(run.len());
        for (index, seen) in run {
            let (path, kind) = (entries.path(*index), entries.kind(*index));
            let entry = match (kind, seen) {
                (Kind::File(_), Some(seen)) => {
                    match self.pass.known.digest(path, seen, &mut self.near) {
                        Some(digest) => seen.file(digest),
                        None => return Ok(None),
                    }
                }
                (Kind::Link, _) => Found::Link(self.reader.link(path)?),
                (Kind::Added(added), _) => Found::added(&added.content),
                _ => Found::Directory,
            };
            found.push((entry, None));
        }
        let key = self.key_of_run(run, &found);
        let Some(piece) = self.kept(key) else {
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
        let (path, kind) = (self.pass.entries.path(index), self.pass.entries.kind(index));
        let found = match kind {
            Kind::File(_) => {
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
        let path = self.pass.entries.path(index);
        let began = self.pass.known.now();
        let mut open = self.reader.open_unseen(path)?;
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

    /// Encodes a piece, or finds it encoded.
    fn encode(&mut self, key: Option<Digest>, mut tar: Vec<u8>) -> Result<Vec<u8>, Error> {
        if let Some(piece) = self.kept(key) {
            self.tar = tar;
            return Ok(piece);
        }
        let encoded = self.encoder.encode(&mut tar, self.spare.take());
        self.tar = tar;
        let Encoded { piece, is_cheap } = encoded?;
        // What took no search is made again as fast as it would be found here.
        if let Some((key, blocks)) = key.zip(self.archive.blocks).filter(|_| !is_cheap) {
            blocks.put(key, &piece);
        }
        Ok(piece)
    }

    /// The piece under a key, if it is kept.
    fn kept(&self, key: Option<Digest>) -> Option<Vec<u8>> {
        let (key, blocks) = key.zip(self.archive.blocks)?;
        let mut piece = self.spare.take();
        if blocks.get(key, &mut piece) {
            return Some(piece);
        }
        self.spare.give(piece);
        None
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
        let mut bytes = format!(
            "launch-piece {} {part} {}\n",
            super::super::ARCHIVE,
            self.name
        )
        .into_bytes();
        for (index, found) in entries {
            record(&mut bytes, self.pass.entries.path(index), found);
        }
        Some(sha256(&bytes))
    }
}
