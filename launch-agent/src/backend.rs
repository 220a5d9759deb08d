//! Where the queues are: the one place that opens them.

use std::sync::Arc;
use std::time::Duration;

use launch_config::agent::BackendKind;
use launch_queue::QueueAdmin;
use tokio::sync::watch;

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
use crate::app::feature_off;
use crate::failure::Failure;
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
}

impl Backend {
    /// Opens the backend of the agent file; the embedded queue if it names none.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Failure> {
        match settings.config.backend.kind {
            None | Some(BackendKind::Sqlite) => Self::sqlite(settings).await,
            Some(BackendKind::Postgres) => Self::postgres(settings).await,
            Some(other) => Err(Failure::usage(format!(
                "backend `{}` is not in this version of the program",
                other.as_str()
            ))
            .with_hint("`backend: {type: sqlite}` and `backend: {type: postgres}` are")),
        }
    }

    #[cfg(feature = "sqlite")]
    async fn sqlite(settings: &Settings) -> Result<Self, Failure> {
        settings.state.create()?;
        let path = settings.config.backend.path.clone();
        let path = path.unwrap_or_else(|| settings.state.queue());
        let queue = launch_queue::sqlite::SqliteQueue::open(path).await?;
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
        let queue = launch_queue::postgres::PostgresQueue::connect(&url).await?;
        let arrivals = Some(queue.arrivals());
        Ok(Self {
            queue: Arc::new(queue),
            arrivals,
            poll: POLL_WITH_HINTS,
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
