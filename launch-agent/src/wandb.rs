//! The server of W&B, as the agent's settings name it.

mod artifacts;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_builder::source::artifact::ArtifactStore;
use launch_config::agent::variables::Variables;
use launch_config::env::RunContext;
use launch_config::id::{JobId, QueueName};
use launch_config::secret::Secret;
use launch_config::wandb_ref::ArtifactRef;
use launch_queue::Error;
use launch_queue::job::{Hold, Job};
use launch_queue::wandb::{Identity, KeySource, WandbOptions, WandbQueue, item_id};
use url::Url;

use self::artifacts::Artifacts;
use crate::credential::{self, DEFAULT_SERVER};
use crate::failure::{Failure, one_line};
use crate::server::{Server, Sweep};
use crate::settings::{Settings, variable};
use crate::state::private_dir;

/// How often an idle agent asks for jobs, if the agent file says nothing.
const POLL: Duration = Duration::from_secs(10);

/// The queues of a server, and what else it knows.
#[derive(Debug)]
pub(crate) struct Wandb {
    queue: Arc<WandbQueue>,
    base_url: Url,
    keys: Option<Arc<Keys>>,
    interval: Duration,
}

/// The key, from where the settings have it; read anew whenever the server refuses it.
#[derive(Debug)]
struct Keys {
    file: Option<PathBuf>,
    variables: Variables,
}

impl KeySource for Keys {
    fn key(&self) -> io::Result<Secret> {
        if let Some(file) = &self.file {
            let text = fs_err::read_to_string(file)?;
            return Ok(Secret::new(text.trim()));
        }
        match credential::api_key(&self.variables, variable) {
            Ok(Some(found)) => Ok(found.key.secret().clone()),
            Ok(None) => Err(io::Error::other(
                "no API key: neither $WANDB_API_KEY nor netrc has one",
            )),
            Err(failure) => Err(io::Error::other(failure.chain.join(": "))),
        }
    }
}

impl Wandb {
    /// Prepares the connection. The server is not asked yet.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Failure> {
        let variables = Variables::read(variable)?;
        let base_url = base_url(settings, &variables)?;
        let (identity, keys) = identity(settings, &variables)?;
        let entity = settings.config.entity.clone().unwrap_or_default();
        let directory = settings.state.wandb(&base_url, &entity);
        private_dir(&directory)?;
        let interval = settings.config.backend.poll_interval.unwrap_or(POLL);
        let options = WandbOptions::new(entity, identity)
            .with_base_url(base_url.clone())
            .with_hostname(host())
            .with_agent_config(settings.registration.clone())
            .with_directory(directory)
            .with_poll_interval(interval);
        let options = with_transport(with_variables(options, &variables), &variables);
        let queue = WandbQueue::connect(options)?;
        Ok(Self {
            queue: Arc::new(queue),
            base_url,
            keys,
            interval,
        })
    }

    pub(crate) fn queue(&self) -> Arc<WandbQueue> {
        Arc::clone(&self.queue)
    }
}

/// The agent file's server, else that of the environment, else W&B's cloud.
fn base_url(settings: &Settings, variables: &Variables) -> Result<Url, Failure> {
    let named = settings.config.backend.base_url.as_ref();
    match named.or(variables.base_url.as_ref()) {
        Some(url) => Ok(url.expose().clone()),
        None => {
            Url::parse(DEFAULT_SERVER).map_err(|error| Failure::doing("no server of W&B", &error))
        }
    }
}

/// What the environment says of requests.
fn with_variables(options: WandbOptions, variables: &Variables) -> WandbOptions {
    let user = |text: &Option<String>| text.clone().unwrap_or_default();
    let headers = variables.headers.iter();
    let options = options
        .with_version(variables.reported_version())
        .with_user(user(&variables.username), user(&variables.user_email))
        .with_headers(headers.map(|(n, v)| (n.clone(), v.clone())).collect());
    match variables.http_timeout {
        Some(timeout) => options.with_request_timeout(timeout).with_patience(timeout),
        None => options,
    }
}

