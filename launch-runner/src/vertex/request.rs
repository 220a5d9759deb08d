//! What a request means to Vertex AI: one pure function.

use launch_config::spec::VertexArgs;
use serde_json::{Map, Value, json};

use super::schema;
use crate::run::{RunRequest, Workload, run_name};

/// The variable with the W&B run's id, and the one with its name.
const RUN_ID: &str = "WANDB_RUN_ID";
const RUN_NAME: &str = "WANDB_NAME";
/// The label with the W&B run's id.
const RUN_LABEL: &str = "wandb-run-id";

/// Where a custom job goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The project.
    pub project: String,
    /// The region.
    pub region: String,
}

impl Location {
    /// A region of a project.
    pub fn new(project: impl Into<String>, region: impl Into<String>) -> Self {
        let (project, region) = (project.into(), region.into());
        Self { project, region }
    }

    /// What custom jobs are made below.
    pub fn parent(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.region)
    }
}

/// The body of `projects.locations.customJobs.create` for a request, without the labels by
/// which its runner finds it again.
///
/// | of the queue | becomes |
/// | --- | --- |
/// | `spec.worker_pool_specs` | the pools, each with the command, its arguments and the run's variables, after its own |
/// | `spec.base_output_dir` | else a directory of the run in `spec.staging_bucket`, which must be there |
/// | `spec.encryption_spec_key_name`, `spec.labels`, `spec.persistent_resource_id` | themselves |
/// | `run.service_account` | else `spec.service_account`, where W&B's documentation shows it |
/// | `run.timeout`, `run.restart_job_on_worker_restart`, `run.disable_retries`, `run.scheduling_strategy`, `run.max_wait_duration` | the scheduling |
/// | `run.network`, `run.enable_web_access`, `run.tensorboard`, `run.experiment`, `run.experiment_run` | themselves |
///
/// # Errors
/// What is missing or cannot be, in a sentence.
pub fn custom_job(request: &RunRequest, location: &Location) -> Result<Map<String, Value>, String> {
    let Workload::Image { .. } = &request.workload else {
        return Err("a custom job needs an image; this is a directory".to_owned());
    };
    if request.code.is_some() {
        return Err(
            "code cannot be mounted into a custom job: give the agent a builder, or the job an \
             image"
                .to_owned(),
        );
    }
    let VertexArgs { spec, run, .. } = VertexArgs::of(&request.resource_args);
    if spec.is_empty() && run.is_empty() {
        return Err("`resource_args.vertex` is missing or empty".to_owned());
    }
    warn_of_others(&spec, &run);
    let mut job = Map::new();
    job.insert("displayName".to_owned(), json!(display_name(request)));
    job.insert(
        "jobSpec".to_owned(),
        job_spec(request, location, &spec, &run)?,
    );
    if let Some(key) = text(&spec, "spec", "encryption_spec_key_name")? {
        job.insert("encryptionSpec".to_owned(), json!({ "kmsKeyName": key }));
    }
    let mut labels = match spec.get("labels") {
        Some(labels) if !labels.is_null() => schema::labels(labels, "spec.labels")?,
        _ => Map::new(),
    };
    if let Some(id) = request.env.get(RUN_ID) {
        labels.insert(RUN_LABEL.to_owned(), json!(label_value(id.expose())));
    }
    job.insert("labels".to_owned(), Value::Object(labels));
    Ok(job)
}

/// A text as Google takes it for the value of a label: at most 63 small letters, digits,
/// `_` and `-`.
pub(super) fn label_value(text: &str) -> String {
    let fine = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '_' | '-') => c,
        _ => '-',
    };
    text.chars().map(fine).take(63).collect()
}

/// The name a person reads; at most 128 characters.
fn display_name(request: &RunRequest) -> String {
    let named = [RUN_NAME, RUN_ID]
        .iter()
        .find_map(|name| request.env.get(*name));
    let name = named.map_or_else(|| run_name(&request.key), |name| name.expose().to_owned());
    name.chars().take(128).collect()
}

/// Keys that mean nothing here, as to the Python agent.
fn warn_of_others(spec: &Map<String, Value>, run: &Map<String, Value>) {
    const SPEC: [&str; 7] = [
        "worker_pool_specs",
        "staging_bucket",
        "base_output_dir",
        "encryption_spec_key_name",
        "labels",
        "service_account",
        "persistent_resource_id",
    ];
    const RUN: [&str; 11] = [
        "timeout",
        "service_account",
        "network",
        "enable_web_access",
        "experiment",
        "experiment_run",
        "tensorboard",
        "restart_job_on_worker_restart",
        "disable_retries",
        "scheduling_strategy",
        "max_wait_duration",
    ];
    let other = |map: &Map<String, Value>, known: &[&str]| {
        let keys = map.keys().filter(|key| !known.contains(&key.as_str()));
        keys.cloned().collect::<Vec<_>>()
    };
    for key in other(spec, &SPEC) {
        tracing::warn!("`resource_args.vertex.spec.{key}` means nothing and is ignored");
    }
    for key in other(run, &RUN) {
        tracing::warn!("`resource_args.vertex.run.{key}` means nothing and is ignored");
    }
}

