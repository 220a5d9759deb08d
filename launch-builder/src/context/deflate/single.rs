//! The fast search: one earlier place for each hash, the first match is taken.

use super::bits::BitWriter;
use super::block::Block;
use super::matches::{WINDOW, eight, extend};

/// With two bytes for a place the table stays in the nearest cache.
const HASH_BITS: u32 = 14;

/// So many bytes make a hash.
const HASHED: u32 = 5;

/// No match begins in the last bytes, so eight can be read wherever one is looked for.
const MARGIN: usize = 12;

/// After so many places without a match (as a power of two) the search takes longer steps.
const PATIENCE: u32 = 4;

/// The last place of each hash, its lower half; the upper one follows from the window.
pub(super) struct Single {
    places: Box<[u16; 1 << HASH_BITS]>,
}

#[inline(always)]
fn hash(bytes: u64) -> usize {
    ((bytes << (64 - 8 * HASHED)).wrapping_mul(0x9E37_79B1_85EB_CA87) >> (64 - HASH_BITS)) as usize
}

impl Single {
    pub(super) fn new() -> Self {
        let places = vec![0; 1 << HASH_BITS].into_boxed_slice();
        Self {
            places: places.try_into().expect("it was made with this size"),
        }
    }

    pub(super) fn compress(&mut self, data: &[u8], block: &mut Block, out: &mut BitWriter<'_>) {
        // Place 0 is compared like every other: a wrong guess is no match.
        self.places.fill(0);
        block.begin(0);
        let end = data.len().saturating_sub(MARGIN);
        let (mut at, mut anchor) = (1, 0);
        while let Some((place, before)) = self.find(data, at, end) {
            let (mut start, mut before) = (place, before);
            while start > anchor && before > 0 && data[start - 1] == data[before - 1] {
                start -= 1;
                before -= 1;
            }
            let length = extend(data, before, start, place - start + 4, data.len() - start);
            block.add(start - anchor, length, start - before);
            at = start + length;
            anchor = at;
            if at < end {
                self.places[hash(eight(data, at - 2))] = (at - 2) as u16;
            }
            if block.is_full(anchor) {
                block.write(data, anchor, out);
                block.begin(anchor);
            }
        }
        block.write(data, data.len(), out);
    }

    /// The next place with a match of four bytes, and where the match is.
    #[inline(always)]
    fn find(&mut self, data: &[u8], from: usize, end: usize) -> Option<(usize, usize)> {
        let mut at = from;
        let mut misses = 1 << PATIENCE;
        while at < end {
            let bytes = eight(data, at);
            let slot = &mut self.places[hash(bytes)];
            let distance =
                usize::from((at as u16).wrapping_sub(std::mem::replace(slot, at as u16)));
            if distance.wrapping_sub(1) < WINDOW && distance <= at {
                let before = at - distance;
                if eight(data, before) as u32 == bytes as u32 {
                    return Some((at, before));
                }
            }
            at += misses >> PATIENCE;
            misses += 1;
        }
        None
    }
}
