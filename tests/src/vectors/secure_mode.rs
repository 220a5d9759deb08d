//! `secure_mode`: a run spec to accepted, or the lock that refuses it.

use launch_config::policy::{Policy, Reason};
use serde_json::{Value, json};

use super::{Answer, Case, Category, Improvement, resource_policy};

pub(super) const CATEGORY: Category = Category {
    name: "secure_mode",
    run,
    details: &["key"],
    improvements: &[
        Improvement {
            id: "secure-mode-locks-both-spellings",
            explains: locks_entrypoint,
        },
        Improvement {
            id: "services-are-judged-with-the-spec",
            explains: judges_services,
        },
    ],
};

fn run(input: &Value) -> Answer {
    let secure = input["secure_mode"].as_bool().unwrap_or_default();
    let policy = Policy::strict().with_secure_mode(secure);
    let Err(refusals) = policy.check(&input["run_spec"]) else {
        return Answer::Accepted(json!({"accepted": true}));
    };
    let first = refusals.first();
    Answer::Refused {
        class: resource_policy::class(first.reason, &first.path),
        details: json!({"key": first.option, "path": first.path.to_string()}),
        message: refusals.to_string(),
    }
}

/// Where the first refusal stands.
fn refused_at(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Refused { details, .. } => details["path"].as_str(),
        _ => None,
    }
}

/// The original accepts, as it does not read `overrides.entrypoint`; we read and lock it.
fn locks_entrypoint(case: &Case, answer: &Answer) -> bool {
    let given = &case.input["run_spec"]["overrides"]["entrypoint"];
    let locked = resource_policy::class(
        Reason::LockedEntryPoint,
        &launch_config::policy::Path::default(),
    );
    case.error.is_none()
        && !given.is_null()
        && refused_at(answer) == Some("overrides.entrypoint")
        && matches!(answer, Answer::Refused { class, .. } if *class == locked)
}

/// The original accepts here, as it judges services only when it makes them.
fn judges_services(case: &Case, answer: &Answer) -> bool {
    let services = &case.input["run_spec"]["additional_services"];
    case.error.is_none()
        && services.is_array()
        && refused_at(answer).is_some_and(|path| path.starts_with("additional_services["))
}
