//! What a Job's and its pod's status say about a build.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use launch_config::image::Digest;

/// How a Job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    Running,
    Succeeded,
    Failed,
}

/// Reads a Job. A failed pod is the end only if the Job starts no other.
pub(super) fn job_state(job: &Job) -> JobState {
    let Some(status) = &job.status else {
        return JobState::Running;
    };
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let holds = |kind: &str| {
        let mut found = conditions.iter();
        found.any(|condition| condition.type_ == kind && condition.status == "True")
    };
    let tries_once = job.spec.as_ref().and_then(|spec| spec.backoff_limit) == Some(0);
    if status.succeeded.unwrap_or_default() >= 1 || holds("Complete") {
        JobState::Succeeded
    } else if holds("Failed") || tries_once && status.failed.unwrap_or_default() >= 1 {
        JobState::Failed
    } else {
        JobState::Running
    }
}

/// The status of a pod's container.
fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_deref()?;
    statuses.iter().find(|status| status.name == container)
}

/// Whether a container has begun, so that it has a log.
pub(super) fn has_begun(pod: &Pod, container: &str) -> bool {
    let state = status(pod, container).and_then(|status| status.state.as_ref());
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

/// Why a pod's container has not begun yet, if something is wrong with it.
pub(super) fn obstacle(pod: &Pod, container: &str) -> Option<String> {
    let sentence = |reason: Option<&String>, message: Option<&String>| {
        let reason = reason?;
        let message = message.map(|text| format!(": {text}")).unwrap_or_default();
        Some(format!("{reason}{message}"))
    };
    let waiting = status(pod, container).and_then(|status| status.state.as_ref()?.waiting.as_ref());
    if let Some(waiting) = waiting {
        let normal = ["ContainerCreating", "PodInitializing"];
        let reason = waiting.reason.as_ref();
        let reason = reason.filter(|reason| !normal.contains(&reason.as_str()));
        return sentence(reason, waiting.message.as_ref());
    }
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    let unscheduled = |kind: &str, status: &str| kind == "PodScheduled" && status == "False";
    let found = conditions
        .iter()
        .find(|condition| unscheduled(&condition.type_, &condition.status));
    found.and_then(|condition| sentence(condition.reason.as_ref(), condition.message.as_ref()))
}

/// The digest a successful container left as its last word.
pub(super) fn digest(pod: &Pod, container: &str) -> Option<Digest> {
    let state = status(pod, container)?.state.as_ref()?;
    let message = state.terminated.as_ref()?.message.as_ref()?;
    message.trim().parse().ok()
}

/// How a failed pod ended, in a sentence: what the cluster did to it, or its exit code.
pub(super) fn ending(pod: &Pod, container: &str) -> Option<String> {
    let whole = pod.status.as_ref()?;
    if let Some(reason) = &whole.reason {
        let message = whole.message.as_ref().map(|text| format!(": {text}"));
        return Some(format!("{reason}{}", message.unwrap_or_default()));
    }
    let terminated = status(pod, container)?
        .state
        .as_ref()?
        .terminated
        .as_ref()?;
    match terminated.reason.as_deref() {
        None | Some("Error") => Some(format!("exit code {}", terminated.exit_code)),
        Some(reason) => Some(format!("{reason} (exit code {})", terminated.exit_code)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(spec: &Value, status: &Value) -> JobState {
        job_state(&serde_json::from_value(json!({"spec": spec, "status": status})).unwrap())
    }

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"status": status})).unwrap()
    }

    fn in_state(state: &Value) -> Pod {
        let status = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        pod(&json!({"containerStatuses": [status]}))
    }

    #[test]
    fn a_job_ends_once() {
        let once = json!({"backoffLimit": 0, "template": {}});
        assert_eq!(job(&once, &json!({})), JobState::Running);
        assert_eq!(job(&once, &json!({"active": 1})), JobState::Running);
        assert_eq!(job(&once, &json!({"succeeded": 1})), JobState::Succeeded);
        assert_eq!(job(&once, &json!({"failed": 1})), JobState::Failed);
        let again = json!({"backoffLimit": 2, "template": {}});
        assert_eq!(job(&again, &json!({"failed": 1})), JobState::Running);
        let failed = json!({"failed": 3, "conditions": [{"type": "Failed", "status": "True"}]});
        assert_eq!(job(&again, &failed), JobState::Failed);
    }

    #[test]
    fn a_pod_says_why_it_waits_and_how_it_ended() {
        assert!(has_begun(&in_state(&json!({"running": {}})), "c"));
        assert!(!has_begun(&in_state(&json!({"running": {}})), "other"));
        let creating = in_state(&json!({"waiting": {"reason": "ContainerCreating"}}));
        assert_eq!(obstacle(&creating, "c"), None);
        let pulling =
            in_state(&json!({"waiting": {"reason": "ErrImagePull", "message": "no such host"}}));
        assert_eq!(
            obstacle(&pulling, "c").unwrap(),
            "ErrImagePull: no such host"
        );
        let alone = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"});
        assert_eq!(
            obstacle(&pod(&json!({"conditions": [alone]})), "c").unwrap(),
            "Unschedulable: 0/1 nodes"
        );
        let killed = in_state(&json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        assert_eq!(ending(&killed, "c").unwrap(), "OOMKilled (exit code 137)");
        let late =
            pod(&json!({"reason": "DeadlineExceeded", "message": "Pod was active too long"}));
        assert_eq!(
            ending(&late, "c").unwrap(),
            "DeadlineExceeded: Pod was active too long"
        );
    }

    #[test]
    fn the_digest_is_the_last_word() {
        let digest_of = |text: &str| {
            digest(
                &in_state(&json!({"terminated": {"exitCode": 0, "message": text}})),
                "c",
            )
        };
        let text = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(digest_of(&format!("{text}\n")).unwrap().to_string(), text);
        assert_eq!(digest_of("something else"), None);
    }
}
