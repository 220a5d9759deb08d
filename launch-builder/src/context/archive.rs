//! From a context to an archive: pieces are read, hashed and compressed on threads, and come
//! out in their order.

mod maker;

use std::io::Write;

use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

use self::maker::{Made, Maker};
use super::blocks::Blocks;
use super::cut::Cutter;
use super::options::Compression;
use super::order::in_order;
use super::pass::{Outcome, Pass};
use super::read::Reader;
use super::spare::Spare;
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

/// Writes an archive of every entry, each read once, or not at all if the piece it is in is
/// known.
pub(super) fn pack(
    pass: Pass<'_>,
    archive: Archive<'_>,
    out: &mut impl Write,
) -> Result<(Outcome, Written), Error> {
    let spare = Spare::default();
    let reader = || Reader::new(pass.root, pass.cancel, pass.progress);
    let mut cutter = Cutter::new(pass.entries, reader(), pass.known, &spare);
    let mut outcome = Outcome::default();
    let mut sink = Sink {
        out,
        bytes: 0,
        hash: archive.is_hashed.then(Sha256::new),
    };
    in_order(
        pass.threads,
        || cutter.next(),
        || {
            let mut maker = Maker::new(pass, archive, reader(), &spare)?;
            Ok(move |piece| maker.make(piece))
        },
        |made: Made| {
            for (found, learned) in made.found {
                outcome.found.push(found);
                outcome.learned.extend(learned);
            }
            pass.cancel.check()?;
            sink.write(&made.piece)?;
            spare.give(made.piece);
            Ok(())
        },
    )?;
    Ok((outcome, sink.finish()?))
}

/// Where an archive goes.
struct Sink<'a, W> {
    out: &'a mut W,
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
