//! The environment every run gets: what the W&B library in it reads.
//!
//! ```
//! use launch_config::env::{RunContext, job_environment};
//! use launch_config::load::spec_value;
//! use serde_json::json;
//!
//! let spec = json!({"docker": {"docker_image": "iris:1"}, "overrides": {"run_config": {"lr": 0.1}}});
//! let spec = spec_value("spec", &spec)?.value;
//! let env = job_environment(&spec, &RunContext::new("k3x9"));
//! let config = env.iter().find(|(name, _)| name == "WANDB_CONFIG").unwrap();
//! assert_eq!(config.1.expose(), r#"{"lr": 0.1}"#);
//! # Ok::<(), launch_config::load::Report>(())
//! ```

use serde_json::{Map, Value};

use crate::id::{JobId, QueueName};
use crate::image::ImageRef;
use crate::python_json::dumps_map;
use crate::secret::Secret;
use crate::source::Source;
use crate::spec::{Resource, RunSpec};

/// The longest value of one variable, in characters, for all runners but SageMaker.
pub const LIMIT: usize = 32_670;
/// The longest value of one variable for SageMaker, in characters.
pub const SAGEMAKER_LIMIT: usize = 512;

/// The longest value of one variable where a run goes, in characters.
pub fn limit_for(resource: Resource) -> usize {
    match resource {
        Resource::Sagemaker => SAGEMAKER_LIMIT,
        _ => LIMIT,
    }
}

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
    /// The image of a job whose artifact names it; the spec's own goes first.
    pub image: Option<ImageRef>,
    /// The longest value of one variable, in characters; 0 counts as 1.
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
            image: None,
            limit: LIMIT,
        }
    }

    /// Takes over the limits of the place where the run goes.
    #[must_use]
    pub fn with_resource(mut self, resource: Resource) -> Self {
        self.limit = limit_for(resource);
        self
    }

    /// Names the W&B server, and the agent's key for it.
    #[must_use]
    pub fn with_server(mut self, base_url: impl Into<String>, api_key: Option<Secret>) -> Self {
        (self.base_url, self.api_key) = (Some(base_url.into()), api_key);
        self
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
/// `WANDB_ARTIFACTS` is never cut. The work and the memory are linear in the spec's size.
pub fn job_environment(spec: &RunSpec, context: &RunContext) -> Vec<(String, Secret)> {
    let mut env = Variables(Vec::new());
    identity(spec, context, &mut env);
    provenance(spec, context, &mut env);
    let overrides = &spec.overrides;
    env.chunked("WANDB_CONFIG", &overrides.config_json(), context.limit);
    env.chunked(
        "WANDB_LAUNCH_FILE_OVERRIDES",
        &overrides.files_json(),
        context.limit,
    );
    let mut artifacts = Map::new();
    if let Some(job) = &spec.job {
        artifacts.insert("_wandb_job".to_owned(), Value::String(job.to_string()));
    }
    artifacts.extend(overrides.artifacts.clone());
    env.set("WANDB_ARTIFACTS", Some(dumps_map(&artifacts)));
    env.0
}

fn identity(spec: &RunSpec, context: &RunContext, env: &mut Variables) {
    env.set("WANDB_BASE_URL", context.base_url.clone());
    env.set("WANDB_API_KEY", api_key(spec, context));
    env.set("WANDB_PROJECT", filled(spec.project.as_ref()));
    env.set("WANDB_ENTITY", spec.entity.clone());
    env.set("WANDB_LAUNCH", Some("True".to_owned()));
    let run_id = spec.run_id.as_ref().unwrap_or(&context.run_id);
    env.set("WANDB_RUN_ID", Some(run_id.clone()));
    let image = match spec.source() {
        Some(Source::Image(image)) => Some(image),
        _ => context.image.as_ref(),
    };
    env.set("WANDB_DOCKER", image.map(ImageRef::to_string));
    env.set("WANDB_NAME", filled(spec.name.as_ref()));
    let author = spec.author.clone().filter(|_| spec.api_key.is_none());
    env.set("WANDB_USERNAME", author);
    env.set("WANDB_SWEEP_ID", filled(spec.sweep_id.as_ref()));
}

/// The submitter's key, else the agent's. Where there is a server but no key, an empty
/// value keeps the library in the run from using a key of its image.
fn api_key(spec: &RunSpec, context: &RunContext) -> Option<String> {
    let key = spec.api_key.as_ref().or(context.api_key.as_ref());
    let key = key.map(|key| key.expose().to_owned());
    key.or_else(|| context.base_url.as_ref().map(|_| String::new()))
}

fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn provenance(spec: &RunSpec, context: &RunContext, env: &mut Variables) {
    let resumed = spec.resume_count > 0;
    env.set("WANDB_RESUME", resumed.then(|| "allow".to_owned()));
    env.set(
        "WANDB_LAUNCH_QUEUE_NAME",
        context.queue.clone().map(String::from),
    );
    env.set(
        "WANDB_LAUNCH_QUEUE_ENTITY",
        filled(context.queue_entity.as_ref()),
    );
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

    /// Sets a text that is ASCII, so that characters are bytes and any cut is between two.
    fn chunked(&mut self, name: &str, text: &str, limit: usize) {
        debug_assert!(text.is_ascii(), "Python's JSON is ASCII");
        if text.len() <= limit {
            return self.set(name, Some(text.to_owned()));
        }
        for (index, chunk) in text.as_bytes().chunks(limit.max(1)).enumerate() {
            let chunk = String::from_utf8_lossy(chunk).into_owned();
            self.set(&format!("{name}_{index}"), Some(chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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
    fn null_stays_null_and_nothing_is_an_empty_mapping() {
        let env = env_of(
            &json!({"uri": "/x", "overrides": {"run_config": null}}),
            LIMIT,
        );
        assert!(env.contains(&("WANDB_CONFIG".into(), "null".into())));
        assert!(env.contains(&("WANDB_LAUNCH_FILE_OVERRIDES".into(), "{}".into())));
    }

    #[test]
    fn a_server_without_a_key_gets_an_empty_one() {
        let spec = spec_value("spec", &json!({"uri": "/x"})).unwrap().value;
        let key = |context| {
            let env = job_environment(&spec, &context);
            let key = env.into_iter().find(|(name, _)| name == "WANDB_API_KEY");
            key.map(|(_, key)| key.expose().to_owned())
        };
        assert_eq!(key(RunContext::new("r")), None);
        let context = RunContext::new("r").with_server("https://h", None);
        assert_eq!(key(context), Some(String::new()));
    }

    #[test]
    fn a_large_config_costs_no_more_than_its_size() {
        let text = "é".repeat(1 << 20);
        let spec = json!({"uri": "/x", "overrides": {"run_config": {"k": text}}});
        let env = env_of(&spec, SAGEMAKER_LIMIT);
        let chunks = env
            .iter()
            .filter(|(name, _)| name.starts_with("WANDB_CONFIG"));
        let total: usize = chunks.clone().map(|(_, chunk)| chunk.len()).sum();
        assert_eq!(total, 6 * (1 << 20) + r#"{"k": ""}"#.len());
        assert!(
            chunks
                .clone()
                .all(|(_, chunk)| chunk.len() <= SAGEMAKER_LIMIT)
        );
        assert_eq!(chunks.count(), total.div_ceil(SAGEMAKER_LIMIT));
    }

    proptest! {
        #[test]
        fn chunks_join_to_the_whole(text in ".{0,60}", limit in 0_usize..40) {
            let spec = json!({"uri": "/x", "overrides": {"run_config": {text: 1}}});
            let join = |limit| {
                let env = env_of(&spec, limit);
                let chunks = env.iter().filter(|(name, _)| name.starts_with("WANDB_CONFIG"));
                chunks.map(|(_, chunk)| chunk.as_str()).collect::<String>()
            };
            prop_assert_eq!(join(limit), join(LIMIT));
        }
    }

    #[test]
    fn the_submitters_key_goes_first_and_hides_the_author() {
        let spec = json!({"uri": "/x", "author": "ann", "_wandb_api_key": "k"});
        let env = env_of(&spec, LIMIT);
        assert!(env.contains(&("WANDB_API_KEY".into(), "k".into())));
        assert!(!env.iter().any(|(name, _)| name == "WANDB_USERNAME"));
    }
}
