//! The run spec: what a queue carries and a run is made from.
//!
//! The keys are W&B's. Three uses of theirs are ours: `uri` names a directory or a git
//! repository (the Python agent leaves it dead), `git.repo` one too if there is no `uri`,
//! and `git.subdirectory` a project below the root of its repository.
//!
//! ```
//! use launch_config::load::spec_value;
//! use launch_config::source::Source;
//! use serde_json::json;
//!
//! let spec = json!({"entity": "acme", "project": "Vision", "docker": {"docker_image": "iris:1"}});
//! let spec = spec_value("the spec", &spec)?.value;
//! assert!(matches!(spec.source(), Some(Source::Image(_))));
//! assert_eq!(spec.project.as_deref(), Some("vision"));
//! # Ok::<(), launch_config::load::Report>(())
//! ```

mod args;
mod overrides;
mod places;
mod resource;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde_json::{Map, Value};

pub use args::{BuilderArgs, BuilderArgsError};
pub use overrides::{CODE_MOUNT, Overrides, ParseWorkingDirError, WorkingDir};
pub use places::{KubernetesArgs, SagemakerArgs, VertexArgs};
pub use resource::Resource;

use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;
use crate::secret::Secret;
use crate::source::Source;
use crate::wandb_ref::JobRef;
use source::{Named, SCHEDULER, filled};

/// An object made before a run and beside it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Service {
    /// Its name in the spec.
    pub name: String,
    /// Its manifest.
    pub config: Map<String, Value>,
}

/// A run spec whose every part has been checked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunSpec {
    /// The W&B user or team the run belongs to.
    pub entity: Option<String>,
    /// The project the run belongs to, in small letters.
    pub project: Option<String>,
    /// The run's display name.
    pub name: Option<String>,
    /// The run's id, if the submitter chose it.
    pub run_id: Option<String>,
    /// The W&B user who asked.
    pub author: Option<String>,
    /// The key the run is to use instead of the agent's.
    pub api_key: Option<Secret>,
    /// The sweep it belongs to.
    pub sweep_id: Option<String>,
    /// How often it was preempted before.
    pub resume_count: i64,
    /// A W&B job artifact.
    pub job: Option<JobRef>,
    /// Where it is to run; absent means the agent decides.
    pub resource: Option<Resource>,
    /// Arguments for the runner, by its word.
    pub resource_args: Map<String, Value>,
    /// What the submitter changes.
    pub overrides: Overrides,
    /// The Python version for a generated Dockerfile.
    pub python_version: Option<String>,
    /// The uid of a generated image.
    pub user_id: Option<u32>,
    /// The directory below the source that is the build context.
    pub build_context: Option<PathBuf>,
    /// The image a generated Dockerfile starts from.
    pub base_image: Option<ImageRef>,
    /// The entity that owns the queue, for the client that pushes.
    pub queue_entity: Option<String>,
    /// Values of the queue's template variables, for the client that pushes: a queue
    /// answers with resource args that are filled in.
    pub template_variables: Map<String, Value>,
    /// Objects made before the run, on Kubernetes.
    pub additional_services: Vec<Service>,
    /// How urgent it is, 0 first; a queue item's own priority counts, where there is one.
    pub priority: Option<i64>,
    /// `uri` as written, in use or not; it may hold a token.
    uri: Option<Secret>,
    source: Option<Source>,
}

/// Whether a sweep in this state, in W&B's words, still starts runs. A job of any other sweep
/// is not run.
pub fn sweep_starts_runs(state: &str) -> bool {
    matches!(state, "RUNNING" | "PAUSED")
}

const TOP: &[&str] = &[
    "entity",
    "project",
    "name",
    "run_id",
    "author",
    "_wandb_api_key",
    "sweep_id",
    "_resume_count",
    "job",
    "resource",
    "resource_args",
    "overrides",
    "python_version",
    "docker",
    "image_uri",
    "uri",
    "git",
    "build_context",
    "base_image",
    "queue_entity",
    "template_variables",
    "builder",
    "registry",
    "additional_services",
    "priority",
];
const DOCKER: &[&str] = &["docker_image", "user_id"];
const SERVICE: &[&str] = &["name", "config"];

impl RunSpec {
    /// Where its code or image is; `None` for a W&B job, whose artifact says.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The arguments for one runner, without what is for builders.
    pub fn args_for(&self, resource: Resource) -> Value {
        self.block(resource)
            .map(args::without_builder)
            .unwrap_or_default()
    }

    /// What the queue says about images for one runner.
    ///
    /// # Errors
    /// [`BuilderArgsError`] for values of another type and images that are none.
    pub fn builder_args(&self, resource: Resource) -> Result<BuilderArgs, BuilderArgsError> {
        self.block(resource)
            .map_or_else(|| Ok(BuilderArgs::default()), BuilderArgs::of)
    }

