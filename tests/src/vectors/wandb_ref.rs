//! `wandb_ref`: text to the parts of a W&B address.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "wandb_ref",
    run,
    details: &[],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
