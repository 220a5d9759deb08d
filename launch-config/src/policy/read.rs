//! The agent file's `policy` block.

use serde_json::Value;

use super::{ParseGrantError, Policy};
use crate::fields::{Fields, Problems, Unknown};

const POLICY: &[&str] = &["docker", "kubernetes"];
const RUNNER: &[&str] = &["allow"];

impl Policy {
    /// Reads the block; `secure_mode` is a key of its own in the file.
    pub(crate) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "policy", POLICY, Unknown::Error, problems);
        let mut policy = Self::default();
        allow(&block, "docker", problems, |word| policy.docker.open(word));
        allow(&block, "kubernetes", problems, |word| {
            policy.kubernetes.open(word)
        });
        policy
    }
}

fn allow(
    block: &Fields<'_>,
    runner: &'static str,
    problems: &mut Problems,
    mut open: impl FnMut(&str) -> Result<(), ParseGrantError>,
) {
    let path = block.at(runner);
    let block = Fields::open(block.get(runner), &path, RUNNER, Unknown::Error, problems);
    let words = block.texts("allow", problems).unwrap_or_default();
    for (index, word) in words.iter().enumerate() {
        if let Err(error) = open(word) {
            let path = format!("{}[{index}]", block.at("allow"));
            problems.error(&path, error.to_string(), error.hint());
        }
    }
}
