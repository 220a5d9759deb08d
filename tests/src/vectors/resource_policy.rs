//! `resource_policy`: resource arguments to accepted, or the first offending entry.

use launch_config::policy::{Path, Policy, Reason, Refusal, Refusals, Step};
use serde_json::{Value, json};

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "resource_policy",
    run,
    details: &["path", "option"],
    improvements: &[],
};

fn run(input: &Value) -> Answer {
    match Policy::strict().check_resource_args(&input["resource_args"]) {
        Ok(()) => Answer::Accepted(json!({"accepted": true})),
        Err(refusals) => refused(&refusals),
    }
}

fn refused(refusals: &Refusals) -> Answer {
    let Refusal {
        path,
        option,
        reason,
        ..
    } = refusals.first();
    Answer::Refused {
        class: class(*reason, path),
        details: json!({"path": steps(path), "option": option}),
        message: refusals.to_string(),
    }
}

fn steps(path: &Path) -> Value {
    let step = |step: &Step| match step {
        Step::Key(key) => json!(key),
        Step::Index(index) => json!(index),
    };
    path.steps().iter().map(step).collect()
}

/// The vectors' words for a reason. The arguments that are no mapping are told by where
/// they stand.
pub(super) fn class(reason: Reason, path: &Path) -> Option<&'static str> {
    let top = path.steps().iter().find_map(|step| match step {
        Step::Key(key) if key != "resource_args" => Some(key.as_str()),
        _ => None,
    });
    Some(match reason {
        Reason::NotAMapping => match top {
            Some("local-container") => "local-container arguments not a mapping",
            Some("kubernetes") => "kubernetes arguments not a mapping",
            _ => "resource arguments not a mapping",
        },
        Reason::DockerOption => "docker option not allow-listed",
        Reason::DockerValue => "docker option value not scalar",
        Reason::DockerEmptyList => "docker option list is empty",
        Reason::DockerListItem => "docker option list item not scalar",
        Reason::SecurityContext => "security context override refused",
        Reason::HostPath => "host path volume refused",
        Reason::ServiceAccountToken => "projected service token refused",
        Reason::HostNamespace => "host namespace sharing refused",
        Reason::ServiceAccount => "service account override refused",
        Reason::AutomountToken => "service token automount refused",
        Reason::HostPort => "host port refused",
        Reason::MountPropagation => "bidirectional mount propagation refused",
        Reason::Unconfined => "unconfined profile annotation refused",
        Reason::LockedPodKey => "secure mode locks pod key",
        Reason::LockedCommand => "secure mode locks container command",
        Reason::LockedEntryPoint => "secure mode locks entry point",
        _ => return None,
    })
}
