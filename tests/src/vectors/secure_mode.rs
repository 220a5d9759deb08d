//! `secure_mode`: a run spec to accepted, or the lock that refuses it.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "secure_mode",
    run,
    details: &["key"],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
