//! `git_ref`: a git remote and a reference to the commands that fetch it.

use serde_json::Value;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "git_ref",
    run,
    details: &["looks_like_git", "default_project", "commands"],
    improvements: &[],
};

fn run(_input: &Value) -> Answer {
    Answer::NotImplemented
}
