//! `job_spec`: a queue item and its job to the effective project and the next step.

pub(super) mod artifact;
mod rules;

use launch_config::job::{
    CanBuild, EntryPoint, JobDocument, JobSource, Next, Project, ProjectSource,
};
use launch_config::load::spec_value;
use launch_config::secret::Secret;
use launch_config::spec::RunSpec;
use serde_json::{Map, Value, json};

use super::env::{context, environment};
use super::{Answer, Category};
use artifact::Artifact;

pub(super) const CATEGORY: Category = Category {
    name: "job_spec",
    run,
    details: &["is_scheduler"],
    improvements: rules::RULES,
};

fn run(input: &Value) -> Answer {
    let spec = match spec_value("launch_spec", &input["launch_spec"]) {
        Ok(checked) => checked.value,
        Err(report) => return refused(false, &report),
    };
    let is_scheduler = spec.is_scheduler();
    match output(input, &spec) {
        Ok(output) => Answer::Accepted(Value::Object(output)),
        Err(message) => refused(is_scheduler, &message),
    }
}

fn refused(is_scheduler: bool, message: &(impl ToString + ?Sized)) -> Answer {
    Answer::refused_with(json!({"is_scheduler": is_scheduler}), message)
}

fn output(input: &Value, spec: &RunSpec) -> Result<Map<String, Value>, String> {
    let artifact = Artifact::of(input);
    let wanted = spec.job.as_ref().filter(|_| spec.source().is_none());
    let job = wanted
        .map(|job| artifact.document(&job.to_string()))
        .transpose()?;
    let project = Project::of(spec, job.as_ref(), can_build(input));
    let project = project.map_err(|error| error.to_string())?;
    let mut output = described(spec, &project);
    output.insert("plan".to_owned(), plan(input, spec, &project));
    output.extend(artifact.source_of(job.as_ref(), spec));
    if let Some(job) = &job {
        output.extend(artifact.directory(job)?);
    }
    Ok(output)
}

/// Docker builds where nothing else is said and its program is there.
pub(super) fn can_build(input: &Value) -> CanBuild {
    let docker = input["docker_cli"].as_bool().unwrap_or(true);
    match input["agent_config"]["builder"]["type"].as_str() {
        Some("noop") => CanBuild::No,
        None if !docker => CanBuild::No,
        _ => CanBuild::Yes,
    }
}

fn described(spec: &RunSpec, project: &Project) -> Map<String, Value> {
    let source = match project.source {
        ProjectSource::Image => "docker",
        ProjectSource::Job => "job",
        ProjectSource::Scheduler => "scheduler",
        _ => "code",
    };
    let job_entry =
        |entry: &EntryPoint| json!({"command": entry.words(), "name": entry.job_file()});
    let own_entry =
        |entry: &EntryPoint| json!({"command": entry.words(), "name": entry.override_file()});
    let entry_point = project
        .entry_point
        .as_ref()
        .map(|entry| match project.source {
            ProjectSource::Scheduler => own_entry(entry),
            _ => job_entry(entry),
        });
    let overrides = &spec.overrides;
    let config: Value = serde_json::from_str(&overrides.config_json()).unwrap_or_default();
    let parts = json!({
        "source": source,
        "docker_image": project.image.as_ref().map(ToString::to_string),
        "image_name": project.image_name,
        "build_required": project.source != ProjectSource::Job && project.base_image.is_none(),
        "entry_point": entry_point,
        "override_entry_point": project.override_entry_point.as_ref().map(own_entry),
        "override_args": overrides.args,
        "run_config": config,
        "override_dockerfile": overrides.dockerfile,
        "dockerfile": project.dockerfile,
        "build_context": project.build_context,
        "base_image": project.base_image.as_ref().map(ToString::to_string),
        "base_image_is_default": matches!(project.next, Next::BaseImage { installs: true, .. }),
        "accelerator_base_image": project.builder.accelerator.as_ref().map(ToString::to_string),
        "builder_args": project.builder.block,
        "python_version": project.python_version,
        "user_id": project.user_id,
        "working_dir": overrides.working_dir.path(),
        "is_scheduler": spec.is_scheduler(),
        "target": {
            "entity": spec.entity,
            "project": spec.project,
            "run_id": spec.run_id.as_deref().unwrap_or("genid000"),
            "name": spec.name,
            "author": spec.author,
        },
    });
    parts.as_object().cloned().unwrap_or_default()
}

fn plan(input: &Value, spec: &RunSpec, project: &Project) -> Value {
    match &project.next {
        Next::UseImage(image) => json!({"kind": "use-image", "image": image.to_string()}),
        Next::BaseImage { image, .. } => json!({"kind": "base-image", "image": image.to_string()}),
        Next::Build { entry_point } => {
            json!({"kind": "build", "entry_point": entry_point.as_ref().map(EntryPoint::words)})
        }
        Next::Process { command } => {
            let assignments = assignments(input, spec);
            let argv: Vec<&String> = assignments.iter().chain(command).collect();
            json!({"kind": "process", "argv": argv})
        }
        other => json!({"kind": format!("{other:?}")}),
    }
}

fn assignments(input: &Value, spec: &RunSpec) -> Vec<String> {
    let queue = json!({
        "name": input["queue"],
        "entity": input["agent_config"]["entity"],
        "item_id": input["item_id"],
    });
    let server = input["base_url"].as_str().unwrap_or("https://api.wandb.ai");
    let context = context(&queue).with_server(server, Some(Secret::new("a".repeat(40))));
    let env = environment(spec, &context).into_iter();
    env.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect()
}

/// The kind of a job's source, for the fields that name it.
fn source_type(source: &JobSource) -> Option<&'static str> {
    match source {
        JobSource::Repo { .. } => Some("repo"),
        JobSource::Artifact(_) => Some("artifact"),
        _ => None,
    }
}

/// A document as an object or as text.
fn document(value: &Value) -> Result<JobDocument, String> {
    let read = match value {
        Value::String(text) => JobDocument::from_text(text),
        other => JobDocument::from_value(other),
    };
    read.map_err(|error| error.to_string())
}
