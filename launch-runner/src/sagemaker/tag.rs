//! Tags by which a runner finds its training jobs again.

use launch_config::id::RunKey;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(super) const JOB: &str = "launch-job";
pub(super) const ATTEMPT: &str = "launch-attempt";
pub(super) const OWNER: &str = "launch-owner";
pub(super) const KEYS: [&str; 3] = [JOB, ATTEMPT, OWNER];

/// The tags of a run. Ids of jobs hold nothing that a tag may not.
pub(super) fn of(key: &RunKey, owner: &str) -> [(&'static str, String); 3] {
    [
        (JOB, key.job.to_string()),
        (ATTEMPT, key.attempt.to_string()),
        (OWNER, owner.to_owned()),
    ]
}

/// The run that tags name, if they name one.
pub(super) fn key_of(tags: &[Value]) -> Option<RunKey> {
    let value = |key: &str| tags.iter().find(|tag| tag["Key"] == *key)?["Value"].as_str();
    value(OWNER)?;
    let job = value(JOB)?.parse().ok()?;
    Some(RunKey::new(job, value(ATTEMPT)?.parse().ok()?))
}

/// An owner as a tag may hold it, which is at most 256 letters, digits, blanks and
/// `_.:/=+-@` (API reference, `Tag`); any other is replaced by its digest.
pub(super) fn owner(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || " _.:/=+-@".contains(c);
    if text.len() <= 256 && text.chars().all(fine) {
        return text.to_owned();
    }
    let digest = Sha256::digest(text.as_bytes());
    let digest = digest.iter().take(16);
    digest.fold("sha256:".to_owned(), |text, byte| {
        text + &format!("{byte:02x}")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_read_back() {
        let key = RunKey::new("UnV=/:x".parse().unwrap(), 3);
        let tags = of(&key, "me").map(|(key, value)| json!({"Key": key, "Value": value}));
        assert_eq!(key_of(&tags), Some(key));
        assert_eq!(key_of(&tags[..2]), None);
        assert_eq!(owner("/var/lib/launch"), "/var/lib/launch");
        assert!(owner("/tmp/a*b").starts_with("sha256:"));
    }
}
