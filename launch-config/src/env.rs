//! The environment every run gets: what the W&B library in it reads.

use serde_json::{Map, Value};

use crate::id::{JobId, QueueName};
use crate::image::ImageRef;
use crate::python_json::dumps;
use crate::secret::Secret;
use crate::source::Source;
use crate::spec::RunSpec;

/// The longest value of one variable, in characters, for all runners but SageMaker.
pub const LIMIT: usize = 32_670;
/// The longest value of one variable for SageMaker, in characters.
pub const SAGEMAKER_LIMIT: usize = 512;

/// What the agent knows beyond the spec.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunContext {
    /// The run's id; the spec's own goes first.
    pub run_id: String,
    /// The API's address, if there is a W&B backend.
    pub base_url: Option<String>,
    /// The agent's key, if it has one.
    pub api_key: Option<Secret>,
    /// The queue the job came from.
    pub queue: Option<QueueName>,
    /// The entity that owns the queue.
    pub queue_entity: Option<String>,
    /// The job.
    pub job: Option<JobId>,
    /// The longest value of one variable, in characters.
    pub limit: usize,
}

impl RunContext {
    /// A run with this id, and nothing else known.
    pub fn new(run_id: impl Into<String>) -> Self {
        Self {
            run_id: run_id.into(),
            base_url: None,
            api_key: None,
            queue: None,
            queue_entity: None,
            job: None,
            limit: LIMIT,
        }
    }

    /// Names the queue and the job.
    #[must_use]
    pub fn with_job(mut self, queue: QueueName, job: JobId) -> Self {
        (self.queue, self.job) = (Some(queue), Some(job));
        self
    }
}

/// The variables of a run, in the order the Python agent inserts them.
///
/// `WANDB_CONFIG` and `WANDB_LAUNCH_FILE_OVERRIDES` are cut into numbered variables when
/// they are longer than the limit; readers concatenate from `_0` until a gap.
pub fn job_environment(spec: &RunSpec, context: &RunContext) -> Vec<(String, Secret)> {
    let mut env = Variables(Vec::new());
    identity(spec, context, &mut env);
    provenance(spec, context, &mut env);
    env.chunked("WANDB_CONFIG", &spec.overrides.run_config, context.limit);
    env.chunked(
        "WANDB_LAUNCH_FILE_OVERRIDES",
        &spec.overrides.files,
        context.limit,
    );
    let mut artifacts = Map::new();
    if let Some(job) = &spec.job {
        artifacts.insert("_wandb_job".to_owned(), Value::String(job.clone()));
    }
    artifacts.extend(spec.overrides.artifacts.clone());
    env.set("WANDB_ARTIFACTS", Some(dumps(&Value::Object(artifacts))));
    env.0
}

fn identity(spec: &RunSpec, context: &RunContext, env: &mut Variables) {
    let key = spec.api_key.as_ref().or(context.api_key.as_ref());
    env.set("WANDB_BASE_URL", context.base_url.clone());
    env.set("WANDB_API_KEY", key.map(|key| key.expose().to_owned()));
    env.set(
        "WANDB_PROJECT",
        spec.project.clone().filter(|project| !project.is_empty()),
    );
    env.set("WANDB_ENTITY", spec.entity.clone());
    env.set("WANDB_LAUNCH", Some("True".to_owned()));
    env.set(
        "WANDB_RUN_ID",
        Some(
            spec.run_id
                .clone()
                .unwrap_or_else(|| context.run_id.clone()),
        ),
    );
    let image = match spec.source() {
        Some(Source::Image(image)) => Some(ImageRef::to_string(image)),
        _ => None,
    };
    env.set("WANDB_DOCKER", image);
    env.set("WANDB_NAME", spec.name.clone());
    env.set(
        "WANDB_USERNAME",
        spec.author.clone().filter(|_| spec.api_key.is_none()),
    );
    env.set("WANDB_SWEEP_ID", spec.sweep_id.clone());
}

fn provenance(spec: &RunSpec, context: &RunContext, env: &mut Variables) {
    let resumed = spec.resume_count > 0;
    env.set("WANDB_RESUME", resumed.then(|| "allow".to_owned()));
    env.set(
        "WANDB_LAUNCH_QUEUE_NAME",
        context.queue.clone().map(String::from),
    );
    env.set("WANDB_LAUNCH_QUEUE_ENTITY", context.queue_entity.clone());
    env.set(
        "WANDB_LAUNCH_TRACE_ID",
        context.job.clone().map(String::from),
    );
}

struct Variables(Vec<(String, Secret)>);

impl Variables {
    fn set(&mut self, name: &str, value: Option<String>) {
        self.0
            .extend(value.map(|value| (name.to_owned(), Secret::new(value))));
    }

    fn chunked(&mut self, name: &str, map: &Map<String, Value>, limit: usize) {
        let text = dumps(&Value::Object(map.clone()));
        if text.len() <= limit {
            return self.set(name, Some(text));
        }
        // The text is ASCII, so characters are bytes and any cut is between characters.
        for (index, chunk) in text.as_bytes().chunks(limit).enumerate() {
            let chunk = String::from_utf8_lossy(chunk).into_owned();
            self.set(&format!("{name}_{index}"), Some(chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::load::spec_value;

    fn env_of(spec: &Value, limit: usize) -> Vec<(String, String)> {
        let spec = spec_value("spec", spec).unwrap().value;
        let context = RunContext {
            limit,
            ..RunContext::new("r1")
        };
        let env = job_environment(&spec, &context);
        env.into_iter()
            .map(|(name, value)| (name, value.expose().to_owned()))
            .collect()
    }

    #[test]
    fn a_config_that_fits_is_one_variable() {
        let env = env_of(
            &json!({"uri": "/x", "overrides": {"run_config": {"lr": 0.1}}}),
            12,
        );
        assert!(
            env.contains(&("WANDB_CONFIG".into(), r#"{"lr": 0.1}"#.into())),
            "{env:?}"
        );
        assert!(env.contains(&("WANDB_RUN_ID".into(), "r1".into())));
    }

    #[test]
    fn a_longer_config_is_cut_at_the_limit() {
        let spec = json!({"uri": "/x", "overrides": {"run_config": {"lr": 0.1, "n": "é"}}});
        let env = env_of(&spec, 10);
        let chunk = |i: usize| {
            env.iter()
                .find(|(n, _)| *n == format!("WANDB_CONFIG_{i}"))
                .unwrap()
                .1
                .clone()
        };
        assert_eq!(
            (chunk(0).as_str(), chunk(1).as_str(), chunk(2).as_str()),
            (r#"{"lr": 0.1"#, r#", "n": "\u"#, r#"00e9"}"#)
        );
        assert!(!env.iter().any(|(name, _)| name == "WANDB_CONFIG"));
    }

    #[test]
    fn the_submitters_key_goes_first_and_hides_the_author() {
        let spec = json!({"uri": "/x", "author": "ann", "_wandb_api_key": "k"});
        let env = env_of(&spec, LIMIT);
        assert!(env.contains(&("WANDB_API_KEY".into(), "k".into())));
        assert!(!env.iter().any(|(name, _)| name == "WANDB_USERNAME"));
    }
}
