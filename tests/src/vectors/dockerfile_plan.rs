//! `dockerfile_plan`: a source and what is said about its build to a Dockerfile, a context,
//! and the name of the image.
//!
//! Generated Dockerfiles are compared by what they do: [`facts`] reads ours, and [`rules`]
//! says where it does another thing than the Python agent's.

mod facts;
mod rules;

use std::path::{Path, PathBuf};

use launch_builder::context;
use launch_builder::event::Events;
use launch_builder::plan::{BUILDKIT_DOCKERFILE_NAME, BuildSpec, DOCKERFILE_NAME, Plan, plan};
use launch_builder::plan::{DockerfileOrigin, EntryPoint};
use launch_builder::source::SourceTree;
use launch_config::job::{CanBuild, JobDocument, Project};
use launch_config::load::spec_value;
use launch_config::spec::RunSpec;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "dockerfile_plan",
    run,
    details: &[],
    improvements: rules::RULES,
};

/// The list a job artifact brings if the case does not say.
const FROZEN: (&str, &str) = ("requirements.frozen.txt", "wandb==0.31.0\nnumpy==1.26.4\n");
const IGNORE_FILE: &str = ".dockerignore";

fn run(input: &Value) -> Answer {
    match planned(input) {
        Ok(output) => Answer::Accepted(output),
        Err(message) => Answer::refused(&message),
    }
}

fn planned(input: &Value) -> Result<Value, String> {
    if !matches!(input["builder"].as_str(), Some("docker" | "kaniko")) {
        return Err(format!("{} is no builder", input["builder"]));
    }
    let spec =
        spec_value("launch_spec", &input["launch_spec"]).map_err(|report| report.to_string())?;
    let spec = spec.value;
    let job = JobDocument::from_value(&input["job"]["document"]).map_err(|e| e.to_string())?;
    let project = Project::of(&spec, Some(&job), CanBuild::Yes).map_err(|e| e.to_string())?;
    let directory = tree(input);
    let root = directory.path().join("project");
    let source = SourceTree::open(&root).map_err(|e| e.to_string())?;
    let plan = plan(&source, &BuildSpec::of(&spec, &project)).map_err(|e| e.to_string())?;
    Ok(described(input, &spec, &plan, source.root()))
}

/// The job's directory: its frozen list first, then its code over it. There is room beside
/// it for what escapes.
fn tree(input: &Value) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("project");
    fs_err::create_dir(&root).expect("a directory");
    let (name, text) = FROZEN;
    let own = input["job"]["files"].get(name);
    let frozen = (name, own.cloned().unwrap_or_else(|| json!(text)));
    let code = input["job"]["code"]["files"].as_object();
    let code = code.into_iter().flatten();
    let code = code.map(|(name, entry)| (name.as_str(), entry.clone()));
    for (name, entry) in [frozen].into_iter().chain(code) {
        write(&root.join(name), &entry);
    }
    directory
}

/// An entry is a file's text, or `{"symlink": where to}`.
fn write(path: &Path, entry: &Value) {
    let parent = path.parent().expect("a file is in a directory");
    fs_err::create_dir_all(parent).expect("a directory can be made");
    let written = match (entry.as_str(), link_of(entry)) {
        (Some(text), _) => fs_err::write(path, text),
        (_, Some(target)) => fs_err::os::unix::fs::symlink(target, path),
        _ => Ok(()),
    };
    written.expect("the file can be written");
}

/// Where an entry of a job's files leads, if it is a link.
fn link_of(entry: &Value) -> Option<&str> {
    entry.get("symlink").and_then(Value::as_str)
}

