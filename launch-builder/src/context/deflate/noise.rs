//! Whether bytes are worth the search at all: weights, images and archives are not.

use super::matches::{eight, four};

/// Fewer bytes are not worth the question.
const LEAST: usize = 16 * 1024;

/// So many samples are looked at.
const SAMPLES: usize = 4096;

const HASH_BITS: u32 = 12;

/// Whether bytes look like noise: every byte about as often as every other, and nothing that
/// was there before.
pub(in super::super) fn is_noise(bytes: &[u8]) -> bool {
    bytes.len() >= LEAST && is_even(bytes) && !repeats(bytes)
}

/// Whether the values of a sample are spread as chance would spread them. The sum of the
/// squares of `n` counts over 256 values is then `n + n² / 256`; text has ten times that.
fn is_even(bytes: &[u8]) -> bool {
    let step = bytes.len() / SAMPLES;
    let mut counts = [0_u64; 256];
    for at in 0..SAMPLES {
        counts[usize::from(bytes[at * step])] += 1;
    }
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    let by_chance = (SAMPLES + SAMPLES * SAMPLES / 256) as u64;
    squares < by_chance + by_chance / 16
}

/// Whether sequences of bytes come back within a window, looked at in a part of the places.
fn repeats(bytes: &[u8]) -> bool {
    let mut places = [0_u32; 1 << HASH_BITS];
    let (mut looked, mut found) = (0_u32, 0_u32);
    for (index, window) in bytes.chunks(32 * 1024).enumerate() {
        // A run of every place, then a pause: matches of any distance show.
        if index % 8 != 0 {
            continue;
        }
        for at in 0..window.len().saturating_sub(8) {
            let value = eight(window, at);
            let hash = (value as u32).wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
            let before = std::mem::replace(&mut places[hash as usize], at as u32) as usize;
            looked += 1;
            if before < at && four(window, before) == value as u32 {
                found += 1;
            }
        }
    }
    found > looked / 128
}
