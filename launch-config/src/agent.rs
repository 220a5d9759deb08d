//! The agent file, `launch-config.yaml`: the keys of the Python agent, and ours.
//!
//! Inherited keys keep their spelling (`max_jobs`, `build-context-store`); ours are
//! grouped under `backend`. Every field is what the file says: defaults are applied by
//! the methods, so that `config show` can tell a default from a choice.
//!
//! | unknown key in | is | because |
//! | --- | --- | --- |
//! | the top level, `backend` | an error | the Python agent refuses it too; ours are new |
//! | `environment`, `registry`, `builder` | a warning | the Python agent takes it, and files with leftovers are in use |
//!
//! What the documentation of W&B shows works here even where the Python agent refuses it:
//! `queue: NAME`; `environment: {type: azure}` alone, since Azure needs no region here;
//! `type: local` for environment and registry.

mod blocks;
mod cross;

use serde::Serialize;
use serde_json::Value;

pub use self::blocks::{
    BackendConfig, BuilderConfig, BuilderKind, EnvironmentConfig, EnvironmentKind, KanikoConfig,
    NoopCode, RegistryConfig, RegistryKind,
};
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
    /// The cloud, if there is one.
    pub environment: EnvironmentConfig,
    /// How images are built.
    pub builder: BuilderConfig,
    /// The registry, as the deprecated block has it.
    pub registry: RegistryConfig,
    /// Where the queue is.
    pub backend: BackendConfig,
    /// What a run spec may ask for, secure mode's locks included.
    pub policy: Policy,
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
        let config = Self {
            entity: top.text("entity", problems),
            queues: queues(&top, problems),
            max_jobs: limit(&top, "max_jobs", problems),
            max_schedulers: limit(&top, "max_schedulers", problems),
            secure_mode,
            verbosity: top.integer("verbosity", problems),
            stopped_run_timeout: top.integer("stopped_run_timeout", problems),
            environment: EnvironmentConfig::read(top.get("environment"), problems),
            builder: BuilderConfig::read(top.get("builder"), problems),
            registry: RegistryConfig::read(top.get("registry"), problems),
            backend: BackendConfig::read(top.get("backend"), problems),
            policy: policy.with_secure_mode(secure_mode.unwrap_or_default()),
        };
        cross::check(&config, problems);
        config
    }
}

fn queues(top: &Fields<'_>, problems: &mut Problems) -> Vec<QueueName> {
    let listed = top.words("queues", problems).unwrap_or_default();
    let listed = listed.into_iter().map(|name| ("queues", name));
    let alias = top.text("queue", problems).map(|name| ("queue", name));
    let mut queues: Vec<QueueName> = Vec::new();
    for (key, name) in listed.chain(alias) {
        match name.parse() {
            Ok(queue) if queues.contains(&queue) => {
                problems.error(
                    &top.at(key),
                    format!("queue `{queue}` is named twice"),
                    None,
                );
            }
            Ok(queue) => queues.push(queue),
            Err(error) => problems.error(&top.at(key), error.to_string(), None),
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

    #[test]
    fn what_the_documentation_shows_works() {
        for text in [
            "environment: {type: azure}",
            "environment: {type: local}",
            "environment: {type: aws, region: null}",
            "registry: {type: local}",
            "queue: one",
            "builder: {type: docker, destination: 'r.io/x:'}",
            "secure_mode: 'on'\nmax_jobs: 2.0\nmax_schedulers: '4'",
        ] {
            let checked = agent_text("f", text).unwrap();
            assert!(!checked.warnings.has_errors(), "{text}");
        }
    }

    #[test]
    fn blocks_are_judged_key_by_key() {
        for (text, path) in [
            ("environment: {type: aws}", "environment.region"),
            ("environment: {type: AWS, region: r}", "environment.type"),
            ("environment: aws", "environment"),
            ("queues: [1]", "queues[0]"),
            ("secure_mode: maybe", "secure_mode"),
            ("max_jobs: '2.5'", "max_jobs"),
            ("builder: {type: oci}", "builder.type"),
            (
                "builder: {build-context-store: /mnt/x}",
                "builder.build-context-store",
            ),
            (
                "builder: {build-context-store: 'http://a.blob.core.windows.net/c'}",
                "builder.build-context-store",
            ),
        ] {
            let report = agent_text("f", text).unwrap_err();
            assert_eq!(report.problems[0].path, path, "{report}");
        }
    }
}
