//! What SageMaker says of a training job.

use launch_config::outcome::Reason;
use serde_json::Value;

use crate::managed::Look;
use crate::run::{RunEnd, RunState};

/// Where a training job stands (`DescribeTrainingJob`). Pure.
///
/// | status | secondary status | is |
/// | --- | --- | --- |
/// | `InProgress` | `Training`, `Uploading`, `Interrupted`, `Restarting` … | running |
/// | `InProgress` | any other | starting |
/// | `Stopping` | | stopping |
/// | `Completed` | | succeeded |
/// | `Failed` | | by `FailureReason` |
/// | `Stopped` | `MaxRuntimeExceeded`, `MaxWaitTimeExceeded` | timed out |
/// | `Stopped` | `Interrupted` | preempted |
/// | `Stopped` | any other | cancelled, by us or by somebody else |
pub(super) fn look(job: &Value) -> Look {
    let text = |key: &str| job[key].as_str().unwrap_or_default();
    let secondary = text("SecondaryStatus");
    match text("TrainingJobStatus") {
        "Completed" => Look::ended(RunEnd::new(Reason::Succeeded, "")),
        "Failed" => Look::ended(failure(text("FailureReason"))),
        "Stopped" => Look::ended(stopped(secondary)),
        "Stopping" => Look::alive(RunState::Stopping),
        _ => Look {
            note: note(job, secondary),
            ..Look::alive(if is_running(secondary) {
                RunState::Running
            } else {
                RunState::Starting
            })
        },
    }
}

fn is_running(secondary: &str) -> bool {
    matches!(
        secondary,
        "Training" | "Uploading" | "Interrupted" | "Restarting" | "Updating"
    )
}

/// What a person should know of a job that has not ended.
fn note(job: &Value, secondary: &str) -> Option<String> {
    let transitions = job["SecondaryStatusTransitions"].as_array();
    let last = transitions.and_then(|list| list.last());
    let message = last.and_then(|last| last["StatusMessage"].as_str());
    let message = message.unwrap_or_default();
    let lower = message.to_lowercase();
    let scarce = lower.contains("capacity") || lower.contains("insufficient");
    match secondary {
        "Interrupted" | "Restarting" => Some(format!("the training job is {secondary}: {message}")),
        _ => scarce.then(|| message.to_owned()),
    }
}

fn stopped(secondary: &str) -> RunEnd {
    let (reason, message) = match secondary {
        "MaxRuntimeExceeded" => (
            Reason::TimedOut,
            "it ran for longer than `MaxRuntimeInSeconds`",
        ),
        "MaxWaitTimeExceeded" => (
            Reason::TimedOut,
            "it waited and ran for longer than `MaxWaitTimeInSeconds`",
        ),
        "Interrupted" => (Reason::Preempted, "the spot instance was taken away"),
        _ => return RunEnd::cancelled(),
    };
    RunEnd::new(reason, message)
}

/// Failures are told in words: `AlgorithmError: …, exit code: 137`.
fn failure(said: &str) -> RunEnd {
    if let Some(code) = exit_code(said) {
        let end = RunEnd::of_exit_code(code);
        let message = format!("{}; SageMaker says: {said}", end.message);
        return RunEnd::new(end.reason, message);
    }
    let reason = match said.split(':').next().unwrap_or_default() {
        "ClientError" => Reason::SubmitFailed,
        "InternalServerError" | "CapacityError" => Reason::AgentFailed,
        _ => Reason::Failed { code: 1 },
    };
    let said = if said.is_empty() {
        "the training job failed, and SageMaker does not say why"
    } else {
        said
    };
    RunEnd::new(reason, said)
}

/// The last `exit code: N`, if it is one a program can leave that failed.
fn exit_code(said: &str) -> Option<i32> {
    let lower = said.to_lowercase();
    let (_, rest) = lower.rsplit_once("exit code")?;
    let digits = rest.trim_start_matches([':', ' ']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end]
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
    fn stopped_is_no_success() {
        let stopped = |secondary: &str| {
            end(&json!({"TrainingJobStatus": "Stopped", "SecondaryStatus": secondary})).reason
        };
        assert_eq!(stopped("Stopped"), Reason::Cancelled);
        assert_eq!(stopped("MaxRuntimeExceeded"), Reason::TimedOut);
        assert_eq!(stopped("MaxWaitTimeExceeded"), Reason::TimedOut);
        assert_eq!(stopped("Interrupted"), Reason::Preempted);
    }

    #[test]
    fn failures_have_their_code_and_their_words() {
        let failed =
            |said: &str| end(&json!({"TrainingJobStatus": "Failed", "FailureReason": said}));
        let killed = failed("AlgorithmError: , exit code: 137");
        assert_eq!(killed.reason, Reason::Failed { code: 137 });
        assert!(killed.message.contains("SIGKILL") && killed.message.contains("AlgorithmError"));
        assert_eq!(
            failed("AlgorithmError: ExecuteUserScriptError").reason,
            Reason::Failed { code: 1 }
        );
        assert_eq!(
            failed("ClientError: no such bucket").reason,
            Reason::SubmitFailed
        );
        assert_eq!(
            failed("InternalServerError: try again").reason,
            Reason::AgentFailed
        );
        assert!(failed("").message.contains("does not say why"));
    }

    #[test]
    fn waiting_for_machines_is_told() {
        let job = json!({
            "TrainingJobStatus": "InProgress", "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [{"StatusMessage": "Insufficient capacity error"}],
        });
        assert_eq!(look(&job).stand, Stand::Alive(RunState::Starting));
        assert_eq!(
            look(&job).note.as_deref(),
            Some("Insufficient capacity error")
        );
        let job = json!({"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"});
        assert_eq!(look(&job), Look::alive(RunState::Running));
    }
}