    fn block(&self, resource: Resource) -> Option<&Value> {
        let alias = match resource {
            Resource::Vertex => self.resource_args.get("gcp-vertex"),
            Resource::LocalContainer => self.resource_args.get("local"),
            _ => None,
        };
        let own = self.resource_args.get(resource.as_str());
        let filled = |block: &&Value| block.as_object().is_none_or(|map| !map.is_empty());
        let block = own.filter(filled).or(alias).or(own);
        block.filter(|block| !block.is_null())
    }

    /// Whether it is a sweep scheduler, which counts against a limit of its own: W&B's
    /// placeholder address, and as a process of the agent's machine only a job or the
    /// command `wandb scheduler ID …`.
    pub fn is_scheduler(&self) -> bool {
        let process = self.resource == Some(Resource::LocalProcess);
        self.uri() == Some(SCHEDULER) && (!process || self.job.is_some() || self.starts_scheduler())
    }

    pub(crate) fn uri(&self) -> Option<&str> {
        self.uri.as_ref().map(Secret::expose)
    }

    pub(crate) fn starts_scheduler(&self) -> bool {
        let command = &self.overrides.entry_point;
        command.len() >= 3 && command[..2] == ["wandb", "scheduler"]
    }

    pub(crate) fn read(value: &Value, problems: &mut Problems) -> Self {
        let top = Fields::open(Some(value), "", TOP, Unknown::Warning, problems);
        let docker = Fields::open(
            top.get("docker"),
            "docker",
            DOCKER,
            Unknown::Warning,
            problems,
        );
        let spec = Self {
            user_id: user_id(&docker, problems),
            ..Self::of(&top, problems)
        };
        let named = Named {
            top: &top,
            docker: &docker,
            has_job: top.get("job").is_some_and(|job| job != ""),
        };
        let source = named.read(problems);
        if source.is_none() && spec.job.is_none() && problems.0.is_empty() {
            let message = "the spec names no source: `uri`, `job` or `docker.docker_image`";
            problems.error("", message.to_owned(), None);
        }
        if let (Some(Source::Image(image)), Some(Resource::LocalProcess)) = (&source, spec.resource)
        {
            let message = format!("image `{image}` cannot run as a process of the agent's machine");
            let hint = "use `local-container`".to_owned();
            problems.error("resource", message, Some(hint));
        }
        Self { source, ..spec }
    }

    fn of(top: &Fields<'_>, problems: &mut Problems) -> Self {
        let project = top.text("project", problems);
        let map = |key: &str, problems: &mut Problems| {
            top.mapping(key, problems).cloned().unwrap_or_default()
        };
        Self {
            entity: top.text("entity", problems),
            project: project.map(|project| project.to_lowercase()),
            name: top.text("name", problems),
            run_id: filled(top, "run_id", problems),
            author: top.text("author", problems),
            api_key: filled(top, "_wandb_api_key", problems).map(Secret::new),
            sweep_id: filled(top, "sweep_id", problems),
            resume_count: top.integer("_resume_count", problems).unwrap_or(0),
            job: job(top, problems),
            resource: resource(top, problems),
            resource_args: map("resource_args", problems),
            overrides: Overrides::read(top.get("overrides"), problems),
            python_version: filled(top, "python_version", problems),
            build_context: filled(top, "build_context", problems).map(PathBuf::from),
            base_image: top.parsed("base_image", problems),
            queue_entity: filled(top, "queue_entity", problems),
            template_variables: map("template_variables", problems),
            additional_services: services(top, problems),
            priority: top.get("priority").and_then(Value::as_i64),
            uri: filled(top, "uri", problems).map(Secret::new),
            ..Self::default()
        }
    }
}

fn job(top: &Fields<'_>, problems: &mut Problems) -> Option<JobRef> {
    filled(top, "job", problems)?;
    top.parsed("job", problems)
}

fn resource(top: &Fields<'_>, problems: &mut Problems) -> Option<Resource> {
    filled(top, "resource", problems)?;
    top.one_of("resource", Resource::WORDS, problems)
        .and_then(Resource::from_word)
}

fn user_id(docker: &Fields<'_>, problems: &mut Problems) -> Option<u32> {
    let number = docker.integer("user_id", problems)?;
    let uid = u32::try_from(number).ok();
    if uid.is_none() {
        let message = format!("expected a uid from 0 to {}, found {number}", u32::MAX);
        problems.error(&docker.at("user_id"), message, None);
    }
    uid
}

fn services(top: &Fields<'_>, problems: &mut Problems) -> Vec<Service> {
    let key = "additional_services";
    let list = match top.get(key) {
        None => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(other) => {
            let found = crate::fields::kind(other);
            problems.error(key, format!("expected a list, found {found}"), None);
            return Vec::new();
        }
    };
    let service = |(index, item): (usize, &Value)| {
        let path = format!("{key}[{index}]");
        let fields = Fields::open(Some(item), &path, SERVICE, Unknown::Warning, problems);
        Some(Service {
            name: fields.text("name", problems).unwrap_or_default(),
            config: fields.mapping("config", problems)?.clone(),
        })
    };
    list.iter().enumerate().filter_map(service).collect()
}
