//! The usual search: the last sixteen places of every hash lie side by side, each with eight
//! more bits of its hash, so that nearly every place that is compared is a match, and a search
//! touches one line of memory instead of a chain of them.

use super::bits::BitWriter;
use super::block::Block;
use super::matches::{Effort, LONGEST, Match, WINDOW, extend, four};

const ROW_BITS: u32 = 11;
const SHORT_BITS: u32 = 12;

/// In every byte of eight.
const EACH: u64 = 0x0101_0101_0101_0101;

/// In the middle of a match longer than twice this, places are not remembered.
const EDGE: usize = 24;

/// The last places of one hash, the newest in the lowest bits.
#[derive(Clone, Copy, Default)]
struct Row {
    /// Eight bits of the hash of each place.
    tags: [u64; 2],
    /// The lower half of each place; the upper one follows from the window.
    places: [u128; 2],
}

impl Row {
    #[inline(always)]
    fn push(&mut self, tag: u8, place: u16) {
        self.tags[1] = self.tags[1] << 8 | self.tags[0] >> 56;
        self.tags[0] = self.tags[0] << 8 | u64::from(tag);
        self.places[1] = self.places[1] << 16 | self.places[0] >> 112;
        self.places[0] = self.places[0] << 16 | u128::from(place);
    }
}

/// Rows of places.
pub(super) struct Rows {
    effort: Effort,
    table: Box<[Row; 1 << ROW_BITS]>,
    /// The last place of each hash of three bytes.
    short: Box<[u16; 1 << SHORT_BITS]>,
}

/// The row of four bytes, and their tag.
#[inline(always)]
fn hash(bytes: u32) -> (usize, u8) {
    let hash = bytes.wrapping_mul(0x9E37_79B1);
    (
        (hash >> (32 - ROW_BITS)) as usize,
        (hash >> (24 - ROW_BITS)) as u8,
    )
}

#[inline(always)]
fn short_hash(bytes: u32) -> usize {
    ((bytes << 8).wrapping_mul(0x9E37_79B1) >> (32 - SHORT_BITS)) as usize
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "it is too large for the stack"
)]
fn filled<T: Copy, const N: usize>(with: T) -> Box<[T; N]> {
    let places = vec![with; N].into_boxed_slice();
    places.try_into().ok().expect("it was made with this size")
}

impl Rows {
    pub(super) fn new(effort: Effort) -> Self {
        Self {
            effort,
            table: filled(Row::default()),
            short: filled(0),
        }
    }

    pub(super) fn compress(&mut self, data: &[u8], block: &mut Block, out: &mut BitWriter<'_>) {
        self.table.fill(Row::default());
        self.short.fill(0);
        block.begin(0);
        let end = data.len().saturating_sub(8);
        // No place is the first one: a row of nothing points there.
        let (mut at, mut anchor) = (1, 0);
        while at < end {
            let mut found = self.longest(data, at, 3);
            if found.length < 3 {
                at += 1;
                continue;
            }
            let mut known = at + 1;
            // A match gives way to a better one that begins a place later.
            while found.length < self.effort.content && at + 1 < end {
                let next = self.longest(data, at + 1, found.length);
                known = at + 2;
                if next.worth() < found.worth() + 3 {
                    break;
                }
                found = next;
                at += 1;
            }
            block.add(at - anchor, found.length, found.distance);
            let to = at + found.length;
            self.remember(data, known, to.min(end));
            at = to;
            anchor = to;
            if block.is_full(anchor) {
                block.write(data, anchor, out);
                block.begin(anchor);
            }
        }
        block.write(data, data.len(), out);
    }

    /// The longest match at a place that is at least `least` long; the place is remembered.
    #[inline(always)]
    fn longest(&mut self, data: &[u8], at: usize, least: usize) -> Match {
        let bytes = four(data, at);
        let (row, tag) = hash(bytes);
        let row = &mut self.table[row];
        let before = *row;
        row.push(tag, at as u16);
        let short = std::mem::replace(&mut self.short[short_hash(bytes)], at as u16);
        let most = (data.len() - at).min(LONGEST);
        let mut best = Match::default();
        let mut length = least - 1;
        if length >= most {
            return best;
        }
        let nice = self.effort.nice.min(most);
        let mut depth = self.effort.depth;
        for half in 0..2 {
            let mut same = before.tags[half] ^ (EACH * u64::from(tag));
            // The highest bit of every byte that is zero; of one above such a byte at times.
            same = same.wrapping_sub(EACH) & !same & (EACH << 7);
            while same != 0 {
                let slot = same.trailing_zeros() >> 3;
                same &= same - 1;
                let place = (before.places[half] >> (16 * slot)) as u16;
                let distance = usize::from((at as u16).wrapping_sub(place));
                if distance.wrapping_sub(1) >= WINDOW || distance > at {
                    continue;
                }
                let place = at - distance;
                if length >= 4 && four(data, place + length - 3) != four(data, at + length - 3) {
                    continue;
                }
                let found = extend(data, place, at, 0, most);
                if found > length && found >= 4 {
                    length = found;
                    best = Match { length, distance };
                    if length >= nice {
                        return best;
                    }
                }
                depth -= 1;
                if depth == 0 {
                    return best;
                }
            }
        }
        if length < 3 {
            let distance = usize::from((at as u16).wrapping_sub(short));
            // Three bytes from far away cost more than they are.
            if distance.wrapping_sub(1) < 2048
                && distance <= at
                && (four(data, at - distance) ^ bytes) << 8 == 0
            {
                best = Match {
                    length: 3,
                    distance,
                };
            }
        }
        best
    }

    #[inline(always)]
    fn remember(&mut self, data: &[u8], from: usize, to: usize) {
        let long = to.saturating_sub(from) > 2 * EDGE;
        let pause = if long { from + EDGE } else { to };
        for at in from..pause {
            self.push(data, at);
        }
        for at in (if long { to - EDGE } else { to })..to {
            self.push(data, at);
        }
    }

    #[inline(always)]
    fn push(&mut self, data: &[u8], at: usize) {
        let bytes = four(data, at);
        let (row, tag) = hash(bytes);
        self.table[row].push(tag, at as u16);
        self.short[short_hash(bytes)] = at as u16;
    }
}
