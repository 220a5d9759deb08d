//! What a server knows beside its queue, and is told beside its jobs: so far, W&B's alone.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_builder::source::artifact::ArtifactStore;
use launch_config::env::RunContext;
use launch_config::id::{JobId, QueueName};
use launch_config::wandb_ref::ArtifactRef;
use launch_queue::Error;
use launch_queue::job::{Hold, Job};

/// A server with runs, sweeps and artifacts.
#[async_trait]
pub(crate) trait Server: Debug + Send + Sync {
    /// What the environment of a job's run says of the server.
    fn describe(&self, context: RunContext, job: &Job) -> RunContext;

    /// Makes the agent known for these queues.
    async fn register(&self, queues: &[QueueName]) -> Result<(), Error>;

    /// Says that the agent lives; answers whether somebody wants it to stop.
    async fn beat(&self) -> Result<bool, Error>;

    /// How often to say it.
    fn interval(&self) -> Duration;

    /// Says that the agent is gone: the last thing it says.
    async fn leave(&self);

    /// Lets a job go that was leased and not claimed.
    fn let_go(&self, hold: &Hold);

    /// Says where the output of a job's run is, for its failure.
    fn keep_log(&self, job: &JobId, log: &Path);

    /// The state of a sweep, in the server's words.
    async fn sweep_state(&self, sweep: &Sweep<'_>) -> Result<Option<String>, Error>;

    /// Ends a sweep whose scheduler failed.
    async fn cancel_sweep(&self, sweep: &Sweep<'_>) -> Result<(), Error>;

    /// What an artifact is: `job`, `code` …; nothing if there is none.
    async fn kind_of(&self, artifact: &ArtifactRef) -> Result<Option<String>, Error>;

    /// The whole name of an artifact, with its version; nothing if the server has none.
    async fn name_of(&self, artifact: &ArtifactRef) -> Result<Option<String>, Error>;

    /// Where artifacts come from.
    fn artifacts(&self) -> Arc<dyn ArtifactStore>;
}

/// A sweep by its names.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "wandb"),
    expect(dead_code, reason = "W&B's server reads them")
)]
pub(crate) struct Sweep<'a> {
    pub(crate) entity: &'a str,
    pub(crate) project: &'a str,
    pub(crate) name: &'a str,
}
