//! Keys of a queue's arguments: SageMaker's own, or those in snake case.

use serde_json::{Map, Value};

/// The members of `CreateTrainingJob` (API reference, 2017-07-24).
const MEMBERS: [&str; 28] = [
    "AlgorithmSpecification",
    "CheckpointConfig",
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "EnableNetworkIsolation",
    "Environment",
    "ExperimentConfig",
    "HyperParameters",
    "InfraCheckConfig",
    "InputDataConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "OutputDataConfig",
    "ProfilerConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig",
    "ResourceConfig",
    "RetryStrategy",
    "RoleArn",
    "ServerlessJobConfig",
    "SessionChainingConfig",
    "StoppingCondition",
    "Tags",
    "TensorBoardOutputConfig",
    "TrainingJobName",
    "VpcConfig",
];

/// The arguments with SageMaker's keys. `null` counts as absent; of a member in both
/// spellings, SageMaker's goes first unless it is empty.
///
/// The service ignores members it does not know, so a misspelt one would be lost without
/// a word: it is refused here.
pub(super) fn members(args: Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut members = Map::new();
    let (own, other): (Vec<_>, Vec<_>) = args
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .partition(|(key, _)| MEMBERS.contains(&key.as_str()));
    for (key, value) in own.into_iter().chain(other) {
        let member = member(&key).ok_or_else(|| unknown(&key))?;
        if members.get(member).is_none_or(is_empty) {
            members.insert(member.to_owned(), value);
        }
    }
    Ok(members)
}

fn member(key: &str) -> Option<&'static str> {
    let name = match key {
        "environment" => "Environment".to_owned(),
        "tags" => "Tags".to_owned(),
        other => camel_case(other),
    };
    MEMBERS.into_iter().find(|member| *member == name)
}

fn is_empty(value: &Value) -> bool {
    value.as_str().is_some_and(str::is_empty)
}

fn unknown(key: &str) -> String {
    let plain = |text: &str| text.replace('_', "").to_lowercase();
    let near = MEMBERS
        .iter()
        .map(|member| (crate::names::distance(&plain(key), &plain(member)), member))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, member)| format!("; did you mean `{member}`?"));
    let near = near.unwrap_or_default();
    format!("resource argument `{key}` is no member of CreateTrainingJob{near}")
}

/// `role_arn` as `RoleArn`: each word between `_` in title case, as Python has it. A key
/// without `_` stays.
fn camel_case(key: &str) -> String {
    if !key.contains('_') {
        return key.to_owned();
    }
    key.split('_')
        .map(|word| {
            if word.is_empty() {
                "_".to_owned()
            } else {
                title(word)
            }
        })
        .collect()
}

/// A letter after what is none is large, every other one small.
fn title(word: &str) -> String {
    let mut inside = false;
    let letter = |c: char| {
        let large = !std::mem::replace(&mut inside, c.is_alphabetic());
        if large {
            c.to_uppercase().next()
        } else {
            c.to_lowercase().next()
        }
        .unwrap_or(c)
    };
    word.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(args: &Value) -> Result<Value, String> {
        let args = args.as_object().cloned().unwrap_or_default();
        members(args).map(Value::Object)
    }

    #[test]
    fn members_may_be_in_snake_case() {
        for (key, member) in [
            ("role_arn", "RoleArn"),
            ("enable_network_isolation", "EnableNetworkIsolation"),
            ("output_data_config", "OutputDataConfig"),
            ("training_job_name", "TrainingJobName"),
            ("hyper_parameters", "HyperParameters"),
            ("environment", "Environment"),
            ("tags", "Tags"),
            ("VPC_config", "VpcConfig"),
        ] {
            assert_eq!(read(&json!({key: 1})), Ok(json!({member: 1})), "{key}");
        }
        assert_eq!(camel_case("s3_uri"), "S3Uri");
        assert_eq!(camel_case("_a__b1c"), "_A_B1C");
    }

    #[test]
    fn of_two_spellings_the_services_own_counts() {
        let both = json!({"role_arn": "b", "RoleArn": "a"});
        assert_eq!(read(&both), Ok(json!({"RoleArn": "a"})));
        let empty = json!({"RoleArn": "", "role_arn": "b"});
        assert_eq!(read(&empty), Ok(json!({"RoleArn": "b"})));
        assert_eq!(read(&json!({"role_arn": null})), Ok(json!({})));
    }

    #[test]
    fn what_the_service_would_ignore_is_refused() {
        let why = read(&json!({"StopingCondition": {}})).unwrap_err();
        assert!(why.contains("did you mean `StoppingCondition`?"), "{why}");
        let why = read(&json!({"hyperparameters": {}})).unwrap_err();
        assert!(why.contains("did you mean `HyperParameters`?"), "{why}");
        assert!(read(&json!({"_private": 1})).is_err());
    }
}
