//! Secrets that are there already.

use serde_json::{Map, Value};

use super::manifest::RUN_LABEL;

/// What becomes of a secret that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// It says the same, or is of this run: it is used as it is.
    Keep,
    /// An agent made it for another run: it is replaced.
    Replace,
    /// Somebody else made it: the run is refused.
    Foreign,
}

/// What becomes of a secret `theirs` that has the name of `ours`. Pure.
pub fn conflict(theirs: &Value, ours: &Map<String, Value>) -> Conflict {
    let label = |object: &Value, name: &str| object["metadata"]["labels"][name].clone();
    let ours = Value::Object(ours.clone());
    let run = label(&ours, RUN_LABEL);
    if !run.is_null() && label(theirs, RUN_LABEL) == run {
        return Conflict::Keep;
    }
    // Other W&B agents put no label on a login, and its name is theirs and ours alone.
    let is_login = ours["type"] == "kubernetes.io/dockerconfigjson";
    let by_agent = is_login || label(theirs, "wandb.ai/created-by") == "launch-agent";
    let of_run = !label(theirs, RUN_LABEL).is_null();
    // What is of another run goes when that one does.
    if !of_run && theirs["data"] == ours["data"] && theirs["type"] == ours["type"] {
        return Conflict::Keep;
    }
    if by_agent || of_run {
        return Conflict::Replace;
    }
    Conflict::Foreign
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_others_are_left_alone() {
        let ours = json!({"type": "t", "data": {"password": "bmV3"},
            "metadata": {"labels": {RUN_LABEL: "launch-a-0"}}});
        let ours = ours.as_object().unwrap();
        let theirs = |labels: Value, data: &str| json!({"type": "t", "data": {"password": data}, "metadata": {"labels": labels}});
        for (theirs, wanted) in [
            (
                theirs(json!({RUN_LABEL: "launch-a-0"}), "b2xk"),
                Conflict::Keep,
            ),
            (
                theirs(json!({RUN_LABEL: "launch-a-1"}), "bmV3"),
                Conflict::Replace,
            ),
            (
                theirs(json!({"wandb.ai/created-by": "launch-agent"}), "b2xk"),
                Conflict::Replace,
            ),
            (theirs(json!({"owner": "ops"}), "bmV3"), Conflict::Keep),
            (theirs(json!({"owner": "ops"}), "b2xk"), Conflict::Foreign),
            (theirs(Value::Null, "b2xk"), Conflict::Foreign),
        ] {
            assert_eq!(conflict(&theirs, ours), wanted, "{theirs}");
        }
    }
}
