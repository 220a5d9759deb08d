//! The run spec: what a queue carries and a run is made from.
//!
//! The keys are W&B's. Two uses of theirs are ours: `uri` names a directory or a git
//! repository (the Python agent leaves it dead), and `git.subdirectory` a project below
//! the root of its repository.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;
use crate::secret::Secret;
use crate::source::{GitRemote, Source};

/// Where a run is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A process of the agent's machine.
    LocalProcess,
    /// A container of a Docker Engine.
    LocalContainer,
    /// A Kubernetes object.
    Kubernetes,
    /// A SageMaker training job.
    Sagemaker,
    /// A Vertex AI custom job.
    Vertex,
}

impl Resource {
    /// The words a spec may use, aliases included.
    pub const WORDS: &'static [&'static str] = &[
        "local-process",
        "local-container",
        "local",
        "kubernetes",
        "sagemaker",
        "vertex",
        "gcp-vertex",
    ];

    /// The resource a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "local-process" => Self::LocalProcess,
            "local-container" | "local" => Self::LocalContainer,
            "kubernetes" => Self::Kubernetes,
            "sagemaker" => Self::Sagemaker,
            "vertex" | "gcp-vertex" => Self::Vertex,
            _ => return None,
        })
    }

    /// Its word in specs and in `resource_args`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LocalProcess => "local-process",
            Self::LocalContainer => "local-container",
            Self::Kubernetes => "kubernetes",
            Self::Sagemaker => "sagemaker",
            Self::Vertex => "vertex",
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a submitter changes about a job.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Overrides {
    /// Hyperparameters: what the run reads as its config.
    pub run_config: Map<String, Value>,
    /// Arguments after the command.
    pub args: Vec<String>,
    /// The command, replacing the job's.
    pub entry_point: Vec<String>,
    /// The Dockerfile, below the build context.
    pub dockerfile: Option<PathBuf>,
    /// Artifacts by slot.
    pub artifacts: Map<String, Value>,
    /// Changes to JSON and YAML files of the job.
    pub files: Map<String, Value>,
}

/// A run spec whose every part has been checked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunSpec {
    /// The W&B user or team the run belongs to.
    pub entity: Option<String>,
    /// The project the run belongs to.
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
    pub job: Option<String>,
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
    source: Option<Source>,
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
const GIT: &[&str] = &["repo", "version", "subdirectory"];
const OVERRIDES: &[&str] = &[
    "run_config",
    "args",
    "entry_point",
    "entrypoint",
    "dockerfile",
    "artifacts",
    "files",
    "working_dir",
];

impl RunSpec {
    /// Where its code or image is; `None` for a W&B job, whose artifact says.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// The arguments for one runner.
    pub fn args_for(&self, resource: Resource) -> Value {
        let vertex = if resource == Resource::Vertex {
            self.resource_args.get("gcp-vertex")
        } else {
            None
        };
        vertex
            .or_else(|| self.resource_args.get(resource.as_str()))
            .cloned()
            .unwrap_or_default()
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
        let source = source(&top, &docker, problems);
        let job = top.text("job", problems);
        if source.is_none() && job.is_none() && problems.0.is_empty() {
            let message = "the spec names no source: `uri`, `job` or `docker.docker_image`";
            problems.error("", message.to_owned(), None);
        }
        Self {
            entity: top.text("entity", problems),
            project: top
                .text("project", problems)
                .map(|project| project.to_lowercase()),
            name: top.text("name", problems),
            run_id: top.text("run_id", problems),
            author: top.text("author", problems),
            api_key: top.text("_wandb_api_key", problems).map(Secret::new),
            sweep_id: top.text("sweep_id", problems),
            resume_count: top.integer("_resume_count", problems).unwrap_or(0),
            job,
            resource: resource(&top, problems),
            resource_args: top
                .mapping("resource_args", problems)
                .cloned()
                .unwrap_or_default(),
            overrides: overrides(top.get("overrides"), problems),
            python_version: top.text("python_version", problems),
            user_id: user_id(&docker, problems),
            build_context: top.text("build_context", problems).map(PathBuf::from),
            base_image: top.parsed("base_image", problems),
            source,
        }
    }
}