fn described(input: &Value, spec: &RunSpec, plan: &Plan, root: &Path) -> Value {
    let generated = plan.dockerfile.origin == DockerfileOrigin::Generated;
    let below = |path: &Path| {
        let path = path
            .strip_prefix(root)
            .map_or_else(|_| path.to_owned(), Path::to_owned);
        match path.display().to_string() {
            text if text.is_empty() => ".".to_owned(),
            text => text,
        }
    };
    let dockerfile = match &plan.dockerfile.origin {
        DockerfileOrigin::Spec(path) | DockerfileOrigin::BesideEntryPoint(path) => {
            let is_named = spec.overrides.dockerfile.is_some() || is_named(input);
            let base = if is_named {
                plan.context.clone()
            } else {
                root.join(build_context(input))
            };
            below(&normal(&base.join(path)))
        }
        _ => "generated".to_owned(),
    };
    let (files, digest) = packed(plan, generated);
    let mut output = Map::new();
    let job = &plan.job_entry_point;
    let parts = json!({
        "dockerfile": dockerfile,
        "context_root": below(&plan.context),
        "context_files": files,
        "source_string": source_string(input),
        "tag": if generated { Value::Null } else { json!(plan.tag(digest)) },
        "job_entry_point": job.as_ref().map(|entry: &EntryPoint| &entry.command),
        "warnings": warnings(plan),
    });
    output.extend(parts.as_object().cloned().unwrap_or_default());
    if generated {
        let mounts = input["builder"] == "docker" && input["buildx"] == true;
        let dockerfile = &plan.dockerfile;
        let text = dockerfile.buildkit.as_ref().filter(|_| mounts);
        let facts = facts::facts(text.unwrap_or(&dockerfile.text), plan);
        output.insert("facts".to_owned(), facts);
    }
    Value::Object(output)
}

fn is_named(input: &Value) -> bool {
    input["job"]["document"]["source"]["dockerfile"].is_string()
}

fn build_context(input: &Value) -> &str {
    let given = &input["job"]["document"]["source"]["build_context"];
    given.as_str().unwrap_or_default()
}

/// The path without `..`; the vectors' trees have no links on the way.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(normal.pop()),
            std::path::Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

/// The files of the packed context, by the names the vectors have for them.
fn packed(plan: &Plan, generated: bool) -> (Vec<String>, launch_config::image::Digest) {
    let mut archive = Vec::new();
    let options = plan.context_options();
    let packed = context::pack(&plan.context, &options, &mut archive, &Events::silent())
        .expect("the context can be packed");
    let copy = tempfile::tempdir().expect("a temporary directory");
    context::unpack(archive.as_slice(), copy.path()).expect("what was packed can be unpacked");
    let mut files = Vec::new();
    list(copy.path(), copy.path(), &mut files);
    files.retain(|name| name != BUILDKIT_DOCKERFILE_NAME);
    // Ours is in the archive where the project has none.
    let own = plan.context.join(IGNORE_FILE).exists();
    files.retain(|name| own || name != IGNORE_FILE);
    let named = |name: String| match name.as_str() {
        DOCKERFILE_NAME => "Dockerfile.wandb".to_owned(),
        _ if generated => format!("src/{name}"),
        _ => name,
    };
    let mut files: Vec<String> = files.into_iter().map(named).collect();
    files.sort();
    files.dedup();
    (files, packed.digest)
}

fn list(root: &Path, directory: &Path, files: &mut Vec<String>) {
    let entries = fs_err::read_dir(directory).expect("a directory can be read");
    for entry in entries.map(|entry| entry.expect("an entry can be read")) {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            list(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("it is below the root");
            files.push(name.display().to_string());
        }
    }
}

/// What the Python agent names its images after; the vectors tell it, we do not use it.
fn source_string(input: &Value) -> Value {
    let job = input["launch_spec"]["job"].as_str().unwrap_or_default();
    let name = job.rsplit('/').next().unwrap_or_default();
    let version = input["job"]["artifact"].as_str().unwrap_or_default();
    let version = version.rsplit(':').next().unwrap_or_default();
    json!(format!("{name}:v{version}"))
}

/// The vectors' names for what we note too.
fn warnings(plan: &Plan) -> Vec<&'static str> {
    let name = |note: &String| {
        let of_wandb = note.contains("does not name `wandb`");
        match note {
            _ if !of_wandb => None,
            note if note.contains("frozen") => Some("wandb not in frozen"),
            _ => Some("wandb not in requirements"),
        }
    };
    plan.notes.iter().filter_map(name).collect()
}
