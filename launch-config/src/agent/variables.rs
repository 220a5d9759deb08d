//! The variables of the agent's environment: their names, and what they say.
//!
//! These are the Python agent's; `docs/configuration.md` has the table. Variables that a
//! job asks for by a macro are another matter: [`crate::macros`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::Origin;
use crate::load::{Problem, ProblemKind, Report};
use crate::secret::{RedactedUrl, Secret};
use crate::yaml::Spans;

/// The user or team that owns the queues.
pub const ENTITY: &str = "WANDB_ENTITY";
/// How many jobs at once.
pub const MAX_JOBS: &str = "WANDB_LAUNCH_MAX_JOBS";
/// The key of W&B.
pub const API_KEY: &str = "WANDB_API_KEY";
/// The server of W&B.
pub const BASE_URL: &str = "WANDB_BASE_URL";
/// The claim of a volume shared with kaniko.
pub const KANIKO_VOLUME: &str = "WANDB_LAUNCH_KANIKO_PVC_NAME";

/// A variable the agent reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it sets.
    pub about: &'static str,
    /// Whether its value is never shown.
    pub is_secret: bool,
}

const fn open(name: &'static str, about: &'static str) -> Variable {
    let is_secret = false;
    Variable {
        name,
        about,
        is_secret,
    }
}

const fn secret(name: &'static str, about: &'static str) -> Variable {
    let is_secret = true;
    Variable {
        name,
        about,
        is_secret,
    }
}

/// Every variable, in the order of the documentation.
pub const ALL: &[Variable] = &[
    secret(API_KEY, "the key of W&B"),
    open("NETRC", "the netrc file with that key"),
    open(
        "WANDB_IDENTITY_TOKEN_FILE",
        "a token of federated identity, instead of a key",
    ),
    open(
        "WANDB_CREDENTIALS_FILE",
        "where tokens exchanged for it are kept",
    ),
    open(BASE_URL, "the server of W&B"),
    open(ENTITY, "the user or team that owns the queues"),
    open(MAX_JOBS, "how many jobs at once; -1 has no limit"),
    open(
        "WANDB_LAUNCH_START_TIMEOUT",
        "seconds a run may take to start; 0 has no limit",
    ),
    open("WANDB_AGENT_VERSION", "the version the agent reports"),
    open("WANDB_HTTP_TIMEOUT", "seconds a request to W&B may take"),
    secret(
        "WANDB__EXTRA_HTTP_HEADERS",
        "headers of every request to W&B, as JSON",
    ),
    secret(
        "WANDB__PROXIES",
        "proxies to W&B by scheme (`https`, `http`, `all`), as JSON",
    ),
    secret("WANDB_HTTPS_PROXY", "the proxy to W&B over https"),
    secret("WANDB_HTTP_PROXY", "the proxy to W&B over http"),
    secret("HTTPS_PROXY", "the proxy for https, of every program"),
    secret("HTTP_PROXY", "the proxy for http, of every program"),
    secret("ALL_PROXY", "the proxy for both, of every program"),
    open("NO_PROXY", "the hosts that are reached without these three"),
    open(
        "WANDB_USERNAME",
        "the user on whose behalf requests are made",
    ),
    open("WANDB_USER_EMAIL", "the address of that user"),
    open(
        "WANDB_INSECURE_DISABLE_SSL",
        "whether certificates of W&B are not checked",
    ),
    open(
        "REQUESTS_CA_BUNDLE",
        "authorities to trust for W&B beside the system's, in PEM",
    ),
    open("SSL_CERT_FILE", "the system's authorities, in PEM"),
    open("SSL_CERT_DIR", "a directory of these"),
    open(
        "WANDB_RELEASE_NAME",
        "the Helm release, whose secret holds the key",
    ),
    open(
        "WANDB_LAUNCH_SERVICE_ACCOUNT_NAME",
        "whom a kaniko build acts for",
    ),
    open(KANIKO_VOLUME, "the claim of a volume shared with kaniko"),
    open(
        "WANDB_LAUNCH_KANIKO_PVC_MOUNT_PATH",
        "where that volume is mounted here",
    ),
    open(
        "WANDB_LAUNCH_KANIKO_AUTH_SECRET",
        "the secret with kaniko's logins",
    ),
    open(
        "WANDB_LAUNCH_CODE_PVC_NAME",
        "the claim of a volume code is shared by",
    ),
    open(
        "WANDB_LAUNCH_CODE_PVC_MOUNT_PATH",
        "where that volume is mounted here",
    ),
    open(
        "AWS_REGION",
        "the region of SageMaker without an environment",
    ),
    open(
        "GOOGLE_CLOUD_REGION",
        "the region of Vertex AI without an environment",
    ),
    open(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "the credentials of Google Cloud",
    ),
    open("GIT_PYTHON_GIT_EXECUTABLE", "the `git` program"),
];

