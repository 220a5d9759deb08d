//! The blocks the Python agent does not have.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Problems, Unknown, listed, nearest};
use crate::load::{Problem, ProblemKind};
use crate::outcome::Reason;
use crate::secret::RedactedUrl;

/// The `backend` block: where the queues are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BackendConfig {
    /// `sqlite`, `postgres` or `wandb`. Without it: `wandb` if a key or an address of W&B
    /// is configured and this program can, else `sqlite`.
    #[serde(rename = "type")]
    pub kind: Option<BackendKind>,
    /// SQLite: the file of the embedded queue; by default in the state directory.
    pub path: Option<PathBuf>,
    /// PostgreSQL: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    #[serde(serialize_with = "masked")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub url: Option<RedactedUrl>,
    /// PostgreSQL: a file that holds the URL, as mounted secrets do.
    pub url_file: Option<PathBuf>,
    /// W&B: the server; `WANDB_BASE_URL` if absent.
    #[serde(serialize_with = "masked")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub base_url: Option<RedactedUrl>,
    /// W&B: a file that holds the API key, as mounted secrets do; read anew when the server
    /// refuses the key.
    pub api_key_file: Option<PathBuf>,
    /// W&B: a file with a token of federated identity, instead of a key;
    /// `WANDB_IDENTITY_TOKEN_FILE` if absent.
    pub identity_token_file: Option<PathBuf>,
    /// W&B: seconds between two questions of an idle agent (10 if absent).
    #[serde(serialize_with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub poll_interval: Option<Duration>,
    /// SQLite, PostgreSQL: how many days an ended job is remembered (30 if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Whole>"))]
    pub keep_days: Option<u64>,
    /// SQLite, PostgreSQL: how many ended jobs are remembered at most, the newest (without
    /// a limit if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Whole>"))]
    pub keep_jobs: Option<u64>,
}

/// The queues there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BackendKind {
    /// A file on this machine.
    Sqlite,
    /// A database that many agents share.
    Postgres,
    /// A server of W&B.
    Wandb,
}

impl BackendKind {
    /// The word in the file, which is the program's feature, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Wandb => "wandb",
        }
    }
}

/// The `journal` block: what the agent has in flight, so that a crash loses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct JournalConfig {
    /// The directory; by default in the state directory.
    pub path: Option<PathBuf>,
}

/// The `retry` block: which jobs are put back, how often and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct RetryConfig {
    /// How often a job whose machine was taken away is put back (5 if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    pub preemptions: Option<u32>,
    /// How often a job that ended for one of `reasons` is put back (0 if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>"))]
    pub failures: Option<u32>,
    /// The reasons; if absent, those that are not the job's doing.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub reasons: Option<Vec<String>>,
    /// Seconds before the first retry of a failure, twice as many before each that follows
    /// (10 if absent).
    #[serde(serialize_with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub wait: Option<Duration>,
    /// The most of them (600 if absent).
    #[serde(serialize_with = "seconds")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<f64>"))]
    pub longest_wait: Option<Duration>,
}

/// How often a preempted job is put back, if the file says nothing; W&B's agent does it as
/// often.
pub const PREEMPTIONS: u32 = 5;

/// The reasons of a failure that are not the job's doing.
const SURROUNDINGS: &[&str] = &[
    "lost",
    "source-failed",
    "push-failed",
    "submit-failed",
    "agent-failed",
];

/// The reasons a failure can be retried for.
const RETRIABLE: &[&str] = &[
    "failed",
    "timed-out",
    "lost",
    "source-failed",
    "build-failed",
    "push-failed",
    "submit-failed",
    "agent-failed",
];

impl RetryConfig {
    /// How often a job that ended for this reason is put back.
    pub fn limit(&self, reason: Reason) -> u32 {
        if reason == Reason::Preempted {
            return self.preemptions.unwrap_or(PREEMPTIONS);
        }
        let word = reason.as_str();
        let is_meant = match &self.reasons {
            Some(reasons) => reasons.iter().any(|named| named == word),
            None => SURROUNDINGS.contains(&word),
        };
        if is_meant {
            self.failures.unwrap_or(0)
        } else {
            0
        }
    }

    /// How long a job that was put back `attempt` times before waits for the next attempt.
    /// What was preempted does not wait: it was not its fault.
    pub fn wait(&self, reason: Reason, attempt: u32) -> Duration {
        if reason == Reason::Preempted {
            return Duration::ZERO;
        }
        let longest = self.longest_wait.unwrap_or(Duration::from_mins(10));
        let first = self.wait.unwrap_or(Duration::from_secs(10));
        first.saturating_mul(1 << attempt.min(20)).min(longest)
    }

    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "retry", RETRY, Unknown::Error, problems);
        let reasons = block.words("reasons", problems);
        for (index, word) in reasons.iter().flatten().enumerate() {
            if !RETRIABLE.contains(&word.as_str()) {
                let near = nearest(word, RETRIABLE);
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("`{word}` is not one of {}", listed(RETRIABLE));
                problems.error(&block.at(&format!("reasons[{index}]")), message, hint);
            }
        }
        Self {
            preemptions: block.at_least(0, "preemptions", problems),
            failures: block.at_least(0, "failures", problems),
            reasons,
            wait: time(&block, "wait", problems),
            longest_wait: time(&block, "longest-wait", problems),
        }
    }
}

const BACKEND: &[&str] = &[
    "type",
    "path",
    "url",
    "url-file",
    "base-url",
    "api-key-file",
    "identity-token-file",
    "poll-interval",
    "keep-days",
    "keep-jobs",
];
const RETRY: &[&str] = &["preemptions", "failures", "reasons", "wait", "longest-wait"];
const JOURNAL: &[&str] = &["path"];