fn resource(top: &Fields<'_>, problems: &mut Problems) -> Option<Resource> {
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

/// An image beats a URI beats a repository, as in the Python agent.
fn source(top: &Fields<'_>, docker: &Fields<'_>, problems: &mut Problems) -> Option<Source> {
    let git = Fields::open(top.get("git"), "git", GIT, Unknown::Warning, problems);
    let reference = git
        .text("version", problems)
        .filter(|version| !version.is_empty());
    let subdirectory = git.text("subdirectory", problems).map(PathBuf::from);
    let image = docker.parsed("docker_image", problems);
    if let Some(image) = image.or_else(|| top.parsed("image_uri", problems)) {
        return Some(Source::Image(image));
    }
    let (fields, key) = if top.get("uri").is_some() {
        (top, "uri")
    } else {
        (&git, "repo")
    };
    let text = fields.text(key, problems)?;
    if key == "uri" && looks_like_path(&text) {
        return Some(Source::Directory(PathBuf::from(text)));
    }
    match text.parse::<GitRemote>() {
        Ok(remote) => Some(Source::Git {
            remote,
            reference,
            subdirectory,
        }),
        Err(error) => {
            let hint = "a directory starts with `/` or `.`".to_owned();
            problems.error(&fields.at(key), error.to_string(), Some(hint));
            None
        }
    }
}

/// A path starts with `/` or `.`: everything else has to be a remote.
fn looks_like_path(text: &str) -> bool {
    text.starts_with(['/', '.'])
}

fn overrides(value: Option<&Value>, problems: &mut Problems) -> Overrides {
    let block = Fields::open(value, "overrides", OVERRIDES, Unknown::Warning, problems);
    let map = |key: &str, problems: &mut Problems| {
        block.mapping(key, problems).cloned().unwrap_or_default()
    };
    // W&B's FAQ spells it `entrypoint`; their code reads `entry_point`.
    let key = if block.get("entry_point").is_some() {
        "entry_point"
    } else {
        "entrypoint"
    };
    Overrides {
        run_config: map("run_config", problems),
        args: block.texts("args", problems).unwrap_or_default(),
        entry_point: block.texts(key, problems).unwrap_or_default(),
        dockerfile: block.text("dockerfile", problems).map(PathBuf::from),
        artifacts: map("artifacts", problems),
        files: map("files", problems),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::load::spec_value;

    #[test]
    fn sources_are_told_apart() {
        let source = |value| spec_value("spec", &value).unwrap().value.source;
        assert!(matches!(
            source(json!({"uri": "/srv/x"})),
            Some(Source::Directory(_))
        ));
        assert!(matches!(
            source(json!({"uri": "git@h:x"})),
            Some(Source::Git { .. })
        ));
        let image = source(json!({"docker": {"docker_image": "a:1"}, "uri": "/x"}));
        assert!(matches!(image, Some(Source::Image(_))));
        let git = source(json!({"git": {"repo": "https://h/r", "version": "v1"}}));
        assert!(matches!(git, Some(Source::Git { reference: Some(v), .. }) if v == "v1"));
        assert!(source(json!({"job": "e/p/j:v0"})).is_none());
    }

    #[test]
    fn a_spec_that_cannot_run_says_why() {
        for (value, word) in [
            (json!({}), "no source"),
            (json!([]), "expected a mapping"),
            (json!({"uri": "ext::sh"}), "neither https"),
            (
                json!({"uri": "/x", "resource": "kubernets"}),
                "did you mean `kubernetes`",
            ),
            (
                json!({"uri": "/x", "overrides": {"args": "x"}}),
                "overrides.args",
            ),
            (
                json!({"docker": {"docker_image": "-rm"}}),
                "invalid path component",
            ),
        ] {
            let report = spec_value("spec", &value).unwrap_err().to_string();
            assert!(report.contains(word), "{report}");
        }
    }

    #[test]
    fn a_key_in_a_spec_never_prints() {
        let spec = spec_value("s", &json!({"uri": "/x", "_wandb_api_key": "planted"})).unwrap();
        assert!(!format!("{spec:?}").contains("planted"));
    }
}