fn text(map: &Map<String, Value>, block: &str, key: &str) -> Result<Option<String>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{block}.{key}` is a text, not `{other}`")),
    }
}

fn flag(map: &Map<String, Value>, key: &str) -> Result<bool, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(format!("`run.{key}` is true or false, not `{other}`")),
    }
}

/// Seconds, as proto3 JSON writes them.
fn duration(map: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(0) => Ok(None),
            Some(seconds) => Ok(Some(format!("{seconds}s"))),
            None => Err(format!("`run.{key}` is a number of seconds, not `{value}`")),
        },
    }
}

fn job_spec(
    request: &RunRequest,
    location: &Location,
    spec: &Map<String, Value>,
    run: &Map<String, Value>,
) -> Result<Value, String> {
    let pools = pools(request, spec)?;
    let bucket = text(spec, "spec", "staging_bucket")?;
    let bucket = bucket.ok_or("`spec.staging_bucket` is missing: where the job's files go")?;
    let output = match text(spec, "spec", "base_output_dir")? {
        Some(output) => output,
        None => output_in(&bucket, request),
    };
    let mut job = json!({
        "workerPoolSpecs": pools,
        "baseOutputDirectory": {"outputUriPrefix": output},
    });
    let account = text(run, "run", "service_account")?;
    let account = account.map_or_else(|| text(spec, "spec", "service_account"), |a| Ok(Some(a)))?;
    let settings = [
        ("serviceAccount", account),
        ("network", text(run, "run", "network")?),
        ("tensorboard", text(run, "run", "tensorboard")?),
        (
            "persistentResourceId",
            text(spec, "spec", "persistent_resource_id")?,
        ),
    ];
    for (key, value) in settings {
        if let Some(value) = value {
            job[key] = json!(value);
        }
    }
    if flag(run, "enable_web_access")? {
        job["enableWebAccess"] = json!(true);
    }
    if let Some(scheduling) = scheduling(run)? {
        job["scheduling"] = scheduling;
    }
    set_experiment(&mut job, location, run)?;
    Ok(job)
}

/// A directory of this run; Google's own client names it after the time.
fn output_in(bucket: &str, request: &RunRequest) -> String {
    let bucket = bucket.strip_suffix('/').unwrap_or(bucket);
    let scheme = if bucket.starts_with("gs://") {
        ""
    } else {
        "gs://"
    };
    format!(
        "{scheme}{bucket}/aiplatform-custom-job-{}",
        run_name(&request.key)
    )
}

fn scheduling(run: &Map<String, Value>) -> Result<Option<Value>, String> {
    let mut scheduling = Map::new();
    for (key, name) in [
        ("timeout", "timeout"),
        ("max_wait_duration", "maxWaitDuration"),
    ] {
        if let Some(duration) = duration(run, key)? {
            scheduling.insert(name.to_owned(), json!(duration));
        }
    }
    for (key, name) in [
        ("restart_job_on_worker_restart", "restartJobOnWorkerRestart"),
        ("disable_retries", "disableRetries"),
    ] {
        if flag(run, key)? {
            scheduling.insert(name.to_owned(), json!(true));
        }
    }
    if let Some(strategy) = text(run, "run", "scheduling_strategy")? {
        scheduling.insert("strategy".to_owned(), json!(strategy));
    }
    Ok((!scheduling.is_empty()).then_some(Value::Object(scheduling)))
}

/// Experiments are contexts of the project's default metadata store.
fn set_experiment(
    job: &mut Value,
    location: &Location,
    run: &Map<String, Value>,
) -> Result<(), String> {
    let Some(experiment) = text(run, "run", "experiment")? else {
        return Ok(());
    };
    let context = |name: &str| {
        if name.contains('/') {
            return name.to_owned();
        }
        format!(
            "{}/metadataStores/default/contexts/{name}",
            location.parent()
        )
    };
    job["experiment"] = json!(context(&experiment));
    if let Some(name) = text(run, "run", "experiment_run")? {
        job["experimentRun"] = json!(context(&format!("{experiment}-{name}")));
    }
    Ok(())
}

fn pools(request: &RunRequest, spec: &Map<String, Value>) -> Result<Vec<Value>, String> {
    let pools = match spec.get("worker_pool_specs") {
        Some(Value::Array(pools)) if !pools.is_empty() => pools,
        None | Some(Value::Null | Value::Array(_)) => {
            return Err("`spec.worker_pool_specs` is missing: the machines and images".to_owned());
        }
        Some(other) => {
            return Err(format!("`spec.worker_pool_specs` is a list, not `{other}`"));
        }
    };
    let pool = |(index, value): (usize, &Value)| {
        let path = format!("spec.worker_pool_specs[{index}]");
        let mut pool = value.clone();
        inject(&mut pool, request, &path)?;
        schema::pool(&pool, &path)
    };
    pools.iter().enumerate().map(pool).collect()
}

/// Gives a pool's container the command and the variables of the run.
fn inject(pool: &mut Value, request: &RunRequest, path: &str) -> Result<(), String> {
    let container = pool
        .get_mut("container_spec")
        .and_then(Value::as_object_mut);
    let container = container.filter(|container| !container.is_empty());
    let container = container.ok_or_else(|| {
        format!("`{path}.container_spec` is missing: the image, as `image_uri: ${{image_uri}}`")
    })?;
    let command: Vec<&String> = request.command.iter().chain(&request.args).collect();
    container.insert("command".to_owned(), json!(command));
    let env = container.entry("env").or_insert_with(|| json!([]));
    if env.is_null() {
        *env = json!([]);
    }
    let Value::Array(env) = env else {
        return Err(format!(
            "`{path}.container_spec.env` is a list, not `{env}`"
        ));
    };
    let variable = |(name, value): (&String, &launch_config::secret::Secret)| json!({"name": name, "value": value.expose()});
    env.extend(request.env.iter().map(variable));
    Ok(())
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
            .with_env("WANDB_RUN_ID", "R.1")
            .with_resource_args(args.clone())
    }

    fn least() -> Value {
        json!({"spec": {
            "worker_pool_specs": [{"container_spec": {"image_uri": "i"}}],
            "staging_bucket": "stage/",
        }})
    }

    fn made(request: &RunRequest) -> Result<Value, String> {
        custom_job(request, &Location::new("p", "r")).map(Value::Object)
    }

    #[test]
    fn the_least_a_queue_has_to_say_is_enough() {
        let job = made(&request(&least()).with_command(["a"]).with_args(["b"])).unwrap();
        let wanted = json!({
            "displayName": "R.1",
            "jobSpec": {
                "workerPoolSpecs": [{"containerSpec": {
                    "imageUri": "i", "command": ["a", "b"],
                    "env": [{"name": "WANDB_RUN_ID", "value": "R.1"}],
                }}],
                "baseOutputDirectory": {"outputUriPrefix": "gs://stage/aiplatform-custom-job-launch-job-0"},
            },
            "labels": {"wandb-run-id": "r-1"},
        });
        assert_eq!(job, wanted);
    }

    #[test]
    fn how_it_runs_is_told() {
        let mut args = least();
        args["spec"]["service_account"] = json!("documented@here");
        args["run"] = json!({"timeout": 60, "scheduling_strategy": "SPOT", "experiment": "e",
                             "experiment_run": "n", "enable_web_access": false});
        let spec = made(&request(&args)).unwrap()["jobSpec"].clone();
        assert_eq!(spec["serviceAccount"], "documented@here");
        assert_eq!(
            spec["scheduling"],
            json!({"timeout": "60s", "strategy": "SPOT"})
        );
        let contexts = "projects/p/locations/r/metadataStores/default/contexts";
        assert_eq!(spec["experiment"], json!(format!("{contexts}/e")));
        assert_eq!(spec["experimentRun"], json!(format!("{contexts}/e-n")));
        assert!(spec.get("enableWebAccess").is_none());
    }

    #[test]
    fn what_is_missing_is_named() {
        for (pointer, value, word) in [
            (
                "/spec/worker_pool_specs",
                json!([]),
                "`spec.worker_pool_specs` is missing",
            ),
            ("/spec/worker_pool_specs", json!({}), "is a list"),
            (
                "/spec/worker_pool_specs/0/container_spec",
                json!({}),
                "container_spec` is missing",
            ),
            (
                "/spec/staging_bucket",
                json!(""),
                "`spec.staging_bucket` is missing",
            ),
            ("/spec/staging_bucket", json!(1), "is a text"),
        ] {
            let mut args = least();
            *args.pointer_mut(pointer).unwrap() = value;
            let why = made(&request(&args)).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
        assert!(
            made(&request(&json!({})))
                .unwrap_err()
                .contains("missing or empty")
        );
    }
}
