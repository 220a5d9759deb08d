//! What a request means to SageMaker: one pure function.

use launch_config::environment::{Arn, ParseArnError};
use launch_config::spec::SagemakerArgs;
use serde_json::{Map, Value, json};

use super::spelling::members;
use crate::run::{RunRequest, Workload, run_name};

/// The variable that names the run, and the training job.
const RUN_ID: &str = "WANDB_RUN_ID";
/// The tag with the W&B run.
const RUN_TAG: &str = "WandbRunId";

/// Who we are to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    partition: String,
    account: String,
}

impl Identity {
    /// What `GetCallerIdentity` answers: an account, and the name of a user or role in it.
    ///
    /// # Errors
    /// [`ParseArnError`] if that name is none.
    pub fn new(account: impl Into<String>, arn: &str) -> Result<Self, ParseArnError> {
        let parsed: Arn = arn.parse()?;
        // Users and roles have no colon in their names.
        if parsed.resource().contains(':') {
            return Err(ParseArnError(arn.to_owned()));
        }
        Ok(Self {
            partition: parsed.partition().to_owned(),
            account: account.into(),
        })
    }

    /// A role by its name or whole ARN.
    fn role(&self, role: &str) -> Result<String, String> {
        let Self { partition, account } = self;
        if role.starts_with(&format!("arn:{partition}:iam::")) {
            return Ok(role.to_owned());
        }
        if role.starts_with("arn:") {
            return Err(format!(
                "`RoleArn` is `{role}`, which is no role of partition `{partition}`, where our \
                 credentials are"
            ));
        }
        Ok(format!("arn:{partition}:iam::{account}:role/{role}"))
    }
}

/// What an administrator sets for queues that do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defaults {
    /// The role training jobs get, by name or ARN.
    pub role: Option<String>,
    /// Where their output goes: `s3://bucket/prefix`, or without its scheme.
    pub output: Option<String>,
}

impl Defaults {
    /// Sets the role.
    #[must_use]
    pub fn with_role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Sets the output.
    #[must_use]
    pub fn with_output(mut self, output: impl Into<String>) -> Self {
        self.output = Some(output.into());
        self
    }
}

/// The body of `CreateTrainingJob` for a request, without the tags by which its runner
/// finds it again. `None` as `identity` leaves the role as it is written.
///
/// | of the queue | becomes |
/// | --- | --- |
/// | `RoleArn`, by name | the ARN of that role in our account |
/// | `AlgorithmSpecification` | gets the image unless it has one, the command (only an overriding one if it has an image), the arguments |
/// | `Environment` | wins over the run's |
/// | `Tags` | and one with the run's id |
/// | `TrainingJobName` | else the run's id, with the attempt from the second on |
/// | `region`, `profile`, `EcrRepoName` | nothing: the agent file's `environment` decides |
///
/// # Errors
/// What is missing or cannot be, in a sentence.
pub fn training_job(
    request: &RunRequest,
    identity: Option<&Identity>,
    defaults: &Defaults,
) -> Result<Map<String, Value>, String> {
    let Workload::Image { image, .. } = &request.workload else {
        return Err("a training job needs an image; this is a directory".to_owned());
    };
    if request.code.is_some() {
        return Err(
            "code cannot be mounted into a training job: give the agent a builder, or the job \
             an image"
                .to_owned(),
        );
    }
    let args = SagemakerArgs::of(&request.resource_args).request;
    if args.is_empty() {
        return Err("`resource_args.sagemaker` is missing or empty".to_owned());
    }
    let mut job = members(args)?;
    set_role(&mut job, identity, defaults)?;
    set_output(&mut job, defaults)?;
    for key in ["ResourceConfig", "StoppingCondition"] {
        if !job.get(key).is_some_and(is_filled) {
            return Err(format!("`{key}` is missing"));
        }
    }
    set_algorithm(&mut job, request, &image.to_string())?;
    set_environment(&mut job, request)?;
    set_names(&mut job, request)?;
    Ok(job)
}

fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    }
}

fn set_role(
    job: &mut Map<String, Value>,
    identity: Option<&Identity>,
    defaults: &Defaults,
) -> Result<(), String> {
    let given = match job.get("RoleArn") {
        Some(Value::String(role)) if !role.is_empty() => Some(role),
        None | Some(Value::String(_)) => defaults.role.as_ref(),
        Some(other) => return Err(format!("`RoleArn` is a text, not `{other}`")),
    };
    let role = given.ok_or("`RoleArn` is missing: the role the training job runs as")?;
    let role = match identity {
        Some(identity) => identity.role(role)?,
        None => role.clone(),
    };
    job.insert("RoleArn".to_owned(), Value::String(role));
    Ok(())
}

