//! `loader`: configuration blocks to environment, registry, builder and repository.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "loader",
    run,
    details: &["stage"],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
