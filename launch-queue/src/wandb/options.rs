//! Which server, as whom.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use launch_config::secret::Secret;
use serde_json::Value;
use url::Url;

/// The project that holds the queues of an entity.
pub const QUEUE_PROJECT: &str = "model-registry";

/// The server of W&B's public cloud.
pub const PUBLIC_SERVER: &str = "https://api.wandb.ai";

/// How to connect to a W&B server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WandbOptions {
    /// The server: [`PUBLIC_SERVER`] unless told otherwise.
    pub base_url: Url,
    /// What proves who we are.
    pub identity: Identity,
    /// The user or team whose queues are polled; empty is the identity's own user.
    pub entity: String,
    /// The project of the queues: [`QUEUE_PROJECT`].
    pub project: String,
    /// The name of this host, for people.
    pub hostname: String,
    /// The agent's configuration, for people: the app shows it. Must hold no secrets.
    pub agent_config: Value,
    /// The version the agent reports.
    pub version: String,
    /// The user on whose behalf requests are made, and the address: sent as headers.
    pub user: (String, String),
    /// More headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// Proxies by the scheme of what is asked for: `https`, `http`, or `all`. For a scheme
    /// without one, what the environment says to every program counts.
    pub proxies: BTreeMap<String, Secret>,
    /// Certificates of authorities to trust beside the system's: a file in PEM, or a
    /// directory of such.
    pub authorities: Option<PathBuf>,
    /// Whether the server's certificate is taken whatever it says.
    pub is_insecure: bool,
    /// Where tokens that were exchanged are kept for other processes, as W&B's library does.
    pub token_cache: Option<PathBuf>,
    /// Where the agent's id and the items in hand are written down, so that they are known
    /// after a crash. Processes may share it.
    pub directory: Option<PathBuf>,
    /// How often an idle agent asks for jobs: 10 s.
    pub poll_interval: Duration,
    /// How long one request may take: 20 s.
    pub request_timeout: Duration,
    /// How long a repeatable request is tried: 20 s.
    pub patience: Duration,
    /// How long a run that ended well may take to appear at the server: 63 s.
    pub start_grace: Duration,
}

/// What proves to a server who we are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Identity {
    /// An API key.
    ApiKey(Secret),
    /// A place with an API key, asked anew when the server refuses the one it gave.
    Keys(Arc<dyn KeySource>),
    /// A file with a token of another identity provider, which the server exchanges for
    /// one of its own. Read anew for each exchange.
    TokenFile(PathBuf),
}

/// A place with an API key. Keys are rotated: a file is replaced while the agent runs.
pub trait KeySource: fmt::Debug + Send + Sync + 'static {
    /// The key that is there now.
    ///
    /// # Errors
    /// Why there is none, without the key's text.
    fn key(&self) -> std::io::Result<Secret>;
}

impl WandbOptions {
    /// The queues of `entity` at the public server.
    ///
    /// # Panics
    /// Never: the address is a constant.
    pub fn new(entity: impl Into<String>, identity: Identity) -> Self {
        Self {
            base_url: Url::parse(PUBLIC_SERVER).expect("a constant URL"),
            identity,
            entity: entity.into(),
            project: QUEUE_PROJECT.to_owned(),
            hostname: "localhost".to_owned(),
            agent_config: Value::Null,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            user: Default::default(),
            headers: Vec::new(),
            proxies: BTreeMap::new(),
            authorities: None,
            is_insecure: false,
            token_cache: None,
            directory: None,
            poll_interval: Duration::from_secs(10),
            request_timeout: Duration::from_secs(20),
            patience: Duration::from_secs(20),
            start_grace: Duration::from_secs(63),
        }
    }

    /// Asks another server.
    #[must_use]
    pub fn with_base_url(mut self, url: Url) -> Self {
        self.base_url = url;
        self
    }

    /// Says on which host the agent runs.
    #[must_use]
    pub fn with_hostname(mut self, hostname: impl Into<String>) -> Self {
        self.hostname = hostname.into();
        self
    }

    /// Shows a configuration in the app.
    #[must_use]
    pub fn with_agent_config(mut self, config: Value) -> Self {
        self.agent_config = config;
        self
    }

    /// Reports this version.
    #[must_use]
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Says on whose behalf requests are made.
    #[must_use]
    pub fn with_user(mut self, name: impl Into<String>, email: impl Into<String>) -> Self {
        self.user = (name.into(), email.into());
        self
    }

    /// Sends more headers with every request.
    #[must_use]
    pub fn with_headers(mut self, headers: Vec<(String, Secret)>) -> Self {
        self.headers = headers;
        self
    }

    /// Reaches the server through proxies, by scheme.
    #[must_use]
    pub fn with_proxies(mut self, proxies: BTreeMap<String, Secret>) -> Self {
        self.proxies = proxies;
        self
    }

    /// Trusts more authorities than the system does.
    #[must_use]
    pub fn with_authorities(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities = Some(path.into());
        self
    }

    /// Says whether the server's certificate is taken whatever it says: whoever is between
    /// can then read and change everything, keys included.
    #[must_use]
    pub fn with_insecure(mut self, is_insecure: bool) -> Self {
        self.is_insecure = is_insecure;
        self
    }

    /// Keeps exchanged tokens in a file.
    #[must_use]
    pub fn with_token_cache(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_cache = Some(path.into());
        self
    }

    /// The server's address without a slash at its end.
    pub(super) fn server(&self) -> &str {
        self.base_url.as_str().trim_end_matches('/')
    }

    /// Writes the agent's id and the items in hand down in a directory.
    #[must_use]
    pub fn with_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets how often an idle agent asks for jobs.
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Sets how long one request may take.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Sets how long requests are tried.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how long a run may take to appear at the server.
    #[must_use]
    pub fn with_start_grace(mut self, grace: Duration) -> Self {
        self.start_grace = grace;
        self
    }
}