fn set_output(job: &mut Map<String, Value>, defaults: &Defaults) -> Result<(), String> {
    let key = "OutputDataConfig";
    if job.get(key).is_some_and(is_filled) {
        return Ok(());
    }
    let output = defaults.output.as_ref();
    let output = output.ok_or("`OutputDataConfig` is missing: where the output goes")?;
    let path = if output.starts_with("s3://") {
        output.clone()
    } else {
        format!("s3://{output}")
    };
    job.insert(key.to_owned(), json!({ "S3OutputPath": path }));
    Ok(())
}

/// A member that is a mapping, made if it is not there.
fn mapping<'a>(
    job: &'a mut Map<String, Value>,
    key: &str,
) -> Result<&'a mut Map<String, Value>, String> {
    match job.entry(key).or_insert_with(|| json!({})) {
        Value::Object(map) => Ok(map),
        other => Err(format!("`{key}` is a mapping, not `{other}`")),
    }
}

fn set_algorithm(
    job: &mut Map<String, Value>,
    request: &RunRequest,
    image: &str,
) -> Result<(), String> {
    let algorithm = mapping(job, "AlgorithmSpecification")?;
    let has_image = algorithm.get("TrainingImage").is_some_and(is_filled);
    if !has_image {
        algorithm.insert("TrainingImage".to_owned(), json!(image));
    }
    // The service demands it, and nobody who leaves it out means another.
    if !algorithm.get("TrainingInputMode").is_some_and(is_filled) {
        algorithm.insert("TrainingInputMode".to_owned(), json!("File"));
    }
    let counts = request.overrides_command || !has_image;
    if counts && !request.command.is_empty() {
        algorithm.insert("ContainerEntrypoint".to_owned(), json!(request.command));
    }
    if !request.args.is_empty() {
        algorithm.insert("ContainerArguments".to_owned(), json!(request.args));
    }
    Ok(())
}

fn set_environment(job: &mut Map<String, Value>, request: &RunRequest) -> Result<(), String> {
    let environment = mapping(job, "Environment")?;
    for (name, value) in &request.env {
        if !environment.contains_key(name) {
            environment.insert(name.clone(), json!(value.expose()));
        }
    }
    Ok(())
}

fn set_names(job: &mut Map<String, Value>, request: &RunRequest) -> Result<(), String> {
    let run_id = request.env.get(RUN_ID).map(|id| id.expose().to_owned());
    let name = run_id.clone().map(|id| match request.key.attempt {
        0 => id,
        attempt => format!("{id}-{attempt}"),
    });
    if !job.get("TrainingJobName").is_some_and(is_filled) {
        let name = name.unwrap_or_else(|| run_name(&request.key));
        job.insert("TrainingJobName".to_owned(), json!(name));
    }
    if let Some(run_id) = run_id {
        add_tags(job, [(RUN_TAG, run_id.as_str())])?;
    }
    Ok(())
}

/// Adds tags to a training job, in place of those with the same key.
pub(super) fn add_tags<'a>(
    job: &mut Map<String, Value>,
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), String> {
    let list = match job.entry("Tags").or_insert_with(|| json!([])) {
        Value::Array(list) => list,
        other => return Err(format!("`Tags` is a list, not `{other}`")),
    };
    for (key, value) in tags {
        list.retain(|tag| tag["Key"] != *key);
        list.push(json!({ "Key": key, "Value": value }));
    }
    Ok(())
}

/// The name of the training job in what [`training_job`] made. A run id that is no such name
/// is replaced by the name of the run; what the queue gives is not.
pub(super) fn named(job: &mut Map<String, Value>, request: &RunRequest) -> Result<String, String> {
    let given = SagemakerArgs::of(&request.resource_args).request;
    let given = ["TrainingJobName", "training_job_name"]
        .iter()
        .any(|key| given.get(*key).is_some_and(is_filled));
    let name = name_of(job);
    if given || name.is_ok() {
        return name;
    }
    let name = run_name(&request.key);
    job.insert("TrainingJobName".to_owned(), json!(name));
    Ok(name)
}

