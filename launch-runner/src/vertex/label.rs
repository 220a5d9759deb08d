//! Labels by which a runner finds its custom jobs again.
//!
//! A label's value is at most 63 small letters, digits, `_` and `-`. Ids of jobs are longer
//! and hold more, so they are written in base 32, in as many labels as it takes.

use launch_config::id::RunKey;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::run::run_name;

pub(super) const RUN: &str = "launch-run";
const OWNER: &str = "launch-owner";
const ATTEMPT: &str = "launch-attempt";
const JOB: &str = "launch-job";
/// The longest value.
const LONGEST: usize = 63;
/// Small letters and digits, the ones that look alike left out.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The labels of a run.
pub(super) fn of(key: &RunKey, owner: &str) -> Map<String, Value> {
    let mut labels = Map::new();
    labels.insert(RUN.to_owned(), json!(run_name(key)));
    labels.insert(OWNER.to_owned(), json!(owner));
    labels.insert(ATTEMPT.to_owned(), json!(key.attempt.to_string()));
    let text = encoded(key.job.as_str().as_bytes());
    for (index, piece) in text.as_bytes().chunks(LONGEST).enumerate() {
        let piece = String::from_utf8_lossy(piece).into_owned();
        labels.insert(format!("{JOB}-{index}"), json!(piece));
    }
    labels
}

/// The run that the labels of a job name, if they name one.
pub(super) fn key_of(job: &Value) -> Option<RunKey> {
    let labels = job["labels"].as_object()?;
    let text = |key: &str| labels.get(key).and_then(Value::as_str);
    text(OWNER)?;
    let pieces = (0..).map_while(|index| text(&format!("{JOB}-{index}")));
    let id = String::from_utf8(decoded(&pieces.collect::<String>())?).ok()?;
    Some(RunKey::new(id.parse().ok()?, text(ATTEMPT)?.parse().ok()?))
}

/// An owner as a label may hold it.
pub(super) fn owner(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    encoded(&digest[..15])
}

/// What finds the jobs of one run.
pub(super) fn filter_of_run(key: &RunKey) -> String {
    format!("labels.{RUN}=\"{}\"", run_name(key))
}

/// What finds all jobs of an owner.
pub(super) fn filter_of_owner(owner: &str) -> String {
    format!("labels.{OWNER}=\"{owner}\"")
}

fn encoded(bytes: &[u8]) -> String {
    let (mut text, mut buffer, mut bits) = (String::new(), 0_u32, 0);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits & 31) as usize]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits) & 31) as usize]));
    }
    text
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        buffer = buffer << 5 | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits).ok()?);
            buffer &= (1 << bits) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back() {
        let long = "Zz9-_=+/.:".repeat(12);
        for id in ["a", "UnVuUXVldWVJdGVtOjE=", "Z/:=+x", &long] {
            let key = RunKey::new(id.parse().unwrap(), 7);
            let labels = of(&key, &owner("/var/lib/launch"));
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            for value in labels.values().map(|value| value.as_str().unwrap()) {
                assert!(value.len() <= LONGEST && value.chars().all(fine), "{value}");
            }
            assert_eq!(key_of(&json!({ "labels": labels })), Some(key));
        }
        assert_eq!(key_of(&json!({"labels": {"launch-run": "x"}})), None);
    }

    #[test]
    fn owners_are_told_apart() {
        assert_ne!(owner("/a"), owner("/b"));
        assert_eq!(owner("/a").len(), 24);
    }
}
