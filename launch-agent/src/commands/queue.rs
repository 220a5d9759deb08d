//! `queue`: make queues and look into them.

use clap::Subcommand;
use launch_config::id::{JobId, QueueName};
use launch_queue::QueueAdmin;
use launch_queue::job::{Cancelled, JobRecord, QueueRecord};
use launch_queue::settings::QueueSettings;
use serde_json::json;

use super::spec::text_or_file;
use crate::app::App;
use crate::clock::show;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::masking;
use crate::printer::{Printer, table};
use crate::settings::Settings;

/// Make queues and look into them.
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// Make a queue
    Create {
        /// Its name
        queue: QueueName,
    },
    /// Set what a queue allows: resource, arguments, template variables, order
    Configure {
        /// Its name; made if there is none
        queue: QueueName,
        /// The settings, as JSON text or a JSON or YAML file; `queue show` has their form
        #[arg(value_name = "JSON|FILE")]
        settings: String,
    },
    /// Give no jobs out until `resume`
    Pause {
        /// Its name
        queue: QueueName,
    },
    /// Give jobs out again
    Resume {
        /// Its name
        queue: QueueName,
    },
    /// List the queues
    List,
    /// Show one queue
    Show {
        /// Its name
        queue: QueueName,
    },
    /// List the jobs of a queue, newest first, or show one job
    Items {
        /// The queue
        queue: QueueName,
        /// Only this job, with its reports and outcome
        #[arg(long)]
        job: Option<JobId>,
        /// How many jobs at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Ask for a job to end
    Cancel {
        /// The job
        job: JobId,
    },
}

impl Queue {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let queue = App::open_queue(&Settings::resolve(global, None)?).await?;
        match self {
            Self::Create { queue: name } => {
                queue.create(&name).await?;
                printer.answer(&json!({"queue": name}), || name.to_string())?;
            }
            Self::Configure {
                queue: name,
                settings,
            } => configure(&*queue, &name, &settings, printer).await?,
            Self::Pause { queue: name } => pause(&*queue, &name, true, printer).await?,
            Self::Resume { queue: name } => pause(&*queue, &name, false, printer).await?,
            Self::List => {
                let records = queue.queues().await?;
                printer.answer(&records, || queue_table(&records))?;
            }
            Self::Show { queue: name } => {
                let record = find(&*queue, &name).await?;
                printer.answer(&record, || queue_text(&record))?;
            }
            Self::Items {
                queue: name,
                job: Some(id),
                ..
            } => {
                let record = queue
                    .job(&id)
                    .await?
                    .filter(|record| record.job.queue == name);
                let missing =
                    || Failure::usage(format!("there is no job `{id}` in queue `{name}`"));
                let record = record.ok_or_else(missing)?;
                masking::spec(&record.job.spec);
                printer.answer(&record, || job_text(&record))?;
            }
            Self::Items {
                queue: name, limit, ..
            } => {
                find(&*queue, &name).await?;
                let records = queue.jobs(&name, limit).await?;
                for record in &records {
                    masking::spec(&record.job.spec);
                }
                printer.answer(&records, || job_table(&records))?;
            }
            Self::Cancel { job } => cancel(&*queue, &job, printer).await?,
        }
        Ok(Exit::Done)
    }
}

async fn find(queue: &dyn QueueAdmin, name: &QueueName) -> Result<QueueRecord, Failure> {
    let record = queue
        .queues()
        .await?
        .into_iter()
        .find(|record| record.name == *name);
    record.ok_or_else(|| {
        Failure::usage(format!("there is no queue `{name}`"))
            .with_hint("`launch-agent queue list` lists the queues")
    })
}

async fn configure(
    queue: &dyn QueueAdmin,
    name: &QueueName,
    settings: &str,
    printer: &Printer,
) -> Result<(), Failure> {
    let given = serde_json::Value::Object(text_or_file(settings)?);
    let settings: QueueSettings = serde_json::from_value(given).map_err(|error| {
        Failure::usage(format!("settings of queue `{name}`: {error}"))
            .with_hint("`launch-agent queue show --output json` prints settings as they are given")
    })?;
    queue.configure(name, settings).await?;
    let record = find(queue, name).await?;
    printer.answer(&record, || queue_text(&record))
}

async fn pause(
    queue: &dyn QueueAdmin,
    name: &QueueName,
    paused: bool,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut settings = find(queue, name).await?.settings;
    settings.paused = paused;
    queue.configure(name, settings).await?;
    let state = if paused { "paused" } else { "open" };
    printer.answer(&json!({"queue": name, "paused": paused}), || {
        format!("queue `{name}` is {state}")
    })
}

/// A queue with its settings, those that say something.
fn queue_text(record: &QueueRecord) -> String {
    let mut text = queue_table(std::slice::from_ref(record));
    let settings = serde_json::to_value(&record.settings).unwrap_or_default();
    for (key, value) in settings.as_object().into_iter().flatten() {
        text += &format!("{key}: {value}\n");
    }
    text
}

async fn cancel(queue: &dyn QueueAdmin, job: &JobId, printer: &Printer) -> Result<(), Failure> {
    let cancelled = queue.cancel(job).await.map_err(|error| match error {
        launch_queue::Error::Unknown(_) => Failure::from(error).by_user(),
        error => error.into(),
    })?;
    let text = match cancelled {
        Cancelled::Ended => "cancelled before it was leased",
        Cancelled::Requested => "its agent was asked to end it",
        _ => "it had ended before",
    };
    printer.answer(&json!({"job": job, "cancelled": cancelled}), || {
        format!("job `{job}`: {text}")
    })
}

fn queue_table(records: &[QueueRecord]) -> String {
    let row = |record: &QueueRecord| {
        let counts = [record.waiting, record.leased, record.ended].map(|count| count.to_string());
        let state = if record.settings.paused {
            "paused"
        } else {
            "open"
        };
        std::iter::once(record.name.to_string())
            .chain(counts)
            .chain([state.to_owned()])
            .collect()
    };
    table(
        &["queue", "waiting", "leased", "ended", "state"],
        &records.iter().map(row).collect::<Vec<_>>(),
    )
}

fn job_table(records: &[JobRecord]) -> String {
    let row = |record: &JobRecord| {
        let reason = record
            .outcome
            .as_ref()
            .map(|outcome| outcome.reason.to_string());
        vec![
            record.job.id.to_string(),
            record.job.priority.to_string(),
            record.job.attempt.to_string(),
            reason.unwrap_or_else(|| record.state.to_string()),
            show(record.enqueued_at_ms),
            record.ended_at_ms.map(show).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    table(
        &["job", "priority", "attempt", "state", "enqueued", "ended"],
        &rows,
    )
}

fn job_text(record: &JobRecord) -> String {
    let mut text = job_table(std::slice::from_ref(record));
    for report in &record.reports {
        let mark = if report.warning { "warning: " } else { "" };
        text += &format!("{:<7} {mark}{}\n", report.stage.to_string(), report.message);
    }
    if let Some(outcome) = &record.outcome {
        text += &format!("{}\n", outcome.message);
        for line in &outcome.log_tail {
            text += &format!("  | {line}\n");
        }
        text += &outcome
            .hint
            .as_ref()
            .map(|hint| format!("hint: {hint}\n"))
            .unwrap_or_default();
    }
    text
}
