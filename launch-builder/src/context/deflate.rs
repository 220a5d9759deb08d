//! DEFLATE (RFC 1951), in pieces that stand alone.
//!
//! A piece is compressed without what came before it and ends on a byte, so pieces can be
//! made in any order, on any thread, kept, and put one after the other into a single gzip
//! member. Kernels that are libraries do not offer this: they end their stream with the last
//! block, or need the window of the piece before.
//!
//! The bytes are those of this code and of nothing else: no processor, thread count or
//! version of a library has a part in them. A change of them is a change of [`VERSION`].

#![expect(
    clippy::cast_possible_truncation,
    clippy::inline_always,
    reason = "numbers are kept as narrow as what they count, and the innermost loops whole"
)]

mod bits;
mod block;
mod chains;
mod code;
mod matches;
mod noise;
mod rows;
mod single;
#[cfg(test)]
mod tests;

use self::bits::BitWriter;
use self::block::Block;
use self::chains::Chains;
use self::matches::Effort;
pub(super) use self::noise::is_noise;
use self::rows::Rows;
use self::single::Single;

/// Of the bytes that are made of given bytes at a given level.
pub(super) const VERSION: u32 = 1;

/// What ends the deflate data of a gzip member: an empty block, marked as the last.
pub(super) const END: [u8; 2] = [0x03, 0x00];

/// A compressor for pieces of up to 4 GiB.
pub(super) struct Deflater {
    matcher: Matcher,
    block: Block,
}

enum Matcher {
    Store,
    Single(Single),
    Rows(Rows),
    Chains(Chains),
}

impl Deflater {
    /// A compressor for a level from 0 (stored) to 9 (smallest).
    pub(super) fn new(level: u32) -> Self {
        let matcher = match level {
            0 => Matcher::Store,
            1 | 2 => Matcher::Single(Single::new()),
            3 => Matcher::Rows(Rows::new(Effort::new(4, 0, 24))),
            4 => Matcher::Rows(Rows::new(Effort::new(8, 0, 32))),
            5 => Matcher::Rows(Rows::new(Effort::new(6, 16, 32))),
            6 => Matcher::Rows(Rows::new(Effort::new(10, 24, 48))),
            7 => Matcher::Chains(Chains::new(Effort::new(64, 96, 130))),
            8 => Matcher::Chains(Chains::new(Effort::new(200, 200, 258))),
            _ => Matcher::Chains(Chains::new(Effort::new(600, 258, 258))),
        };
        Self {
            matcher,
            block: Block::new(),
        }
    }

    /// Appends a piece: whole blocks, none of them the last, ending on a byte.
    pub(super) fn deflate(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if matches!(self.matcher, Matcher::Store) || is_noise(piece) {
            return block::store(piece, out);
        }
        let mut bits = BitWriter::new(out);
        match &mut self.matcher {
            Matcher::Store => {}
            Matcher::Single(single) => single.compress(piece, &mut self.block, &mut bits),
            Matcher::Rows(rows) => rows.compress(piece, &mut self.block, &mut bits),
            Matcher::Chains(chains) => chains.compress(piece, &mut self.block, &mut bits),
        }
        bits.align();
    }
}