/// What the variables say about the agent itself. Those with an effect elsewhere (cloud
/// credentials, volumes) are read there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variables {
    /// The server of W&B, if one is named.
    pub base_url: Option<RedactedUrl>,
    /// How long a run may take to start; `None` has no limit.
    pub start_timeout: Option<Duration>,
    /// The version the agent reports instead of its own.
    pub agent_version: Option<String>,
    /// How long a request to W&B may take, if something is said.
    pub http_timeout: Option<Duration>,
    /// Headers of every request to W&B.
    pub headers: BTreeMap<String, Secret>,
    /// Proxies to W&B by scheme (`https`, `http`, `all`); their URLs may hold passwords.
    pub proxies: BTreeMap<String, Secret>,
    /// The user on whose behalf requests are made.
    pub username: Option<String>,
    /// The address of that user.
    pub user_email: Option<String>,
    /// Whether certificates of W&B are not checked.
    pub is_insecure: bool,
    /// Authorities to trust for W&B beside the system's: a file, or a directory.
    pub authorities: Option<PathBuf>,
    /// Where tokens that were exchanged are kept, if something is said.
    pub credentials_file: Option<PathBuf>,
}

/// How long a run may take to start, if nothing is said.
pub const DEFAULT_START_TIMEOUT: Duration = Duration::from_mins(30);

/// The version of the Python agent whose protocol this is; servers see it.
pub const COMPATIBLE_VERSION: &str = "wandb@0.31.0";

/// What the official image sets as version, which says nothing.
const IMAGE_NAME: &str = "wandb-launch-agent";

impl Variables {
    /// Reads the variables. Empty ones are not there.
    ///
    /// # Errors
    /// A [`Report`] of every variable that cannot be used. The values of secrets are not
    /// shown.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Report> {
        let mut reader = Reader {
            lookup,
            problems: Vec::new(),
        };
        let version = reader.text("WANDB_AGENT_VERSION");
        let variables = Self {
            base_url: reader.base_url(),
            start_timeout: reader.start_timeout(),
            agent_version: version.filter(|version| version != IMAGE_NAME),
            http_timeout: reader.seconds("WANDB_HTTP_TIMEOUT"),
            headers: reader.texts("WANDB__EXTRA_HTTP_HEADERS"),
            proxies: reader.proxies(),
            username: reader.text("WANDB_USERNAME"),
            user_email: reader.text("WANDB_USER_EMAIL"),
            is_insecure: reader.flag("WANDB_INSECURE_DISABLE_SSL"),
            authorities: reader.text("REQUESTS_CA_BUNDLE").map(PathBuf::from),
            credentials_file: reader.text("WANDB_CREDENTIALS_FILE").map(PathBuf::from),
        };
        if reader.problems.is_empty() {
            return Ok(variables);
        }
        let spans = Spans::default();
        Err(Report::new("environment", "", reader.problems, &spans))
    }

    /// The version to report: what the environment says, else the one whose protocol we
    /// speak.
    pub fn reported_version(&self) -> &str {
        self.agent_version.as_deref().unwrap_or(COMPATIBLE_VERSION)
    }
}