impl BackendConfig {
    /// How long an ended job is remembered, if the file says it.
    pub fn retention(&self) -> Option<Duration> {
        let days = self.keep_days?;
        Some(Duration::from_secs(days.saturating_mul(24 * 60 * 60)))
    }

    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "backend", BACKEND, Unknown::Error, problems);
        let kind = block.one_of("type", &["sqlite", "postgres", "wandb"], problems);
        let config = Self {
            kind: kind.map(|kind| match kind {
                "postgres" => BackendKind::Postgres,
                "wandb" => BackendKind::Wandb,
                _ => BackendKind::Sqlite,
            }),
            path: block.text("path", problems).map(PathBuf::from),
            url: url(&block, "url", &["postgres", "postgresql"], problems),
            url_file: block.text("url-file", problems).map(PathBuf::from),
            base_url: url(&block, "base-url", &["https", "http"], problems),
            api_key_file: block.text("api-key-file", problems).map(PathBuf::from),
            identity_token_file: block
                .text("identity-token-file", problems)
                .map(PathBuf::from),
            poll_interval: time(&block, "poll-interval", problems),
            keep_days: block.at_least(1, "keep-days", problems),
            keep_jobs: block.at_least(1, "keep-jobs", problems),
        };
        // A path alone has always been the embedded queue's.
        let is_path = block.given().all(|key| key == "path");
        match config.kind.or(is_path.then_some(BackendKind::Sqlite)) {
            Some(kind) => foreign_keys(kind, &block, problems),
            None if block.get("type").is_some() => {}
            None => {
                let problem = Problem::new(ProblemKind::Missing, "backend", "`type` is missing");
                problems.push(problem.with_hint("the types are `sqlite`, `postgres` and `wandb`"));
            }
        }
        let nowhere = block.get("url").is_none() && block.get("url-file").is_none();
        if config.kind == Some(BackendKind::Postgres) && nowhere {
            let message = "`url` is missing, or `url-file`";
            problems.push(Problem::new(ProblemKind::Missing, "backend.url", message));
        }
        config
    }
}

/// The keys of one backend mean nothing to another.
fn foreign_keys(kind: BackendKind, block: &Fields<'_>, problems: &mut Problems) {
    let own: &[&str] = match kind {
        BackendKind::Sqlite => &["type", "path", "keep-days", "keep-jobs"],
        BackendKind::Postgres => &["type", "url", "url-file", "keep-days", "keep-jobs"],
        BackendKind::Wandb => &[
            "type",
            "base-url",
            "api-key-file",
            "identity-token-file",
            "poll-interval",
        ],
    };
    for key in block.given().filter(|key| !own.contains(key)) {
        let message = format!("backend `{}` has no `{key}`", kind.as_str());
        problems.push(Problem::new(ProblemKind::Conflict, &block.at(key), message));
    }
}

fn url(
    block: &Fields<'_>,
    key: &str,
    schemes: &[&str],
    problems: &mut Problems,
) -> Option<RedactedUrl> {
    let text = block.text(key, problems)?;
    let parsed = url::Url::parse(&text).ok();
    let parsed = parsed.filter(|url| schemes.contains(&url.scheme()) && url.has_host());
    if parsed.is_none() {
        // The text is not shown: it may hold a password.
        let message = format!("not a URL that starts with `{}://`", schemes[0]);
        problems.push(Problem::new(ProblemKind::Value, &block.at(key), message));
    }
    parsed.map(RedactedUrl::new)
}

/// Seconds, with or without a fraction; not 0, which would be no pause at all.
fn time(block: &Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<Duration> {
    let value = block.get(key)?;
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.001);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    if time.is_none() {
        let message = format!("expected a number of seconds above 0, found {value}");
        problems.push(Problem::new(ProblemKind::Value, &block.at(key), message));
    }
    time
}

#[expect(clippy::ref_option, reason = "what serde calls")]
fn seconds<S: serde::Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(to)
}

#[expect(clippy::ref_option, reason = "what serde calls")]
fn masked<S: serde::Serializer>(url: &Option<RedactedUrl>, to: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(RedactedUrl::to_string).serialize(to)
}

impl JournalConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "journal", JOURNAL, Unknown::Error, problems);
        let path = block.text("path", problems).map(PathBuf::from);
        Self { path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preemptions_are_retried_five_times_and_failures_where_asked() {
        let retry = RetryConfig::default();
        assert_eq!(retry.limit(Reason::Preempted), 5);
        assert_eq!(retry.wait(Reason::Preempted, 3), Duration::ZERO);
        assert_eq!(retry.limit(Reason::Lost), 0);
        let retry = RetryConfig {
            failures: Some(2),
            ..RetryConfig::default()
        };
        assert_eq!(retry.limit(Reason::SubmitFailed), 2);
        assert_eq!(retry.limit(Reason::Failed { code: 1 }), 0);
        assert_eq!(retry.limit(Reason::Cancelled), 0);
        let retry = RetryConfig {
            reasons: Some(vec!["failed".to_owned()]),
            ..retry
        };
        assert_eq!(retry.limit(Reason::Failed { code: 1 }), 2);
        assert_eq!(retry.limit(Reason::SubmitFailed), 0);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = RetryConfig::default();
        let wait = |attempt| retry.wait(Reason::Lost, attempt).as_secs();
        assert_eq!((wait(0), wait(1), wait(3)), (10, 20, 80));
        assert_eq!((wait(10), wait(u32::MAX)), (600, 600));
    }
}
