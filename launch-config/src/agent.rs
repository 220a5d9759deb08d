//! The agent file, `launch-config.yaml`: the keys of the Python agent, and ours.
//!
//! Inherited keys keep their spelling (`max_jobs`, `build-context-store`); ours are
//! grouped under `backend`. Every field is what the file says: defaults are applied by
//! the methods, so that `config show` can tell a default from a choice.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Problems, Unknown};
use crate::id::QueueName;
use crate::image::ImageRef;
use crate::policy::Policy;

/// The queue an agent polls when the file names none.
pub const DEFAULT_QUEUE: &str = "default";

/// The content of an agent file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The W&B user or team that owns the queues.
    pub entity: Option<String>,
    /// The queues to poll, in this order; `queue: NAME` in the file adds one.
    pub queues: Vec<QueueName>,
    /// How many jobs at once; `-1` has no limit.
    pub max_jobs: Option<i64>,
    /// How many sweep schedulers at once; `-1` has no limit.
    pub max_schedulers: Option<i64>,
    /// Whether manifests that gain privileges are refused.
    pub secure_mode: Option<bool>,
    /// How much the agent says: 0, 1, 2.
    pub verbosity: Option<i64>,
    /// Seconds between the first sign of a stop request and the forced end.
    pub stopped_run_timeout: Option<i64>,
    /// How images are built.
    pub builder: BuilderConfig,
    /// The registry, as the deprecated block has it.
    pub registry: RegistryConfig,
    /// Where the queue is.
    pub backend: BackendConfig,
    /// What a run spec may ask for, secure mode's locks included.
    pub policy: Policy,
}

/// The `builder` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BuilderConfig {
    /// `docker`, `kaniko` or `noop`.
    #[serde(rename = "type")]
    pub kind: Option<BuilderKind>,
    /// The repository images are pushed to, without a tag.
    pub destination: Option<ImageRef>,
    /// `linux/amd64` or `linux/arm64`.
    pub platform: Option<String>,
}

/// The builders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BuilderKind {
    /// A Docker Engine.
    Docker,
    /// Kaniko in a cluster.
    Kaniko,
    /// Prebuilt images only.
    Noop,
}

/// The `registry` block; `builder.destination` succeeds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegistryConfig {
    /// The repository images are pushed to, without a tag.
    pub uri: Option<ImageRef>,
}

/// The `backend` block: where the queue is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The file of the embedded queue; by default in the state directory.
    pub path: Option<PathBuf>,
}

const TOP: &[&str] = &[
    "entity",
    "queues",
    "queue",
    "max_jobs",
    "max_schedulers",
    "secure_mode",
    "verbosity",
    "stopped_run_timeout",
    "environment",
    "registry",
    "builder",
    "backend",
    "policy",
];
const BUILDER: &[&str] = &[
    "type",
    "destination",
    "platform",
    "build-context-store",
    "build-job-name",
    "secret-name",
    "secret-key",
    "kaniko-image",
    "kaniko-config",
    "credentials",
    "uri",
];
const REGISTRY: &[&str] = &[
    "type",
    "uri",
    "url",
    "repository",
    "image-name",
    "project",
    "region",
    "account_id",
    "repo_name",
    "credentials",
];
const BACKEND: &[&str] = &["type", "path"];

impl AgentConfig {
    /// Jobs at once: the file's number, 1 if it has none, `None` for no limit.
    pub fn slots(&self) -> Option<usize> {
        usize::try_from(self.max_jobs.unwrap_or(1)).ok()
    }

    /// Where images are pushed to: `builder.destination`, else `registry.uri`.
    pub fn destination(&self) -> Option<&ImageRef> {
        self.builder
            .destination
            .as_ref()
            .or(self.registry.uri.as_ref())
    }

    pub(crate) fn read(value: &Value, problems: &mut Problems) -> Self {
        let top = Fields::open(Some(value), "", TOP, Unknown::Error, problems);
        let secure_mode = top.flag("secure_mode", problems);
        let policy = Policy::read(top.get("policy"), problems);
        Self {
            entity: top.text("entity", problems),
            queues: queues(&top, problems),
            max_jobs: limit(&top, "max_jobs", problems),
            max_schedulers: limit(&top, "max_schedulers", problems),
            secure_mode,
            verbosity: top.integer("verbosity", problems),
            stopped_run_timeout: top.integer("stopped_run_timeout", problems),
            builder: builder(top.get("builder"), problems),
            registry: registry(top.get("registry"), problems),
            backend: backend(top.get("backend"), problems),
            policy: policy.with_secure_mode(secure_mode.unwrap_or_default()),
        }
    }
}

