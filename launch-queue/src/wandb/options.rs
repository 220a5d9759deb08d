//! Which server, as whom.

use std::path::PathBuf;
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
    /// The user or team whose queues are polled.
    pub entity: String,
    /// The project of the queues: [`QUEUE_PROJECT`].
    pub project: String,
    /// The name of this host, for people.
    pub hostname: String,
    /// The agent's configuration, for people: the app shows it. Must hold no secrets.
    pub agent_config: Value,
    /// Where the items in hand are written down, so that they are known after a crash.
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
    /// A file with a token of another identity provider, which the server exchanges for
    /// one of its own. Read anew for each exchange.
    TokenFile(PathBuf),
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

    /// Writes the items in hand down in a directory.
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
