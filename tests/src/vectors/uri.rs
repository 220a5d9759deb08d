//! `uri`: text to the parts of registry and bucket addresses.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "uri",
    run,
    details: &[],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
