//! `env`: a run spec to the complete environment of its job.

use launch_config::env::{RunContext, job_environment};
use launch_config::image::ImageRef;
use launch_config::load::spec_value;
use launch_config::secret::Secret;
use launch_config::spec::{Resource, RunSpec};
use launch_config::wandb_ref::JobRef;
use serde_json::{Map, Value, json};

use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "env",
    run,
    details: &[],
    improvements: &[
        Improvement {
            id: "null-variables-are-absent",
            explains: |case, answer| {
                let theirs = case.output["env"].as_object();
                let theirs = theirs.is_some_and(|env| env.values().any(Value::is_null));
                theirs && answer.accepted() == Some(&without_nulls(&case.output))
            },
        },
        IMAGE_REFERENCE,
        JOB_NAME,
        NAMES_NOTHING,
        FIELD_TYPES,
    ],
};

/// An image that is no image reference.
pub(super) const IMAGE_REFERENCE: Improvement = Improvement {
    id: "images-are-references",
    explains: |case, answer| {
        let spec = &case.input["launch_spec"];
        let job = &case.input["job"]["document"]["source"];
        let resource = spec["resource"].as_str().unwrap_or("local-container");
        let builder = &spec["resource_args"][resource]["builder"];
        let images = [
            &spec["docker"]["docker_image"],
            &spec["image_uri"],
            &job["image"],
            &job["base_image"],
            &builder["base_image"],
            &builder["accelerator"]["base_image"],
            &builder["cuda"]["base_image"],
        ];
        answer.is_refused() && images.into_iter().any(is_no::<ImageRef>)
    },
};

/// A job whose name cannot be looked up.
pub(super) const JOB_NAME: Improvement = Improvement {
    id: "job-names-are-complete",
    explains: |case, answer| {
        answer.is_refused() && is_no::<JobRef>(&case.input["launch_spec"]["job"])
    },
};

/// A spec without anything to run: neither image nor job, nor an address of code.
pub(super) const NAMES_NOTHING: Improvement = Improvement {
    id: "a-spec-names-what-runs",
    explains: |case, answer| {
        let spec = &case.input["launch_spec"];
        let docker = &spec["docker"]["docker_image"];
        let filled = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        let named = [docker, &spec["image_uri"], &spec["job"]]
            .into_iter()
            .any(filled);
        let uri = spec["uri"].as_str().unwrap_or_default();
        let code = ["/", ".", "https://", "ssh://", "placeholder-uri-scheduler"];
        let code = code.iter().any(|start| uri.starts_with(start)) || uri.contains('@');
        answer.is_refused() && !named && !code
    },
};

/// A field of another type than the one it is documented with.
pub(super) const FIELD_TYPES: Improvement = Improvement {
    id: "fields-have-their-types",
    explains: |case, answer| answer.is_refused() && has_wrong_type(case),
};

fn has_wrong_type(case: &Case) -> bool {
    let spec = &case.input["launch_spec"];
    let overrides = &spec["overrides"];
    let texts = [
        "entity", "project", "name", "run_id", "author", "sweep_id", "job", "uri",
    ];
    let maps = ["run_config", "files", "artifacts"];
    texts
        .iter()
        .any(|key| !(spec[key].is_string() || spec[key].is_null()))
        || maps
            .iter()
            .any(|key| !(overrides[key].is_object() || overrides[key].is_null()))
        || !(overrides["args"].is_array() || overrides["args"].is_null())
}

fn is_no<T: std::str::FromStr>(value: &Value) -> bool {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.is_some_and(|text| text.parse::<T>().is_err())
}

fn without_nulls(output: &Value) -> Value {
    let mut output = output.clone();
    if let Some(env) = output["env"].as_object_mut() {
        env.retain(|_, value| !value.is_null());
    }
    output
}

fn run(input: &Value) -> Answer {
    let spec = match spec_value("launch_spec", &input["launch_spec"]) {
        Ok(checked) => checked.value,
        Err(report) => return Answer::refused(&report),
    };
    let resource = match input["runner"].as_str() {
        Some("SageMakerRunner") => Resource::Sagemaker,
        Some("VertexRunner") => Resource::Vertex,
        Some("LocalContainerRunner") => Resource::LocalContainer,
        Some("LocalProcessRunner") => Resource::LocalProcess,
        _ => Resource::Kubernetes,
    };
    let context = context(&input["queue"]).with_resource(resource);
    let server = input["base_url"].as_str().unwrap_or_default();
    let key = input["api_key"].as_str().map(Secret::new);
    let context = context.with_server(server, key);
    let limit = context.limit;
    Answer::Accepted(json!({"env": environment(&spec, &context), "limit": limit}))
}

/// The context of a queue's item; a part that is empty is not known.
pub(super) fn context(queue: &Value) -> RunContext {
    let part = |key: &str| queue[key].as_str().filter(|text| !text.is_empty());
    let mut context = RunContext::new("genid000");
    context.queue = part("name").map(|name| name.parse().expect("a queue's name"));
    context.queue_entity = part("entity").map(str::to_owned);
    context.job = part("item_id").map(|id| id.parse().expect("an item's id"));
    context
}

pub(super) fn environment(spec: &RunSpec, context: &RunContext) -> Map<String, Value> {
    let variables = job_environment(spec, context).into_iter();
    variables
        .map(|(name, value)| (name, json!(value.expose())))
        .collect()
}