fn name_of(job: &Map<String, Value>) -> Result<String, String> {
    let name = job.get("TrainingJobName").and_then(Value::as_str);
    let name = name.ok_or("`TrainingJobName` is a text")?;
    let fine = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !fine || name.is_empty() || name.len() > 63 || name.starts_with('-') || name.ends_with('-') {
        return Err(format!(
            "`TrainingJobName` is `{name}`, which is none: at most 63 letters and digits, and \
             dashes between them"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use launch_config::id::RunKey;

    use super::*;

    fn request(args: &Value) -> RunRequest {
        let image = Workload::Image {
            image: "train:1".parse().unwrap(),
            pull: None,
        };
        RunRequest::new(RunKey::new("job".parse().unwrap(), 0), image)
            .with_env("WANDB_RUN_ID", "r1")
            .with_resource_args(args.clone())
    }

    fn least() -> Value {
        json!({
            "RoleArn": "sm",
            "ResourceConfig": {"InstanceCount": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "OutputDataConfig": {"S3OutputPath": "s3://b/p"},
        })
    }

    fn made(request: &RunRequest) -> Result<Value, String> {
        let identity = Identity::new("123", "arn:aws:iam::123:user/u").unwrap();
        training_job(request, Some(&identity), &Defaults::default()).map(Value::Object)
    }

    fn with(key: &str, value: Value) -> Value {
        let mut args = least();
        args[key] = value;
        args
    }

    #[test]
    fn the_least_a_queue_has_to_say_is_enough() {
        let job = made(&request(&least()).with_command(["a", "b"]).with_args(["c"])).unwrap();
        assert_eq!(job["RoleArn"], "arn:aws:iam::123:role/sm");
        assert_eq!(
            job["AlgorithmSpecification"],
            json!({"TrainingImage": "train:1", "TrainingInputMode": "File",
                   "ContainerEntrypoint": ["a", "b"], "ContainerArguments": ["c"]})
        );
        assert_eq!(job["Tags"], json!([{"Key": "WandbRunId", "Value": "r1"}]));
        assert_eq!(job["TrainingJobName"], "r1");
    }

    #[test]
    fn a_later_attempt_has_a_name_of_its_own() {
        let mut request = request(&least());
        request.key.attempt = 2;
        assert_eq!(made(&request).unwrap()["TrainingJobName"], "r1-2");
        request.env.clear();
        assert_eq!(made(&request).unwrap()["TrainingJobName"], "launch-job-2");
    }

    #[test]
    fn the_command_of_the_job_does_not_go_with_another_image() {
        let args = with("AlgorithmSpecification", json!({"TrainingImage": "own:1"}));
        let algorithm = |overrides| {
            let request = request(&args)
                .with_command(["a"])
                .with_overriding_command(overrides);
            made(&request).unwrap()["AlgorithmSpecification"].clone()
        };
        assert_eq!(algorithm(false).get("ContainerEntrypoint"), None);
        assert_eq!(algorithm(true)["ContainerEntrypoint"], json!(["a"]));
        assert_eq!(algorithm(true)["TrainingImage"], "own:1");
    }

    #[test]
    fn what_is_missing_is_named() {
        for key in [
            "RoleArn",
            "OutputDataConfig",
            "ResourceConfig",
            "StoppingCondition",
        ] {
            let why = made(&request(&with(key, Value::Null))).unwrap_err();
            assert!(why.contains(&format!("`{key}` is missing")), "{why}");
        }
        for (key, value) in [
            ("RoleArn", json!(7)),
            ("RoleArn", json!("arn:aws-cn:iam::1:role/x")),
            ("Tags", json!({})),
            ("Environment", json!([])),
            ("AlgorithmSpecification", json!("x")),
        ] {
            let why = made(&request(&with(key, value))).unwrap_err();
            assert!(why.contains(&format!("`{key}` is")), "{why}");
        }
        assert!(
            made(&request(&json!({})))
                .unwrap_err()
                .contains("resource_args.sagemaker")
        );
    }

    #[test]
    fn names_are_those_the_service_takes() {
        let name = |name: &str| name_of(json!({"TrainingJobName": name}).as_object().unwrap());
        assert_eq!(name("a-1"), Ok("a-1".to_owned()));
        for bad in ["", "a_b", "-a", "a-", &"x".repeat(64), "a/b"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        let odd = request(&least()).with_env("WANDB_RUN_ID", "UnV=");
        let mut job = made(&odd).unwrap().as_object().cloned().unwrap();
        assert_eq!(named(&mut job, &odd), Ok("launch-job-0".to_owned()));
        let given = request(&with("TrainingJobName", json!("a_b")));
        let mut job = made(&given).unwrap().as_object().cloned().unwrap();
        assert!(named(&mut job, &given).unwrap_err().contains("`a_b`"));
    }
}
