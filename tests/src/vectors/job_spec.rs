//! `job_spec`: a queue item and its job artifact to the effective project.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "job_spec",
    run,
    details: &["is_scheduler"],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
