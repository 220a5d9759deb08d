//! The agent file, `launch-config.yaml`: the keys of the Python agent, and ours.
//!
//! Inherited keys keep their spelling (`max_jobs`, `build-context-store`); ours are grouped
//! under `backend`, `retry`, `policy`, `journal` and `observability`. Every field is what the file
//! says; defaults are applied by the methods, so that a default can be told from a choice.
//! `docs/configuration.md` has the table of all keys.
//!
//! [`Layers`] lays the environment and flags over the file, and [`Resolved`] knows where
//! each value came from.
//!
//! | unknown key in | is | because |
//! | --- | --- | --- |
//! | the top level, and our own blocks | an error | the Python agent refuses it too; ours are new |
//! | `environment`, `registry`, `builder` | a warning | the Python agent takes it, and files with leftovers are in use |
//!
//! What the documentation of W&B shows works here even where the Python agent refuses it:
//! `queue: NAME`; `environment: {type: azure}` alone, since Azure needs no region here;
//! `type: local` for environment and registry; `builder.uri`; an ECR address without `.dkr`
//! and one in parts.

mod builder;
mod cross;
mod environment;
mod layers;
mod observability;
mod origin;
mod own;
mod registry;
#[cfg(feature = "schema")]
pub mod schema;
mod shown;
#[cfg(test)]
mod tests;
pub mod variables;

use serde::Serialize;
use serde_json::Value;

pub use self::builder::{BuilderConfig, BuilderKind, KanikoConfig, NoopCode};
pub use self::environment::{EnvironmentConfig, EnvironmentKind};
pub use self::layers::{Flags, Layers, Lookup};
pub use self::observability::{
    DEFAULT_JOB_LOG_MIB, DEFAULT_JOB_LOGS_DAYS, DEFAULT_JOB_LOGS_MIB, LogFormat,
    ObservabilityConfig,
};
pub use self::origin::{Origin, Resolved};
pub use self::own::{BackendConfig, BackendKind, JournalConfig, PREEMPTIONS, RetryConfig};
pub use self::registry::{RegistryConfig, RegistryKind};
pub use self::shown::Entry;
use crate::fields::{Fields, Problems, Unknown};
use crate::id::QueueName;
use crate::image::ImageRef;
use crate::load::{Problem, ProblemKind};
use crate::policy::Policy;

/// The queue an agent polls when the file names none.
pub const DEFAULT_QUEUE: &str = "default";

/// Seconds between the first sign of a stop request and the forced end, if the file says
/// nothing.
pub const DEFAULT_STOP_TIMEOUT: i64 = 60;

/// The content of an agent file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The W&B user or team that owns the queues.
    pub entity: Option<String>,
    /// The queues to poll, in this order, each once; `queue: NAME` in the file adds one.
    #[cfg_attr(feature = "schema", schemars(default, with = "Vec<schema::Queue>"))]
    pub queues: Vec<QueueName>,
    /// How many jobs at once (1 if absent); `-1` has no limit.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::Limit>"))]
    pub max_jobs: Option<i64>,
    /// How many sweep schedulers at once (1 if absent); `-1` has no limit.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::Limit>"))]
    pub max_schedulers: Option<i64>,
    /// Whether secure mode's locks are on, which a policy does not open.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::Flag>"))]
    pub secure_mode: Option<bool>,
    /// How much the agent says: 0, 1, 2.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::Whole>"))]
    pub verbosity: Option<i64>,
    /// Seconds between the first sign of a stop request and the forced end (60 if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::Whole>"))]
    pub stopped_run_timeout: Option<i64>,
    /// The cloud, if there is one.
    #[cfg_attr(feature = "schema", schemars(with = "Option<EnvironmentConfig>"))]
    pub environment: EnvironmentConfig,
    /// How images are built.
    #[cfg_attr(feature = "schema", schemars(with = "Option<BuilderConfig>"))]
    pub builder: BuilderConfig,
    /// The registry, as the deprecated block has it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<RegistryConfig>"))]
    pub registry: RegistryConfig,
    /// Where the queue is.
    #[cfg_attr(feature = "schema", schemars(with = "Option<BackendConfig>"))]
    pub backend: BackendConfig,
    /// Which jobs are put back.
    #[cfg_attr(feature = "schema", schemars(with = "Option<RetryConfig>"))]
    pub retry: RetryConfig,
    /// What a run spec may ask for, secure mode's locks included.
    #[cfg_attr(feature = "schema", schemars(with = "Option<schema::PolicyBlock>"))]
    pub policy: Policy,
    /// What the agent has in flight.
    #[cfg_attr(feature = "schema", schemars(with = "Option<JournalConfig>"))]
    pub journal: JournalConfig,
    /// How the agent is watched.
    #[cfg_attr(feature = "schema", schemars(with = "Option<ObservabilityConfig>"))]
    pub observability: ObservabilityConfig,
}

/// The keys of the Python agent.
const INHERITED: &[&str] = &[
    "entity",
    "queues",
    "max_jobs",
    "max_schedulers",
    "secure_mode",
    "verbosity",
    "stopped_run_timeout",
    "environment",
    "registry",
    "builder",
];

const KEYS: &[&str] = &[
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
    "retry",
    "policy",
    "journal",
    "observability",
];

