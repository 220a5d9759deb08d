//! Where the queues are: the one place that opens them.

use std::sync::Arc;
use std::time::Duration;

use launch_config::agent::BackendKind;
#[cfg(feature = "wandb")]
use launch_config::agent::DEFAULT_STOP_TIMEOUT;
use launch_queue::QueueAdmin;
use tokio::sync::watch;

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "wandb")))]
use crate::app::feature_off;
use crate::failure::Failure;
use crate::server::Server;
use crate::settings::Settings;

/// How long an idle agent waits before it looks again, where nothing says when something
/// arrives. The embedded queue answers in well under a millisecond, so this is below a
/// thousandth of a core.
#[cfg(feature = "sqlite")]
const POLL: Duration = Duration::from_millis(250);

/// The same for a queue that says when something arrives: what is left to find are jobs
/// whose time has come, and hints that were lost.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const POLL_WITH_HINTS: Duration = Duration::from_secs(2);

/// The queues, and how to wait for them.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) queue: Arc<dyn QueueAdmin>,
    /// Changes when something may have arrived, if the queue tells.
    pub(crate) arrivals: Option<watch::Receiver<u64>>,
    /// How long to wait before asking again.
    pub(crate) poll: Duration,
    /// What the queue's server knows besides, if it has one.
    pub(crate) server: Option<Arc<dyn Server>>,
    /// How long a run that somebody asked to stop may take to end by itself: W&B's library
    /// hears of the wish, too. Other queues tell nobody but us.
    pub(crate) stop_grace: Duration,
}

impl Backend {
    /// Opens the backend of the settings.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        match settings.backend() {
            BackendKind::Sqlite => Self::sqlite(settings).await,
            BackendKind::Postgres => Self::postgres(settings).await,
            BackendKind::Wandb => Self::wandb(settings),
            other => Err(Failure::usage(format!(
                "backend `{}` is not in this version of the program",
                other.as_str()
            ))
            .with_hint("`backend: {type: sqlite}` is")),
        }
    }

    /// Opens the queue of jobs that are launched by hand: the embedded one, where the queues
    /// are W&B's, with W&B's server beside it.
    pub(crate) async fn open_direct(settings: &Settings) -> Result<Self, Failure> {
        if settings.backend() != BackendKind::Wandb {
            return Self::open(settings).await;
        }
        let server = Self::wandb(settings)?.server;
        let embedded = Self::sqlite(settings).await?;
        Ok(Self { server, ..embedded })
    }

    #[cfg(feature = "wandb")]
    fn wandb(settings: &Settings) -> Result<Self, Failure> {
        settings.state.create()?;
        let wandb = crate::wandb::Wandb::open(settings)?;
        let seconds = settings.config.stopped_run_timeout;
        let seconds = seconds.unwrap_or(DEFAULT_STOP_TIMEOUT);
        Ok(Self {
            queue: wandb.queue(),
            arrivals: None,
            // The queue asks the server at its own pace; looking is free.
            poll: (wandb.interval() / 10).max(Duration::from_millis(10)),
            stop_grace: Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
            server: Some(Arc::new(wandb)),
        })
    }

    #[cfg(not(feature = "wandb"))]
    fn wandb(_settings: &Settings) -> Result<Self, Failure> {
        Err(feature_off("backend `wandb`", "wandb"))
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(settings: &Settings) -> Result<Self, Failure> {
        settings.state.create()?;
        let path = settings.config.backend.path.clone();
        let path = path.unwrap_or_else(|| settings.state.queue());
        let mut options = launch_queue::sqlite::SqliteOptions::default()
            .with_most_ended(settings.config.backend.keep_jobs);
        options.retention = settings
            .config
            .backend
            .retention()
            .unwrap_or(options.retention);
        let queue = launch_queue::sqlite::SqliteQueue::open_with(path, options).await?;
        let arrivals = queue.arrivals();
        let poll = if arrivals.is_some() {
            POLL_WITH_HINTS
        } else {
            POLL
        };
        Ok(Self {
            queue: Arc::new(queue),
            arrivals,
            poll,
            server: None,
            stop_grace: Duration::ZERO,
        })
    }

    #[cfg(not(feature = "sqlite"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    async fn sqlite(_settings: &Settings) -> Result<Self, Failure> {
        Err(feature_off("the embedded queue", "sqlite"))
    }

    #[cfg(feature = "postgres")]
    async fn postgres(settings: &Settings) -> Result<Self, Failure> {
        use launch_config::secret::Secret;

        let backend = &settings.config.backend;
        let url = match (&backend.url, &backend.url_file) {
            (Some(url), _) => Secret::new(url.expose().as_str()),
            (None, Some(file)) => Secret::new(fs_err::read_to_string(file)?.trim()),
            (None, None) => {
                return Err(Failure::usage("backend `postgres` has no `url`")
                    .with_hint("`backend: {type: postgres, url: postgres://…}`"));
            }
        };
        crate::masking::secret(&url);
        crate::masking::url(url.expose());
        let mut options =
            launch_queue::postgres::PostgresOptions::default().with_most_ended(backend.keep_jobs);
        options.retention = backend.retention().unwrap_or(options.retention);
        let queue = launch_queue::postgres::PostgresQueue::connect_with(&url, options).await?;
        let arrivals = Some(queue.arrivals());
        Ok(Self {
            queue: Arc::new(queue),
            arrivals,
            poll: POLL_WITH_HINTS,
            server: None,
            stop_grace: Duration::ZERO,
        })
    }

    #[cfg(not(feature = "postgres"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    async fn postgres(_settings: &Settings) -> Result<Self, Failure> {
        Err(feature_off("backend `postgres`", "postgres"))
    }
}
