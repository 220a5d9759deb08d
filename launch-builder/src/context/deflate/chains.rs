//! The thorough search: earlier places with the same hash form a chain, and a match waits to
//! see whether the next place has a better one.

use super::bits::BitWriter;
use super::block::Block;
use super::matches::{Effort, LONGEST, Match, WINDOW, extend, four};

const HASH_BITS: u32 = 16;
const SHORT_BITS: u32 = 14;
const MASK: usize = WINDOW - 1;

/// No place.
const NOWHERE: u32 = u32::MAX;

/// Earlier places by the hash of four bytes, each with the one before it.
pub(super) struct Chains {
    effort: Effort,
    heads: Box<[u32; 1 << HASH_BITS]>,
    before: Box<[u32; WINDOW]>,
    /// The last place of each hash of three bytes.
    short: Box<[u32; 1 << SHORT_BITS]>,
}

#[inline(always)]
fn hash(bytes: u32) -> usize {
    (bytes.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS)) as usize
}

#[inline(always)]
fn short_hash(bytes: u32) -> usize {
    ((bytes << 8).wrapping_mul(0x9E37_79B1) >> (32 - SHORT_BITS)) as usize
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "it is too large for the stack"
)]
fn filled<const N: usize>() -> Box<[u32; N]> {
    let places = vec![NOWHERE; N].into_boxed_slice();
    places.try_into().expect("it was made with this size")
}

impl Chains {
    pub(super) fn new(effort: Effort) -> Self {
        Self {
            effort,
            heads: filled(),
            before: filled(),
            short: filled(),
        }
    }

    pub(super) fn compress(&mut self, data: &[u8], block: &mut Block, out: &mut BitWriter<'_>) {
        self.heads.fill(NOWHERE);
        self.short.fill(NOWHERE);
        block.begin(0);
        let end = data.len().saturating_sub(8);
        let (mut at, mut anchor) = (0, 0);
        while at < end {
            let mut found = self.longest(data, at, 3, self.effort.depth);
            if found.length < 3 {
                at += 1;
                continue;
            }
            // A match gives way to a better one that begins a place later.
            let mut known = at + 1;
            while found.length < self.effort.content && at + 1 < end {
                let next = self.longest(data, at + 1, found.length, self.effort.depth / 2);
                known = at + 2;
                if next.worth() < found.worth() + 3 {
                    break;
                }
                found = next;
                at += 1;
            }
            block.add(at - anchor, found.length, found.distance);
            let to = at + found.length;
            self.remember_all(data, known, to.min(end));
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
    fn longest(&mut self, data: &[u8], at: usize, least: usize, depth: usize) -> Match {
        let bytes = four(data, at);
        let short = std::mem::replace(&mut self.short[short_hash(bytes)], at as u32);
        let mut place = std::mem::replace(&mut self.heads[hash(bytes)], at as u32);
        self.before[at & MASK] = place;
        let most = (data.len() - at).min(LONGEST);
        let mut best = Match::default();
        let mut length = least - 1;
        if length >= most {
            return best;
        }
        if least == 3 {
            let distance = at.wrapping_sub(short as usize);
            // Three bytes from far away cost more than they are.
            if distance <= 4096 && (four(data, short as usize) ^ bytes) << 8 == 0 {
                best = Match {
                    length: 3,
                    distance,
                };
                length = 3;
            }
        }
        let nice = self.effort.nice.min(most);
        for _ in 0..depth {
            let before = place as usize;
            let distance = at.wrapping_sub(before);
            if distance > WINDOW {
                break;
            }
            let ends_alike =
                length < 4 || four(data, before + length - 3) == four(data, at + length - 3);
            if ends_alike && four(data, before) == bytes {
                let found = extend(data, before, at, 4, most);
                if found > length {
                    length = found;
                    best = Match { length, distance };
                    if length >= nice {
                        break;
                    }
                }
            }
            let next = self.before[before & MASK];
            if next >= place {
                break;
            }
            place = next;
        }
        best
    }

    #[inline(always)]
    fn remember_all(&mut self, data: &[u8], from: usize, to: usize) {
        for at in from..to {
            let bytes = four(data, at);
            self.short[short_hash(bytes)] = at as u32;
            let head = &mut self.heads[hash(bytes)];
            self.before[at & MASK] = std::mem::replace(head, at as u32);
        }
    }
}
