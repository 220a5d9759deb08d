//! Kinds that are not the cluster's own.
//!
//! There is no rule for how a custom resource says that it has ended. These are the habits
//! of those that run programs: a word in `status` (Volcano `state.phase`, Ray `jobStatus`,
//! Argo and pods `phase`), or conditions (Kubeflow, `JobSet`, Tekton). What says nothing of
//! the kind (a Deployment, a `LeaderWorkerSet`) runs until it is cancelled.

use launch_config::outcome::Reason;
use serde_json::Value;

use super::super::hub::Pod;
use super::{Verdict, failure};
use crate::run::RunEnd;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Starting,
    Running,
    Stopped,
    Failed,
    Succeeded,
}

/// How an object stands.
pub(super) fn verdict(object: &Value, pods: &[Pod]) -> Verdict {
    let status = &object["status"];
    let (word, said) = by_words(status)
        .or_else(|| by_conditions(status))
        .unwrap_or((Word::Starting, String::new()));
    let end = match word {
        Word::Succeeded => Some(RunEnd::new(Reason::Succeeded, "")),
        Word::Failed => Some(failure(pods, &said)),
        Word::Stopped => Some(RunEnd::new(Reason::Cancelled, said)),
        Word::Starting | Word::Running => None,
    };
    Verdict {
        runs: word == Word::Running,
        end,
        must_note: false,
    }
}

/// What a word means that a controller uses for a job or one of its conditions.
fn meaning(word: &str) -> Option<Word> {
    Some(match word.to_lowercase().as_str() {
        "created" | "pending" | "queued" | "inqueue" | "initializing" | "starting"
        | "restarting" | "retrying" | "suspended" | "waiting" => Word::Starting,
        "running" | "completing" => Word::Running,
        "succeeded" | "completed" | "complete" => Word::Succeeded,
        "failed" | "aborted" | "timeout" | "terminated" | "error" => Word::Failed,
        "stopped" => Word::Stopped,
        _ => return None,
    })
}

/// A field that holds one word. Ray has two: that of the program goes before that of its
/// cluster, unless the cluster never came to be.
fn by_words(status: &Value) -> Option<(Word, String)> {
    let places = [
        status["state"]["phase"].as_str(),
        status["jobStatus"].as_str().filter(|word| !word.is_empty()),
        status["jobDeploymentStatus"].as_str(),
        status["phase"].as_str(),
        status["state"].as_str(),
    ];
    let deployment = status["jobDeploymentStatus"].as_str();
    let never = deployment.filter(|word| word.eq_ignore_ascii_case("failed"));
    let word = never.or_else(|| places.into_iter().flatten().next())?;
    let messages = [
        &status["message"],
        &status["state"]["message"],
        &status["reason"],
    ];
    let detail = messages.iter().find_map(|message| message.as_str());
    let said = match detail {
        Some(detail) if !detail.is_empty() => format!("its state is `{word}`: {detail}"),
        _ => format!("its state is `{word}`"),
    };
    Some((meaning(word)?, said))
}

/// The condition that says most: an end before a state, a failure before a success.
fn by_conditions(status: &Value) -> Option<(Word, String)> {
    let conditions = status["conditions"].as_array()?;
    let known = conditions.iter().filter_map(|condition| {
        let text = |key: &str| condition[key].as_str().unwrap_or_default();
        let said = format!("{}: {}", text("reason"), text("message"));
        match (text("type"), text("status")) {
            // Tekton has one condition for both ends.
            ("Succeeded", "False") => Some((Word::Failed, said)),
            (of_type, "True") => Some((meaning(of_type)?, said)),
            _ => None,
        }
    });
    let rank = |word: Word| match word {
        Word::Failed => 4,
        Word::Succeeded => 3,
        Word::Stopped => 2,
        Word::Running => 1,
        Word::Starting => 0,
    };
    known.max_by_key(|(word, _)| rank(*word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn end(status: &Value) -> (bool, Option<Reason>) {
        let verdict = verdict(&json!({ "status": status }), &[]);
        (verdict.runs, verdict.end.map(|end| end.reason))
    }

    #[test]
    fn every_controller_has_words_of_its_own() {
        let failed = Some(Reason::Failed { code: 1 });
        let succeeded = Some(Reason::Succeeded);
        let condition = |of_type: &str, status: &str| json!({"type": of_type, "status": status});
        for (status, wanted) in [
            (json!({"state": {"phase": "Inqueue"}}), (false, None)),
            (json!({"state": {"phase": "Completing"}}), (true, None)),
            (json!({"state": {"phase": "Aborted"}}), (false, failed)),
            (
                json!({"jobStatus": "RUNNING", "jobDeploymentStatus": "Running"}),
                (true, None),
            ),
            (
                json!({"jobStatus": "SUCCEEDED", "jobDeploymentStatus": "Complete"}),
                (false, succeeded),
            ),
            (
                json!({"jobStatus": "", "jobDeploymentStatus": "Failed"}),
                (false, failed),
            ),
            (
                json!({"jobStatus": "STOPPED"}),
                (false, Some(Reason::Cancelled)),
            ),
            (json!({"phase": "Error"}), (false, failed)),
            (
                json!({"conditions": [condition("Created", "True"), condition("Running", "True")]}),
                (true, None),
            ),
            (
                json!({"conditions": [condition("Running", "False"), condition("Succeeded", "True")]}),
                (false, succeeded),
            ),
            (
                json!({"conditions": [condition("Failed", "True"), condition("Running", "True")]}),
                (false, failed),
            ),
            (
                json!({"conditions": [condition("Completed", "True")]}),
                (false, succeeded),
            ),
            (
                json!({"conditions": [condition("Succeeded", "False")]}),
                (false, failed),
            ),
            (
                json!({"conditions": [condition("Available", "True")]}),
                (false, None),
            ),
            (json!({}), (false, None)),
        ] {
            assert_eq!(end(&status), wanted, "{status}");
        }
    }
}
