//! `config`: the text of an agent file, with flags and environment, to effective settings.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "config",
    run,
    details: &["rejected"],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