struct Reader<L> {
    lookup: L,
    problems: Vec<Problem>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|text| !text.is_empty())
    }

    fn wrong(&mut self, name: &str, message: String) {
        let mut problem = Problem::new(ProblemKind::Value, "", message);
        let name = name.to_owned();
        problem.origin = Some(Box::new(Origin::Variable { name }));
        self.problems.push(problem);
    }

    fn base_url(&mut self) -> Option<RedactedUrl> {
        let text = self.text(BASE_URL)?;
        let url = Url::parse(&text).ok();
        let url = url.filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if url.is_none() {
            self.wrong(
                BASE_URL,
                format!("`{text}` is no URL that starts with `https://`"),
            );
        }
        url.map(RedactedUrl::new)
    }

    /// Zero and less have no limit.
    fn start_timeout(&mut self) -> Option<Duration> {
        let name = "WANDB_LAUNCH_START_TIMEOUT";
        let Some(text) = self.text(name) else {
            return Some(DEFAULT_START_TIMEOUT);
        };
        match text.trim().parse::<f64>() {
            Ok(seconds) if seconds.is_finite() && seconds < 1e9 => {
                (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
            }
            _ => {
                self.wrong(
                    name,
                    format!("expected a number of seconds, found `{text}`"),
                );
                None
            }
        }
    }

    fn seconds(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name)?;
        let seconds = text.trim().parse().ok().filter(|seconds| *seconds > 0);
        if seconds.is_none() {
            let message = format!("expected a whole number of seconds, found `{text}`");
            self.wrong(name, message);
        }
        seconds.map(Duration::from_secs)
    }

    fn texts(&mut self, name: &str) -> BTreeMap<String, Secret> {
        let Some(text) = self.text(name) else {
            return BTreeMap::new();
        };
        let read = serde_json::from_str::<BTreeMap<String, Value>>(&text);
        let texts = read.ok().and_then(|map| {
            let secret = |(key, value): (String, Value)| match value {
                Value::String(text) => Some((key, Secret::new(text))),
                _ => None,
            };
            map.into_iter().map(secret).collect()
        });
        texts.unwrap_or_else(|| {
            self.wrong(name, "expected a JSON mapping of texts".to_owned());
            BTreeMap::new()
        })
    }

    /// Those of the mapping; a variable of its own beats it.
    fn proxies(&mut self) -> BTreeMap<String, Secret> {
        let mut proxies = self.texts("WANDB__PROXIES");
        for (scheme, name) in [("https", "WANDB_HTTPS_PROXY"), ("http", "WANDB_HTTP_PROXY")] {
            if let Some(url) = self.text(name) {
                proxies.insert(scheme.to_owned(), Secret::new(url));
            }
        }
        proxies
    }

    fn flag(&mut self, name: &str) -> bool {
        let Some(text) = self.text(name) else {
            return false;
        };
        match text.to_lowercase().as_str() {
            "1" | "t" | "true" | "y" | "yes" | "on" => true,
            "0" | "f" | "false" | "n" | "no" | "off" => false,
            _ => {
                self.wrong(name, format!("expected true or false, found `{text}`"));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Variables, Report> {
        Variables::read(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_said_is_read() {
        let variables = read(&[
            ("WANDB_BASE_URL", "https://w.example.com"),
            ("WANDB_LAUNCH_START_TIMEOUT", "12.5"),
            ("WANDB_AGENT_VERSION", "wandb-launch-agent"),
            ("WANDB_HTTP_TIMEOUT", "7"),
            ("WANDB__EXTRA_HTTP_HEADERS", "{\"x-team\": \"planted\"}"),
            ("WANDB_INSECURE_DISABLE_SSL", "True"),
            ("WANDB__PROXIES", "{\"http\": \"a\", \"https\": \"b\"}"),
            ("WANDB_HTTPS_PROXY", "http://u:planted@proxy"),
        ])
        .unwrap();
        assert_eq!(variables.proxies["http"].expose(), "a");
        assert_eq!(
            variables.proxies["https"].expose(),
            "http://u:planted@proxy"
        );
        assert_eq!(variables.start_timeout, Some(Duration::from_millis(12_500)));
        assert_eq!(variables.reported_version(), COMPATIBLE_VERSION);
        assert_eq!(variables.headers["x-team"].expose(), "planted");
        assert!(variables.is_insecure);
        assert!(!format!("{variables:?}").contains("planted"));
        let none = read(&[("WANDB_BASE_URL", "")]).unwrap();
        assert_eq!(none.start_timeout, Some(DEFAULT_START_TIMEOUT));
        assert_eq!(none.base_url, None);
        let endless = read(&[("WANDB_LAUNCH_START_TIMEOUT", "-1")]).unwrap();
        assert_eq!(endless.start_timeout, None);
    }

    #[test]
    fn every_wrong_one_is_named_and_no_secret_shown() {
        let report = read(&[
            ("WANDB_BASE_URL", "api.wandb.ai"),
            ("WANDB_LAUNCH_START_TIMEOUT", "soon"),
            ("WANDB_HTTP_TIMEOUT", "0"),
            ("WANDB__PROXIES", "planted"),
            ("WANDB_INSECURE_DISABLE_SSL", "perhaps"),
        ])
        .unwrap_err();
        assert_eq!(report.problems.len(), 5, "{report}");
        assert!(!report.to_string().contains("planted"));
        assert!(
            report
                .to_string()
                .contains("$WANDB_LAUNCH_START_TIMEOUT: error: ")
        );
    }

    #[test]
    fn names_are_listed_once() {
        let mut names: Vec<_> = ALL.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
