//! Jobs of the cluster.

use launch_config::outcome::Reason;
use serde_json::Value;

use super::super::hub::Pod;
use super::{Verdict, failure, taken_away};
use crate::run::RunEnd;

/// How a Job stands, by its conditions.
pub(super) fn verdict(job: &Value, pods: &[Pod]) -> Verdict {
    let status = &job["status"];
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut is_true = conditions.filter(|condition| condition["status"] == "True");
    let ended = is_true.find_map(|condition| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        match text("type") {
            "Complete" => Some(RunEnd::new(Reason::Succeeded, "")),
            "Failed" => Some(failed(text("reason"), text("message"), pods)),
            _ => None,
        }
    });
    match ended {
        Some(end) => Verdict {
            end: Some(end),
            ..Verdict::default()
        },
        None => cut_short(job, pods),
    }
}

fn failed(reason: &str, message: &str, pods: &[Pod]) -> RunEnd {
    if reason == "DeadlineExceeded" {
        return RunEnd::new(
            Reason::TimedOut,
            format!("the Job's deadline passed: {message}"),
        );
    }
    let said = match message {
        "" => format!("the Job failed: {reason}"),
        message => format!("the Job failed: {message}"),
    };
    failure(pods, &said)
}

/// A Job that may not try again has lost its pod: clusters before 1.26 start another one
/// all the same, since to them a pod that was removed has not failed. Who queued the job
/// decides whether it is tried again, so that is its end.
fn cut_short(job: &Value, pods: &[Pod]) -> Verdict {
    let spec = &job["spec"];
    let once = |key: &str, number: u64| spec[key].as_u64().is_none_or(|given| given == number);
    let single = once("completions", 1) && once("parallelism", 1);
    let retries = spec["backoffLimit"] != 0 || !spec["podFailurePolicy"].is_null();
    if retries || !single {
        return Verdict::default();
    }
    let condemned = |pod: &&Pod| pod.phase != "Succeeded" && (!pod.is_alive() || pod.terminating);
    let end = pods.iter().filter(condemned).find_map(taken_away);
    Verdict {
        must_note: end.is_some(),
        end,
        runs: false,
    }
}