fn queues(top: &Fields<'_>, problems: &mut Problems) -> Vec<QueueName> {
    let mut names = top.texts("queues", problems).unwrap_or_default();
    names.extend(top.text("queue", problems));
    let mut queues: Vec<QueueName> = Vec::with_capacity(names.len());
    for name in names {
        match name.parse() {
            Ok(queue) if queues.contains(&queue) => {
                problems.error(
                    &top.at("queues"),
                    format!("queue `{queue}` is named twice"),
                    None,
                );
            }
            Ok(queue) => queues.push(queue),
            Err(error) => problems.error(&top.at("queues"), error.to_string(), None),
        }
    }
    queues
}

fn limit(top: &Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<i64> {
    let number = top.integer(key, problems)?;
    if number < -1 {
        let hint = Some("-1 means no limit".to_owned());
        problems.error(
            &top.at(key),
            format!("expected -1 or more, found {number}"),
            hint,
        );
    }
    if number == 0 {
        let hint = Some("-1 means no limit".to_owned());
        problems.error(&top.at(key), "0 would never run a job".to_owned(), hint);
    }
    Some(number)
}

/// A repository URI: `https://` in front is dropped, a tag refused.
fn repository(block: &Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<ImageRef> {
    let text = block.text(key, problems)?;
    let plain = text
        .strip_prefix("https://")
        .unwrap_or(&text)
        .trim_end_matches('/');
    match plain.parse::<ImageRef>() {
        Ok(image) if image.tag().is_some() || image.digest().is_some() => {
            let hint = Some("leave the tag out: it is the digest of what is built".to_owned());
            problems.error(&block.at(key), format!("`{text}` has a tag"), hint);
            None
        }
        Ok(image) => Some(image),
        Err(error) => {
            problems.error(&block.at(key), error.to_string(), None);
            None
        }
    }
}

fn builder(value: Option<&Value>, problems: &mut Problems) -> BuilderConfig {
    let block = Fields::open(value, "builder", BUILDER, Unknown::Warning, problems);
    let kind = block.one_of("type", &["docker", "kaniko", "noop"], problems);
    BuilderConfig {
        kind: kind.map(|kind| match kind {
            "docker" => BuilderKind::Docker,
            "kaniko" => BuilderKind::Kaniko,
            _ => BuilderKind::Noop,
        }),
        destination: repository(&block, "destination", problems),
        platform: block
            .one_of("platform", &["linux/amd64", "linux/arm64"], problems)
            .map(str::to_owned),
    }
}

fn registry(value: Option<&Value>, problems: &mut Problems) -> RegistryConfig {
    let block = Fields::open(value, "registry", REGISTRY, Unknown::Warning, problems);
    block.one_of("type", &["ecr", "gcr", "acr", "local"], problems);
    RegistryConfig {
        uri: repository(&block, "uri", problems),
    }
}

fn backend(value: Option<&Value>, problems: &mut Problems) -> BackendConfig {
    let block = Fields::open(value, "backend", BACKEND, Unknown::Error, problems);
    block.one_of("type", &["sqlite"], problems);
    BackendConfig {
        path: block.text("path", problems).map(PathBuf::from),
    }
}

#[cfg(test)]
mod tests {
    use crate::load::agent_text;

    #[test]
    fn a_usual_file_is_read() {
        let text = "entity: acme\nqueues: [a, b]\nqueue: c\nmax_jobs: -1\nsecure_mode: 'false'\n\
                    builder:\n  type: docker\n  destination: https://reg.io:5000/team/x\n";
        let config = agent_text("f", text).unwrap().value;
        assert_eq!(config.queues.len(), 3);
        assert_eq!(config.slots(), None);
        assert_eq!(config.secure_mode, Some(false));
        assert_eq!(
            config.destination().unwrap().to_string(),
            "reg.io:5000/team/x"
        );
    }

    #[test]
    fn what_could_not_work_is_refused() {
        for text in [
            "max_jobs: 0",
            "max_jobs: -2",
            "queues: [a, a]",
            "queues: a",
            "builder: {type: dokcer}",
            "builder: {destination: 'r.io/x:tag'}",
            "backend: {type: sqlte}",
            "builder: docker",
        ] {
            assert!(agent_text("f", text).is_err(), "{text}");
        }
    }
}
