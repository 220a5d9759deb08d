//! A queue item of the vectors, on its way to a runner: what all runners' categories share.

use launch_config::job::{CanBuild, EntryPoint, JobDocument, Next, Project};
use launch_config::load::spec_value;
use launch_config::macros::Macros;
use launch_config::policy::Policy;
use launch_config::secret::Secret;
use launch_config::spec::{Resource, RunSpec, sweep_starts_runs};
use launch_runner::config::env::job_environment;
use launch_runner::config::id::RunKey;
use launch_runner::config::image::ImageRef;
use launch_runner::run::{CodeMount, CodeSource, RunRequest, Workload};
use serde_json::{Value, json};

use super::env::context;

/// The tag we give to images that would be built, and the vectors' word for any such tag.
const TAG: (&str, &str) = ("built-tag", "<TAG>");
/// Where the code of a job would be, and the vectors' word for it.
const CODE: (&str, &str) = ("/project-dir", "<PROJECT_DIR>");
/// The id of a run whose spec has none.
const RUN_ID: &str = "genid000";

/// A queue item, understood.
#[derive(Debug)]
pub(super) struct QueueItem {
    pub(super) spec: RunSpec,
    pub(super) project: Project,
    /// The image that runs; one that would be built has a tag of ours.
    pub(super) image: Option<ImageRef>,
    macros: Macros,
}

impl QueueItem {
    /// Reads an input for a runner.
    pub(super) fn of(input: &Value, resource: Resource) -> Result<Self, String> {
        let policy = Policy::strict().check(&input["launch_spec"]);
        policy.map_err(|refusals| refusals.to_string())?;
        let spec = spec_value("launch_spec", &input["launch_spec"]);
        let mut spec = spec.map_err(|report| report.to_string())?.value;
        spec.resource = Some(resource);
        let state = input["sweep_state"].as_str().unwrap_or("RUNNING");
        if spec.sweep_id.is_some() && !sweep_starts_runs(state) {
            return Err(format!("its sweep is {state}"));
        }
        let job = document(input, &spec)?;
        let project = Project::of(&spec, job.as_ref(), can_build(input));
        let project = project.map_err(|error| error.to_string())?;
        let image = image(input, &project)?;
        let variables = input["env"].as_object().into_iter().flatten();
        let variables = variables.map(|(name, value)| (name.clone(), text(value)));
        let macros = Macros::of(&spec, RUN_ID, image.as_ref()).allow(variables);
        Ok(Self {
            spec,
            project,
            image,
            macros,
        })
    }

    /// The request as the agent would make it.
    pub(super) fn request(&self, input: &Value) -> Result<RunRequest, String> {
        let resource = self.project.resource;
        let image = self.image.clone().ok_or("nothing to run")?;
        let given = self.project.override_entry_point.as_ref();
        let command = given.or(self.project.entry_point.as_ref());
        let command = command.map(EntryPoint::words).unwrap_or_default();
        let key = RunKey::new("item".parse().map_err(|_| "no id")?, 0);
        let mut request = RunRequest::new(key, Workload::Image { image, pull: None })
            .with_command(command.to_vec())
            .with_overriding_command(given.is_some())
            .with_args(self.spec.overrides.args.clone())
            .with_resource_args(self.macros.fill(&self.spec.args_for(resource)));
        for (name, value) in self.environment(input, resource) {
            request = request.with_env(name, value.expose());
        }
        if matches!(self.project.next, Next::BaseImage { .. }) {
            let code = CodeMount::new(CodeSource::Directory(CODE.0.into()));
            let directory = self.spec.overrides.working_dir.clone();
            request = request.with_code(code.with_working_dir(directory));
        }
        Ok(request)
    }

    /// The run's variables, in the original's order.
    pub(super) fn environment(&self, input: &Value, resource: Resource) -> Vec<(String, Secret)> {
        let queue = json!({
            "name": input["queue"],
            "entity": input["agent_config"]["entity"],
            "item_id": input["item_id"],
        });
        let mut context = context(&queue).with_resource(resource);
        context = context.with_server(server(input), Some(Secret::new("a".repeat(40))));
        context.image.clone_from(&self.project.image);
        job_environment(&self.spec, &context)
    }

    /// The command of an image that is built below the source's root: a Dockerfile for W&B
    /// beside the entry point makes its directory the context.
    pub(super) fn built_command(&self, input: &Value) -> Option<Vec<String>> {
        let Next::Build { .. } = self.project.next else {
            return None;
        };
        let words = self.project.override_entry_point.as_ref();
        let words = words.or(self.project.entry_point.as_ref())?.words();
        let files = input["job"]["code"]["files"].as_object();
        let files = files.or(input["git_remote"]["files"].as_object())?;
        let (directory, file) = words.last()?.rsplit_once('/')?;
        files.get(&format!("{directory}/Dockerfile.wandb"))?;
        let head = words.iter().take(words.len() - 1).cloned();
        Some(head.chain([file.to_owned()]).collect())
    }

    /// The value with its macros filled in.
    pub(super) fn fill(&self, value: &Value) -> Value {
        self.macros.fill(value)
    }
}

/// The address of the W&B server.
pub(super) fn server(input: &Value) -> &str {
    let given = input["base_url"].as_str();
    given.unwrap_or("https://api.wandb.ai")
}

/// Our output, with the vectors' words for what has no one value.
pub(super) fn in_their_words(output: &Value) -> Value {
    let text = output.to_string().replace(TAG.0, TAG.1);
    let text = text.replace(CODE.0, CODE.1);
    serde_json::from_str(&text).unwrap_or_default()
}

fn document(input: &Value, spec: &RunSpec) -> Result<Option<JobDocument>, String> {
    let Some(name) = spec.job.as_ref().filter(|_| spec.source().is_none()) else {
        return Ok(None);
    };
    let job = &input["job"];
    let aliases = job["aliases"].as_array().into_iter().flatten();
    let name = name.to_string();
    if !aliases
        .chain([&job["artifact"]])
        .any(|known| *known == name)
    {
        return Err(format!("there is no job `{name}`"));
    }
    let document = match &job["document"] {
        Value::String(text) => JobDocument::from_text(text),
        other => JobDocument::from_value(other),
    };
    document.map(Some).map_err(|error| error.to_string())
}

/// Docker builds where nothing else is said and its program is there.
fn can_build(input: &Value) -> CanBuild {
    let docker = input["docker_cli"].as_bool().unwrap_or(true);
    match input["agent_config"]["builder"]["type"].as_str() {
        Some("noop") => CanBuild::No,
        None if !docker => CanBuild::No,
        _ => CanBuild::Yes,
    }
}

fn image(input: &Value, project: &Project) -> Result<Option<ImageRef>, String> {
    match &project.next {
        Next::UseImage(image) | Next::BaseImage { image, .. } => Ok(Some(image.clone())),
        Next::Build { .. } => {
            let config = &input["agent_config"];
            let given = [
                &config["builder"]["destination"],
                &config["registry"]["uri"],
            ];
            let given = given.into_iter().find_map(Value::as_str);
            let name = given.unwrap_or(&project.image_name);
            let image = format!("{}:{}", name.trim_start_matches("https://"), TAG.0);
            image
                .parse()
                .map(Some)
                .map_err(|_| format!("`{image}` is no image"))
        }
        _ => Ok(None),
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
