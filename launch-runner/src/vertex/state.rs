//! What Vertex AI says of a custom job.

use launch_config::outcome::Reason;
use serde_json::Value;

use crate::managed::Look;
use crate::run::{RunEnd, RunState};

/// gRPC's codes (`google.rpc.Code`).
const DEADLINE_EXCEEDED: i64 = 4;
const RESOURCE_EXHAUSTED: i64 = 8;
const INTERNAL: i64 = 13;
const UNAVAILABLE: i64 = 14;

/// Where a custom job stands (`CustomJob.state`). Pure.
///
/// | state | is |
/// | --- | --- |
/// | `QUEUED`, `PENDING`, `PAUSED` | starting |
/// | `RUNNING`, `UPDATING` | running |
/// | `CANCELLING` | stopping |
/// | `SUCCEEDED` | succeeded |
/// | `FAILED`, `PARTIALLY_SUCCEEDED` | by its error |
/// | `CANCELLED` | cancelled, by us or by somebody else |
/// | `EXPIRED` | timed out |
pub(super) fn look(job: &Value) -> Look {
    let state = job["state"].as_str().unwrap_or_default();
    match state.strip_prefix("JOB_STATE_").unwrap_or(state) {
        "SUCCEEDED" => Look::ended(RunEnd::new(Reason::Succeeded, "")),
        "FAILED" => Look::ended(failure(&job["error"])),
        "PARTIALLY_SUCCEEDED" => {
            let end = failure(&job["error"]);
            let message = format!("the job succeeded in part only; {}", end.message);
            Look::ended(RunEnd::new(end.reason, message))
        }
        "CANCELLED" => Look::ended(RunEnd::cancelled()),
        "EXPIRED" => Look::ended(RunEnd::new(
            Reason::TimedOut,
            "the job expired before it could run to its end",
        )),
        "CANCELLING" => Look::alive(RunState::Stopping),
        "RUNNING" | "UPDATING" => Look::alive(RunState::Running),
        _ => Look::alive(RunState::Starting),
    }
}

/// Failures are told in words: `… exited with a non-zero status of 137(SIGKILL)…`.
fn failure(error: &Value) -> RunEnd {
    let said = error["message"].as_str().unwrap_or_default();
    if let Some(code) = exit_status(said) {
        let end = RunEnd::of_exit_code(code);
        let message = format!("{}; Vertex AI says: {said}", end.message);
        return RunEnd::new(end.reason, message);
    }
    let lower = said.to_lowercase();
    let reason = match error["code"].as_i64() {
        _ if lower.contains("preempt") => Reason::Preempted,
        Some(DEADLINE_EXCEEDED) => Reason::TimedOut,
        Some(RESOURCE_EXHAUSTED | INTERNAL | UNAVAILABLE) => Reason::AgentFailed,
        _ => Reason::Failed { code: 1 },
    };
    let said = if said.is_empty() {
        "the custom job failed, and Vertex AI does not say why"
    } else {
        said
    };
    RunEnd::new(reason, said)
}

/// The status in `non-zero status of N`, if it is one a program can leave that failed.
fn exit_status(said: &str) -> Option<i32> {
    let (_, rest) = said.split_once("non-zero status of ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end]
        .parse()
        .ok()
        .filter(|code| (1..=255).contains(code))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::managed::Stand;

    fn end(job: &Value) -> RunEnd {
        match look(job).stand {
            Stand::Ended(end) => end,
            Stand::Alive(state) => panic!("{state:?}"),
        }
    }

    #[test]
    fn every_end_has_its_reason() {
        let failed = |code: i64, message: &str| {
            end(&json!({"state": "JOB_STATE_FAILED", "error": {"code": code, "message": message}}))
        };
        let killed = failed(
            3,
            "The replica workerpool0-0 ran out-of-memory and exited with a non-zero status of 137(SIGKILL).",
        );
        assert_eq!(killed.reason, Reason::Failed { code: 137 });
        assert!(killed.message.contains("SIGKILL") && killed.message.contains("out-of-memory"));
        assert_eq!(failed(4, "deadline").reason, Reason::TimedOut);
        assert_eq!(failed(8, "no quota").reason, Reason::AgentFailed);
        assert_eq!(failed(14, "The VM was preempted").reason, Reason::Preempted);
        assert_eq!(failed(3, "").reason, Reason::Failed { code: 1 });
        assert_eq!(
            end(&json!({"state": "JOB_STATE_CANCELLED"})).reason,
            Reason::Cancelled
        );
        assert_eq!(
            end(&json!({"state": "JOB_STATE_EXPIRED"})).reason,
            Reason::TimedOut
        );
        assert!(
            end(&json!({"state": "JOB_STATE_SUCCEEDED"}))
                .reason
                .is_success()
        );
    }

    #[test]
    fn what_is_not_known_has_not_ended() {
        for (state, is) in [
            ("JOB_STATE_QUEUED", RunState::Starting),
            ("JOB_STATE_PAUSED", RunState::Starting),
            ("JOB_STATE_UPDATING", RunState::Running),
            ("JOB_STATE_CANCELLING", RunState::Stopping),
            ("JOB_STATE_OF_TOMORROW", RunState::Starting),
        ] {
            assert_eq!(look(&json!({ "state": state })), Look::alive(is));
        }
    }
}
