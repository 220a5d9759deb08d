//! `run`: the agent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use launch_config::agent::{self, Flags};
use launch_config::id::QueueName;

use super::spec::BuilderArg;
use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::{Global, LogFormat};
use crate::service::{Plan, Service};
use crate::settings::{self, Settings, variable};
use crate::shutdown::Shutdown;

/// Poll queues and run their jobs until told to stop.
///
/// SIGINT or SIGTERM: lease nothing new and let work finish for the grace period; what is
/// left then goes on without the agent, and the next one finds it again. A second signal
/// cancels the runs.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A queue to poll; more than one by repeating it
    #[arg(short = 'q', long = "queue", value_name = "QUEUE")]
    queues: Vec<QueueName>,
    /// The user or team that owns the queues
    #[arg(short = 'e', long)]
    entity: Option<String>,
    /// How many jobs at once; -1 has no limit
    #[arg(short = 'j', long, value_name = "N", allow_negative_numbers = true)]
    max_jobs: Option<i64>,
    /// The agent's configuration [default: ~/.config/wandb/launch-config.yaml]
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say more; twice for everything
    #[arg(short = 'v', action = clap::ArgAction::Count)]
    pub(crate) verbose_too: u8,
    #[command(flatten)]
    builder: BuilderArg,
    /// End with 0 when the queues are empty and every job has ended
    #[arg(long)]
    drain: bool,
    /// Seconds that work may go on after the first signal
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    grace: u64,
}

impl Run {
    /// How the agent file wants the log, before anything is logged. What is wrong with the
    /// file is told when it is read to be used.
    pub(crate) fn log_format(&self) -> Option<LogFormat> {
        let read = settings::read(self.config.as_deref(), &Flags::new(), variable).ok()?;
        let wanted = read.checked.value.config.observability.log_format?;
        Some(match wanted {
            agent::LogFormat::Json => LogFormat::Json,
            _ => LogFormat::Text,
        })
    }

    pub(crate) async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let names = self.queues.iter().map(|queue| queue.as_str().to_owned());
        let flags = Flags::new()
            .with_entity(self.entity)
            .with_max_jobs(self.max_jobs)
            .with_queues(names.collect());
        let mut settings = Settings::resolve_with(global, self.config.as_deref(), &flags)?;
        settings.builder = self.builder.builder;
        if let Some(note) = settings.backend_note() {
            tracing::warn!("{note}");
        }
        let queues = settings.queues();
        let slots = settings.config.slots();
        let scheduler_slots = settings.config.scheduler_slots();
        let grace = Duration::from_secs(self.grace);
        let plan = Plan {
            queues,
            slots,
            scheduler_slots,
            drain: self.drain,
            grace,
        };
        let shutdown = Shutdown::listen(|text| tracing::info!("{text}"))?;
        let app = Arc::new(App::build(settings).await?);
        tracing::info!(queues = ?plan.queues.iter().map(QueueName::as_str).collect::<Vec<_>>(), slots = ?plan.slots, worker = %app.worker, "agent starts");
        let tally = Service::start(app, plan, shutdown).await?.run().await?;
        tracing::info!(
            succeeded = tally.succeeded,
            failed = tally.failed,
            left = tally.left,
            lost = tally.lost,
            put_back = tally.put_back,
            "agent ends"
        );
        Ok(Exit::Done)
    }
}
