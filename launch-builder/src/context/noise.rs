//! Whether bytes are worth the search at all: weights, images and archives are not.

/// Fewer bytes are not worth the question.
const LEAST: usize = 16 * 1024;

/// So many samples are looked at.
const SAMPLES: usize = 4096;

const HASH_BITS: u32 = 12;

/// Whether bytes look like noise: every byte about as often as every other, and nothing that
/// was there before.
pub(super) fn is_noise(bytes: &[u8]) -> bool {
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
        for (at, four) in (0_u32..).zip(window.windows(4)) {
            let value = u32::from_le_bytes(four.try_into().expect("a window of four"));
            let hash = value.wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
            let before = std::mem::replace(&mut places[hash as usize], at) as usize;
            looked += 1;
            if before < at as usize && window[before..].starts_with(four) {
                found += 1;
            }
        }
    }
    found > looked / 128
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator of numbers, the same ones every time.
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let step = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn noise_is_told_from_what_can_be_made_smaller() {
        let bytes = noise(1 << 20);
        assert!(is_noise(&bytes));
        assert!(!is_noise(&bytes[..LEAST - 1]));
        // The same noise twice within a window can be said in half the bytes.
        let twice: Vec<u8> = bytes.chunks(8192).flat_map(|part| part.repeat(2)).collect();
        assert!(!is_noise(&twice));
        // Bytes of few values, such as base64, are less than eight bits each.
        let digits: Vec<u8> = bytes.iter().map(|byte| b'0' + byte % 64).collect();
        assert!(!is_noise(&digits));
        assert!(!is_noise("a word and another ".repeat(40_000).as_bytes()));
    }
}