/// What the environment says of the way to the server.
fn with_transport(options: WandbOptions, variables: &Variables) -> WandbOptions {
    if variables.is_insecure {
        tracing::warn!(
            "whoever is between can read and change what goes to W&B and comes from it, keys \
             included: its certificate is not checked (WANDB_INSECURE_DISABLE_SSL)"
        );
    }
    let options = options
        .with_proxies(variables.proxies.clone())
        .with_insecure(variables.is_insecure);
    let options = match &variables.authorities {
        Some(path) => options.with_authorities(path),
        None => options,
    };
    match variables.credentials_file.clone().or_else(token_cache) {
        Some(path) => options.with_token_cache(path),
        None => options,
    }
}

/// Where W&B's library keeps exchanged tokens, too.
fn token_cache() -> Option<PathBuf> {
    let home = variable("HOME").filter(|home| !home.is_empty())?;
    Some(Path::new(&home).join(".config/wandb/credentials.json"))
}

/// A token of federated identity if one is named, else a key.
fn identity(
    settings: &Settings,
    variables: &Variables,
) -> Result<(Identity, Option<Arc<Keys>>), Failure> {
    let backend = &settings.config.backend;
    let named = backend.identity_token_file.clone();
    let token = named.or_else(|| variable("WANDB_IDENTITY_TOKEN_FILE").map(PathBuf::from));
    let file = backend.api_key_file.clone();
    if let (Some(token), None) = (token, &file) {
        return Ok((Identity::TokenFile(token), None));
    }
    let variables = variables.clone();
    let keys = Arc::new(Keys { file, variables });
    keys.key().map_err(|error| {
        Failure::doing("backend `wandb` has no key", &error)
            .by_user()
            .with_hint("set WANDB_API_KEY, or `backend.api-key-file` in the agent file")
    })?;
    let source: Arc<dyn KeySource> = Arc::<Keys>::clone(&keys);
    Ok((Identity::Keys(source), Some(keys)))
}

fn host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[async_trait]
impl Server for Wandb {
    fn describe(&self, context: RunContext, job: &Job) -> RunContext {
        let key = self.keys.as_ref().and_then(|keys| keys.key().ok());
        let address = self.base_url.as_str().trim_end_matches('/');
        let mut context = context.with_server(address, key);
        let entity = self.queue.entity().map(str::to_owned);
        if let Some(item) = item_id(&job.id).and_then(|item| item.parse().ok()) {
            (context.queue_entity, context.job) = (entity, Some(item));
        } else {
            // Launched by hand: no queue of the server's had it.
            (context.queue, context.job) = (None, None);
        }
        context
    }

    async fn register(&self, queues: &[QueueName]) -> Result<(), Error> {
        self.queue.register(queues).await
    }

    async fn beat(&self) -> Result<bool, Error> {
        self.queue.beat().await?;
        Ok(self.queue.is_asked_to_stop())
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    async fn leave(&self) {
        if let Err(error) = self.queue.leave().await {
            tracing::warn!(
                error = one_line(&error),
                "the server does not know that we end"
            );
        }
    }

    fn let_go(&self, hold: &Hold) {
        if let Err(error) = self.queue.let_go(hold) {
            tracing::warn!(error = one_line(&error), "an item stays written down");
        }
    }

    fn keep_log(&self, job: &JobId, log: &Path) {
        if let Err(error) = self.queue.keep_log(job, log) {
            tracing::warn!(error = one_line(&error), "a failure would have no log");
        }
    }

    async fn sweep_state(&self, sweep: &Sweep<'_>) -> Result<Option<String>, Error> {
        let Sweep {
            entity,
            project,
            name,
        } = sweep;
        self.queue.sweep_state(entity, project, name).await
    }

    async fn cancel_sweep(&self, sweep: &Sweep<'_>) -> Result<(), Error> {
        let Sweep {
            entity,
            project,
            name,
        } = sweep;
        self.queue.cancel_sweep(entity, project, name).await
    }

    async fn kind_of(&self, artifact: &ArtifactRef) -> Result<Option<String>, Error> {
        let found = self.queue.artifact(artifact).await?;
        Ok(found.map(|artifact| artifact.kind))
    }

    async fn name_of(&self, artifact: &ArtifactRef) -> Result<Option<String>, Error> {
        self.queue.artifact_name(artifact).await
    }

    fn artifacts(&self) -> Arc<dyn ArtifactStore> {
        Arc::new(Artifacts::new(self.queue()))
    }
}
