//! `wandb_ref`: an address of W&B to its parts.

use launch_config::wandb_ref::{JobRef, Kind, ParseWandbError, WandbUrl};
use serde_json::{Value, json};

use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "wandb_ref",
    run,
    details: &[],
    improvements: &[Improvement {
        id: "job-addresses-are-complete",
        explains: names_no_job,
    }],
};

fn run(input: &Value) -> Answer {
    let text = input["uri"].as_str().unwrap_or_default();
    let url = match text.parse::<WandbUrl>() {
        Ok(url) => Some(url),
        Err(ParseWandbError::Url(_)) => None,
        Err(error) => return Answer::refused(&error),
    };
    let run = url.as_ref().and_then(|url| url.run().ok());
    let run = run.map_or_else(
        || json!({"refused": "run address not parseable"}),
        |run| json!({"entity": run.entity(), "project": run.project(), "run": run.run()}),
    );
    Answer::Accepted(json!({
        "is_wandb": WandbUrl::is_wandb(text),
        "is_local": WandbUrl::is_local(text),
        "is_dev": WandbUrl::is_development(text),
        "reference": url.as_ref().map(reference),
        "run": run,
    }))
}

fn reference(url: &WandbUrl) -> Value {
    let kind = url.kind().map(|kind| match kind {
        Kind::Run => "run",
        Kind::Job => "job",
        _ => "other",
    });
    json!({
        "host": url.host(),
        "entity": url.entity(),
        "project": url.project(),
        "path": url.page(),
        "kind": kind,
        "run_id": url.run_id(),
        "job_name": url.job_name(),
        "job_alias": url.job_alias(),
        "bare": url.host().is_none(),
        "job": url.job().ok().map(|job| job.to_string()),
    })
}

/// The original makes `acme/vision/:latest` from an address whose job has no name; we say
/// there is no job, and agree on everything else.
fn names_no_job(case: &Case, answer: &Answer) -> bool {
    let Some(job) = case.output["reference"]["job"].as_str() else {
        return false;
    };
    let mut wanted = case.output.clone();
    wanted["reference"]["job"] = Value::Null;
    job.parse::<JobRef>().is_err() && answer.accepted() == Some(&wanted)
}
