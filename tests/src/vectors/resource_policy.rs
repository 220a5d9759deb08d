//! `resource_policy`: resource arguments to accepted, or the first offending entry.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "resource_policy",
    run,
    details: &["path", "option"],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
