//! `submit`: enqueue one job and print its id.

use std::time::Duration;

use clap::Args;
use launch_config::agent::DEFAULT_QUEUE;
use launch_config::id::{JobId, QueueName};
use launch_queue::job::EnqueueRequest;
use serde_json::json;

use super::spec::SpecArgs;
use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::printer::Printer;
use crate::settings::Settings;

/// Enqueue one job and print its id.
#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    spec: SpecArgs,
    /// The queue
    #[arg(short = 'q', long, default_value = DEFAULT_QUEUE)]
    queue: QueueName,
    /// The job's id: submitting it twice is one job
    #[arg(long)]
    id: Option<JobId>,
    /// Seconds before the job may be leased
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    not_before: u64,
}

impl Submit {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let (value, _) = self.spec.to_spec()?;
        let queue = App::open_queue(&Settings::resolve(global, None)?).await?;
        let mut request = EnqueueRequest::new(self.queue.clone(), value)
            .with_priority(self.spec.priority())
            .with_template_values(self.spec.template_values())
            .with_not_before(Duration::from_secs(self.not_before));
        request.id = self.id;
        let id = queue.enqueue(request).await?;
        printer.answer(&json!({"job": id, "queue": self.queue}), || id.to_string())?;
        Ok(Exit::Done)
    }
}
