//! A part of a large file.

use std::os::unix::fs::FileExt;

use launch_config::image::Digest;

use super::super::super::cut::{Content, PART, Part};
use super::super::super::stats::Learned;
use super::super::super::tarball::{file_header, pad};
use super::{Made, Maker};
use crate::error::Error;

impl Maker<'_> {
    pub(super) fn part(&mut self, mut part: Part) -> Result<Made, Error> {
        let path = self.pass.entries.path(part.index);
        let mut tar = self.begin();
        if part.number == 0 {
            file_header(&mut tar, path, part.seen.executable, part.seen.size);
        }
        let (key, whole) = match &mut part.content {
            Content::Read(bytes, whole) => {
                tar.extend_from_slice(bytes);
                self.spare.give(std::mem::take(bytes));
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
                let piece = self.kept(key);
                let whole = part.is_last.then_some((found, None));
                if let Some(piece) = piece {
                    let found = whole.into_iter().collect();
                    return Ok(Made { found, piece });
                }
                self.read_part(&part, &mut tar)?;
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
        let path = self.pass.entries.path(part.index);
        let (open, seen) = self.reader.open(path)?;
        let at = tar.len();
        tar.resize(
            at + usize::try_from(part.length).expect("a part fits memory"),
            0,
        );
        open.read_exact_at(&mut tar[at..], part.number * PART)
            .map_err(|error| self.reader.failed(path, error))?;
        if seen != part.seen {
            return Err(self.reader.changed(path));
        }
        self.reader.check(path, &open, &seen).map(drop)
    }
}
