//! What is compressed comes back, whatever it is, and in pieces.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use proptest::prelude::*;

use super::*;

const LEVELS: std::ops::RangeInclusive<u32> = 0..=9;

/// As a gzip member holds pieces: one after the other, then the end.
fn deflate(level: u32, pieces: &[&[u8]]) -> Vec<u8> {
    let mut deflater = Deflater::new(level);
    let mut out = Vec::new();
    for piece in pieces {
        deflater.deflate(piece, &mut out);
    }
    out.extend_from_slice(&END);
    out
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut inflated = Vec::new();
    let mut decoder = DeflateDecoder::new(bytes);
    decoder.read_to_end(&mut inflated).unwrap();
    assert_eq!(decoder.total_in(), bytes.len() as u64);
    inflated
}

/// Bytes as no one would write them, and as one would: runs, repetitions near and far, few
/// different values, all of them.
fn any_piece() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        prop::collection::vec(97..101_u8, 0..2000),
        (any::<u8>(), 0..3000_usize).prop_map(|(byte, count)| vec![byte; count]),
        ("[a-z ]{1,30}", 1..300_usize).prop_map(|(text, count)| text.repeat(count).into_bytes()),
    ];
    prop::collection::vec((part, 0..3_usize), 0..12).prop_map(|parts| {
        let mut piece: Vec<u8> = Vec::new();
        for (part, again) in parts {
            piece.extend_from_slice(&part);
            if again == 2 {
                // From the beginning, however far away that is.
                let count = piece.len().min(700);
                piece.extend_from_within(..count);
            }
        }
        piece
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn pieces_come_back(one in any_piece(), other in any_piece(), level in LEVELS) {
        let deflated = deflate(level, &[&one, &other]);
        prop_assert_eq!(inflate(&deflated), [one.as_slice(), &other].concat());
        // A compressor that was used before makes the same bytes.
        let mut deflater = Deflater::new(level);
        let (mut used, mut fresh) = (Vec::new(), Vec::new());
        deflater.deflate(&one, &mut Vec::new());
        deflater.deflate(&other, &mut used);
        Deflater::new(level).deflate(&other, &mut fresh);
        prop_assert_eq!(used, fresh);
    }
}

/// A generator of numbers, the same ones every time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..count).map(step).collect()
}

#[test]
fn windows_end_where_the_rfc_says() {
    for distance in [32_767, 32_768, 32_769, 65_535, 65_536, 65_537] {
        let phrase = b"a phrase that is not found in the noise around it, and long enough";
        let gap = noise(distance - phrase.len());
        let piece = [&phrase[..], &gap, phrase, &b"text ".repeat(9_000)].concat();
        for level in LEVELS {
            assert_eq!(
                inflate(&deflate(level, &[&piece])),
                piece,
                "{distance} {level}"
            );
        }
    }
}

#[test]
fn short_pieces_and_long_runs_come_back() {
    for length in (0..40).chain([257, 258, 259, 260, 261, 516, 517, 65_535, 65_536, 1_500_000]) {
        for piece in [vec![0; length], b"ab".repeat(length / 2), noise(length)] {
            for level in LEVELS {
                let deflated = deflate(level, &[&piece]);
                assert_eq!(inflate(&deflated), piece, "{length} {level}");
                assert!(
                    deflated.len() <= length + length / 1000 + 16,
                    "{length} {level}"
                );
            }
        }
    }
}

#[test]
fn noise_is_stored_and_text_is_not() {
    let bytes = noise(1 << 20);
    assert!(is_noise(&bytes));
    assert_eq!(
        deflate(6, &[&bytes]).len(),
        bytes.len() + 5 * 17 + END.len()
    );
    // The same noise twice within a window can be said in half the bytes.
    let twice: Vec<u8> = bytes.chunks(8192).flat_map(|part| part.repeat(2)).collect();
    assert!(!is_noise(&twice));
    assert!(deflate(6, &[&twice]).len() < twice.len() * 6 / 10);
    // Bytes of few values, such as base64, are less than eight bits each.
    let digits: Vec<u8> = bytes.iter().map(|byte| b'0' + byte % 64).collect();
    assert!(!is_noise(&digits));
    assert!(deflate(6, &[&digits]).len() < digits.len() * 8 / 10);
}

#[test]
fn harder_is_smaller() {
    let mut text = String::new();
    for n in 0..40_000_u32 {
        let mixed = n.wrapping_mul(2_654_435_761) >> 20;
        text += &format!(
            "    let value_{} = read({}, \"{mixed:x}\");\n",
            n % 97,
            n / 7
        );
    }
    let sizes: Vec<_> = [1, 6, 9]
        .map(|level| deflate(level, &[text.as_bytes()]).len())
        .into();
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}
