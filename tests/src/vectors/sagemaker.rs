//! `sagemaker`: a queue item to the request that makes its training job.
//!
//! Compared is the request. The id of the handle is the name of the training job in it,
//! which stands there already; whether AWS would take the request is told by rules. The
//! tags by which our runner finds its jobs again are added after this function.

use launch_config::environment::{Ambient, Environment};
use launch_config::spec::Resource;
use launch_runner::sagemaker::{Defaults, Identity, created, training_job};
use serde_json::{Value, json};

use super::queue_item::{QueueItem, in_their_words};
use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "sagemaker",
    run,
    details: &[],
    improvements: RULES,
};

/// What of an output is compared.
pub(super) fn meaning(output: &Value) -> Value {
    json!({"request": output["request"]})
}

fn run(input: &Value) -> Answer {
    match request(input) {
        Ok(request) => Answer::Accepted(in_their_words(&json!({ "request": request }))),
        Err(message) => Answer::refused(&message),
    }
}

fn request(input: &Value) -> Result<Value, String> {
    let item = QueueItem::of(input, Resource::Sagemaker)?;
    let request = item.request(input)?;
    region(input)?;
    let identity = identity(&input["aws"])?;
    let runner = &input["backend_config"]["runner"];
    let mut defaults = Defaults::default();
    if let Some(role) = runner["role_arn"].as_str() {
        defaults = defaults.with_role(role);
    }
    if let Some(output) = runner["s3_output_path"].as_str() {
        defaults = defaults.with_output(output);
    }
    let job = training_job(&request, Some(&identity), &defaults)?;
    let no_arn = input["aws"]["no_arn"] == true;
    let answer = if no_arn {
        json!({})
    } else {
        json!({"TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"})
    };
    created(&answer)?;
    Ok(Value::Object(job))
}

/// The region of the agent file, else that of the AWS configuration.
fn region(input: &Value) -> Result<String, String> {
    let credentials = input["aws"]["credentials"].as_bool();
    let mut ambient = Ambient::default();
    ambient.aws = credentials.unwrap_or(true);
    if !ambient.aws {
        return Err("there are no credentials".to_owned());
    }
    let block = &input["agent_config"]["environment"];
    let block = Some(block).filter(|block| !block.is_null());
    let environment = Environment::read(block, &ambient).map_err(|error| error.to_string())?;
    let of_file = match &environment {
        Environment::Aws { region } => region.clone(),
        _ => None,
    };
    let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let of_env = || names.iter().find_map(|name| input["env"][name].as_str());
    let region = of_file.or_else(|| of_env().map(str::to_owned));
    region.ok_or_else(|| "there is no region".to_owned())
}

fn identity(aws: &Value) -> Result<Identity, String> {
    let account = aws["account"].as_str().unwrap_or("123456789012");
    let arn = match aws.get("arn") {
        None => "arn:aws:iam::123456789012:user/agent",
        Some(arn) => arn.as_str().ok_or("the identity has no name")?,
    };
    Identity::new(account, arn).map_err(|error| error.to_string())
}

const RULES: &[Improvement] = &[
    Improvement {
        id: "images-are-references",
        explains: super::env::IMAGE_REFERENCE.explains,
    },
    Improvement {
        id: "fields-have-their-types",
        explains: super::env::FIELD_TYPES.explains,
    },
    Improvement {
        id: "job-names-are-complete",
        explains: super::env::JOB_NAME.explains,
    },
    Improvement {
        id: "roles-stay-in-their-partition",
        explains: |case, answer| {
            let role = case.output["request"]["RoleArn"].as_str();
            role.is_some_and(|role| role.contains(":role/arn:")) && answer.is_refused()
        },
    },
    Improvement {
        id: "macros-in-every-argument",
        explains: |case, answer| {
            let filled = QueueItem::of(&case.input, Resource::Sagemaker)
                .map(|item| item.fill(&case.output["request"]));
            let request = answer.accepted().map(|output| output["request"].clone());
            let late = |key: &str| case.output["request"].pointer(key).is_some_and(has_macro);
            (late("/RoleArn") || late("/AlgorithmSpecification/TrainingImage"))
                && filled.ok() == request
        },
    },
    Improvement {
        id: "training-input-mode-is-file",
        explains: |case, answer| {
            let mut wanted = case.output["request"].clone();
            let mode = &mut wanted["AlgorithmSpecification"]["TrainingInputMode"];
            let absent = mode.is_null();
            *mode = json!("File");
            absent
                && answer
                    .accepted()
                    .is_some_and(|output| output["request"] == wanted)
        },
    },
    Improvement {
        id: "sagemaker-keys-in-either-spelling",
        explains: either_spelling,
    },
    Improvement {
        id: "sagemaker-members-are-known",
        explains: |case, answer| {
            let unacceptable = case.output["acceptable_to_aws"] == false;
            unacceptable && case.error.is_none() && answer.is_refused()
        },
    },
];

fn has_macro(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${"))
}

/// Keys the original knows in one spelling only.
fn either_spelling(case: &Case, answer: &Answer) -> bool {
    let args = &case.input["launch_spec"]["resource_args"]["sagemaker"];
    let keys = [
        ("output_data_config", "OutputDataConfig"),
        ("training_job_name", "TrainingJobName"),
        ("environment", "Environment"),
        ("tags", "Tags"),
    ];
    let Some(request) = answer.accepted().map(|output| &output["request"]) else {
        return false;
    };
    let mut used = keys
        .iter()
        .filter(|(key, _)| !args[key].is_null())
        .peekable();
    used.peek().is_some()
        && used.all(|(key, member)| request[key].is_null() && !request[member].is_null())
}
