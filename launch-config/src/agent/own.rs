//! The blocks the Python agent does not have.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Problems, Unknown};
use crate::load::{Problem, ProblemKind};
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

const BACKEND: &[&str] = &["type", "path", "url", "url-file", "base-url"];
const JOURNAL: &[&str] = &["path"];

impl BackendConfig {
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
        BackendKind::Sqlite => &["type", "path"],
        BackendKind::Postgres => &["type", "url", "url-file"],
        BackendKind::Wandb => &["type", "base-url"],
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
