//! Ids for new jobs.

use std::io;

use launch_config::id::JobId;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Base-36 digits of the enqueue time in milliseconds: enough until 2059, then it wraps.
const TIME_DIGITS: u32 = 8;

/// Random base-36 digits: 78 billion ids per millisecond.
const RANDOM_DIGITS: u32 = 7;

/// Makes an id: `j`, the time, randomness; 16 characters of `[a-z0-9]`.
///
/// It starts with a letter and has no separator, so that containers, pods and branches
/// may carry it; ids sort by the time they were made. Two hosts may make ids at once, so
/// chance alone keeps them apart: a queue still checks that an id is new.
pub(crate) fn fresh_id(now_ms: u64) -> io::Result<JobId> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)?;
    let mut text = String::from("j");
    push_base36(&mut text, now_ms, TIME_DIGITS);
    push_base36(&mut text, u64::from_le_bytes(bytes), RANDOM_DIGITS);
    Ok(text.parse().expect("letters and digits are a job id"))
}

/// `count` random characters of `[a-z0-9]`, as W&B makes run ids.
#[cfg(feature = "wandb")]
pub(crate) fn random_base36(count: u32) -> io::Result<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)?;
    let mut text = String::new();
    push_base36(&mut text, u64::from_le_bytes(bytes), count);
    Ok(text)
}

/// Appends the lowest `count` base-36 digits of `value`, highest first.
fn push_base36(text: &mut String, value: u64, count: u32) {
    for place in (0..count).rev() {
        let digit = value / 36_u64.pow(place) % 36;
        text.push(char::from(
            DIGITS[usize::try_from(digit).expect("below 36")],
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_fit_container_names() {
        for now_ms in [0, 1_763_856_000_000, u64::MAX] {
            let id = fresh_id(now_ms).unwrap().to_string();
            assert_eq!(id.len(), 16, "{id}");
            assert!(id.starts_with('j'), "{id}");
            assert!(
                id.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()),
                "{id}"
            );
        }
    }

    #[test]
    fn ids_of_one_moment_differ() {
        let ids: HashSet<JobId> = (0..10_000).map(|_| fresh_id(42).unwrap()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn ids_sort_by_time() {
        let at = |ms| fresh_id(ms).unwrap();
        assert!(at(1_763_856_000_000) < at(1_763_856_000_001));
        assert!(at(1_763_856_000_001) < at(1_900_000_000_000));
    }
}