impl AgentConfig {
    /// Jobs at once: the file's number, 1 if it has none, `None` for no limit. An agent
    /// with 0 takes no job.
    pub fn slots(&self) -> Option<usize> {
        usize::try_from(self.max_jobs.unwrap_or(1)).ok()
    }

    /// Sweep schedulers at once, as [`AgentConfig::slots`].
    pub fn scheduler_slots(&self) -> Option<usize> {
        usize::try_from(self.max_schedulers.unwrap_or(1)).ok()
    }

    /// Where images are pushed to: `builder.destination`, else what the `registry` block
    /// says, if it has a type.
    pub fn destination(&self) -> Option<&ImageRef> {
        let registry = self.registry.uri.as_ref();
        let registry = registry.filter(|_| self.registry.is_remote());
        self.builder.destination.as_ref().or(registry)
    }

    pub(crate) fn read(value: &Value, problems: &mut Problems) -> Self {
        let top = Fields::open(Some(value), "", KEYS, Unknown::Error, problems);
        name_blocks(problems);
        let secure_mode = top.flag("secure_mode", problems);
        let policy = Policy::read(top.get("policy"), problems);
        let environment = EnvironmentConfig::read(top.get("environment"), problems);
        Self {
            entity: top.text("entity", problems),
            queues: queues(&top, problems),
            max_jobs: limit(&top, "max_jobs", problems),
            max_schedulers: limit(&top, "max_schedulers", problems),
            secure_mode,
            verbosity: top.integer("verbosity", problems),
            stopped_run_timeout: timeout(&top, problems),
            builder: BuilderConfig::read(top.get("builder"), problems),
            registry: RegistryConfig::read(top.get("registry"), &environment, problems),
            environment,
            backend: BackendConfig::read(top.get("backend"), problems),
            retry: RetryConfig::read(top.get("retry"), problems),
            policy: policy.with_secure_mode(secure_mode.unwrap_or_default()),
            journal: JournalConfig::read(top.get("journal"), problems),
            observability: ObservabilityConfig::read(top.get("observability"), problems),
        }
    }
}

/// Says of keys that stand one level too high where they belong.
fn name_blocks(problems: &mut Problems) {
    let blocks = [
        ("builder", builder::KEYS),
        ("environment", environment::KEYS),
        ("registry", registry::KEYS),
    ];
    for problem in problems.0.iter_mut().filter(|problem| {
        problem.kind == ProblemKind::UnknownKey && !problem.path.contains(['.', '['])
    }) {
        let own = |(_, keys): &&(&str, &[&str])| keys.contains(&problem.path.as_str());
        if let Some((block, _)) = blocks.iter().find(own) {
            problem.hint = Some(format!("`{}` is a key of `{block}`", problem.path));
        }
    }
}

fn queues(top: &Fields<'_>, problems: &mut Problems) -> Vec<QueueName> {
    if top.has("queues") && top.get("queues").is_none() {
        let problem = Problem::new(
            ProblemKind::Type,
            "queues",
            "expected a list, found nothing",
        );
        problems.push(problem.with_hint("leave the key out for the queue `default`"));
    }
    let before = problems.0.len();
    let listed = top.words("queues", problems).unwrap_or_default();
    if let (Some(Value::String(name)), Some(problem)) =
        (top.get("queues"), problems.0.get_mut(before))
    {
        problem.hint = Some(format!("write `queues: [{name}]`, or `queue: {name}`"));
    }
    let listed = listed.into_iter().enumerate();
    let listed = listed.map(|(index, name)| (format!("queues[{index}]"), name));
    let alias = top.text("queue", problems);
    let alias = alias.map(|name| ("queue".to_owned(), name));
    let mut queues: Vec<QueueName> = Vec::new();
    for (path, name) in listed.chain(alias) {
        match name.parse() {
            Ok(queue) if queues.contains(&queue) => {
                let message = format!("queue `{queue}` is named twice, and polled once");
                problems.push(Problem::warning(ProblemKind::Conflict, &path, message));
            }
            Ok(queue) => queues.push(queue),
            Err(error) => problems.error(&path, error.to_string(), None),
        }
    }
    queues
}

const NO_LIMIT: &str = "-1 means no limit";

fn limit(top: &Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<i64> {
    let before = problems.0.len();
    let number = top.integer(key, problems);
    if let Some(problem) = problems.0.get_mut(before) {
        problem.hint.get_or_insert_with(|| NO_LIMIT.to_owned());
    }
    let number = number?;
    let what = key.trim_start_matches("max_").trim_end_matches('s');
    if number < -1 {
        let message = format!("expected -1 or more, found {number}");
        let problem = Problem::new(ProblemKind::Value, key, message);
        problems.push(problem.with_hint(NO_LIMIT));
    }
    if number == 0 {
        let message = format!("with 0, the agent never takes a {what}");
        let problem = Problem::warning(ProblemKind::Value, key, message);
        problems.push(problem.with_hint(NO_LIMIT));
    }
    Some(number)
}

fn timeout(top: &Fields<'_>, problems: &mut Problems) -> Option<i64> {
    let key = "stopped_run_timeout";
    let seconds = top.integer(key, problems)?;
    if seconds < 0 {
        let message = format!("{seconds} seconds count as 0");
        problems.push(Problem::warning(ProblemKind::Value, key, message));
    }
    Some(seconds)
}
