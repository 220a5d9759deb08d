//! `config`: the text of an agent file, with flags and environment, to effective settings.

mod rules;

use std::error::Error;

use launch_config::agent::variables::Variables;
use launch_config::agent::{Flags, Layers, Resolved};
use launch_config::environment::DEFAULT_JOB_NAME;
use launch_config::load::{Problem, ProblemKind, Report, Severity};
use launch_config::registry::Address;
use serde_json::{Value, json};

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "config",
    run,
    details: &["rejected"],
    improvements: rules::ALL,
};

/// What the schema of the Python agent fills in and nothing ever reads.
const SCHEMA_KANIKO_IMAGE: &str = "gcr.io/kaniko-project/executor:latest";

fn run(input: &Value) -> Answer {
    let Some(text) = input["yaml"].as_str() else {
        return Answer::refused("there is no such file");
    };
    let variable = |name: &str| input["env"][name].as_str().map(str::to_owned);
    let read = flags(&input["cli"]).and_then(|flags| {
        let variables = Variables::read(variable)?;
        // The owner of the vectors' key, unless a case names another.
        let entity = input["default_entity"].as_str().unwrap_or("acme");
        let layers = Layers::new()
            .with_file("launch-config.yaml", text)
            .with_variables(&variable)
            .with_flags(&flags)
            .with_default_entity(entity);
        Ok((layers.resolve()?, variables))
    });
    match read {
        Ok((checked, variables)) => {
            let warnings = checked.warnings.problems.iter().filter(is_theirs).count();
            Answer::Accepted(output(
                &checked.value,
                variables.reported_version(),
                warnings,
            ))
        }
        Err(error) => match error.downcast_ref::<Report>() {
            Some(report) => Answer::refused_with(rejected(report), report),
            None => Answer::refused(&error.to_string()),
        },
    }
}

fn flags(cli: &Value) -> Result<Flags, Box<dyn Error>> {
    let words = |list: &Value| {
        let items = list.as_array().cloned().unwrap_or_default();
        let texts = items.iter().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let verbosity = u8::try_from(cli["verbosity"].as_u64().unwrap_or_default())?;
    Ok(Flags::new()
        .with_entity(cli["entity"].as_str().map(str::to_owned))
        .with_max_jobs(cli["max_jobs"].as_i64())
        .with_queues(words(&cli["queues"]))
        .with_verbosity(verbosity))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "a filter gives references to references"
)]
/// The warnings the schema of the Python agent prints: ours are more.
fn is_theirs(problem: &&Problem) -> bool {
    let unknown = problem.kind == ProblemKind::UnknownKey;
    problem.kind == ProblemKind::UnknownRegistry
        || unknown && problem.path.starts_with("environment.")
}

/// The keys of errors, spelled as there: `queues.0`.
fn rejected(report: &Report) -> Value {
    let errors = report.problems.iter();
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    let key = |problem: &Problem| problem.path.replace('[', ".").replace(']', "");
    let keys = errors.map(key).filter(|key| !key.is_empty());
    let keys: Vec<_> = keys.map(|key| json!({"key": key})).collect();
    json!({"rejected": keys})
}

fn output(resolved: &Resolved, version: &str, warnings: usize) -> Value {
    let mut registered = resolved.registration();
    registered["version"] = json!(version);
    json!({
        "resolved": resolved.raw(),
        "model": model(resolved),
        "agent": agent(resolved, version),
        "registered": registered,
        "warnings": warnings,
    })
}

/// The settings of a started agent.
fn agent(resolved: &Resolved, version: &str) -> Value {
    let config = &resolved.config;
    let slots = |slots: Option<usize>| slots.map_or(json!("unlimited"), |slots| json!(slots));
    let in_force = config.in_force();
    json!({
        "max_jobs": slots(config.slots()),
        "max_schedulers": slots(config.scheduler_slots()),
        "queues": config.queues,
        "entity": config.entity,
        "secure_mode": in_force["secure_mode"],
        "verbosity": in_force["verbosity"],
        "stopped_run_timeout": in_force["stopped_run_timeout"],
        "version": version,
    })
}

/// The validated view: a key that is there with null stays null, one that is not there
/// has the schema's default.
fn model(resolved: &Resolved) -> Value {
    let (raw, config) = (resolved.raw(), &resolved.config);
    let or = |key: &str, value: Value, default: Value| {
        if raw.contains_key(key) {
            value
        } else {
            default
        }
    };
    let block = |key: &str, view: Value| {
        let given = raw.get(key).is_some_and(|block| !block.is_null());
        if given { view } else { Value::Null }
    };
    json!({
        "queues": config.queues,
        "entity": config.entity,
        "max_jobs": config.max_jobs,
        "max_schedulers": config.max_schedulers,
        "secure_mode": or("secure_mode", json!(config.secure_mode), json!(false)),
        "registry": block("registry", json!({
            "type": config.registry.kind,
            "uri": address(&raw["registry"]["uri"]),
        })),
        "environment": block("environment", json!({
            "type": config.environment.kind,
            "region": config.environment.region,
        })),
        "builder": block("builder", builder(&raw["builder"], resolved)),
        "verbosity": config.verbosity,
        "stopped_run_timeout":
            or("stopped_run_timeout", json!(config.stopped_run_timeout), json!(60)),
    })
}

fn builder(raw: &Value, resolved: &Resolved) -> Value {
    let builder = &resolved.config.builder;
    let kaniko = &builder.kaniko;
    let or = |key: &str, value: &Option<String>, default: &str| {
        let given = raw.get(key).is_some();
        if given { json!(value) } else { json!(default) }
    };
    json!({
        "type": builder.kind,
        "destination": address(&raw["destination"]),
        "platform": builder.platform,
        "build-context-store": raw["build-context-store"],
        "build-job-name": or("build-job-name", &kaniko.build_job_name, DEFAULT_JOB_NAME),
        "secret-name": kaniko.secret_name,
        "secret-key": kaniko.secret_key,
        "kaniko-image": or("kaniko-image", &kaniko.kaniko_image, SCHEMA_KANIKO_IMAGE),
    })
}

fn address(written: &Value) -> Value {
    let text = written.as_str();
    text.map_or(Value::Null, |text| json!(Address::read(text).as_str()))
}
