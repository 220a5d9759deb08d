//! `submit`: enqueue one job and print its id.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use launch_config::agent::{BackendKind, DEFAULT_QUEUE};
use launch_config::id::{JobId, QueueName};
use launch_config::spec::RunSpec;
use launch_config::wandb_ref::JobRef;
use launch_queue::job::EnqueueRequest;
use serde_json::{Value, json};

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
    /// The agent's configuration, which says where the queues are
    #[arg(long, value_name = "FILE")]
    agent_config: Option<PathBuf>,
    /// Seconds before the job may be leased
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    not_before: u64,
}

impl Submit {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let (mut value, spec) = self.spec.to_spec()?;
        let settings = Settings::resolve(global, self.agent_config.as_deref())?;
        if settings.backend() == BackendKind::Wandb {
            complete(&mut value, &spec, settings.config.entity.as_deref())?;
        }
        let queue = App::open_queue(&settings).await?;
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

/// What every run of W&B's has: an owner and a project, those of its job if nothing else is
/// said. The owner of the queues is the agent file's, whoever owns the run.
fn complete(value: &mut Value, spec: &RunSpec, owner: Option<&str>) -> Result<(), Failure> {
    let owner = owner.filter(|owner| !owner.is_empty());
    let of_job = spec.job.as_ref();
    let entity = spec.entity.as_deref().or(owner);
    let entity = entity.or(of_job.map(JobRef::entity));
    let project = spec.project.as_deref().or(of_job.map(JobRef::project));
    let missing = |what: &str, flag: &str| {
        Failure::usage(format!("a run of W&B's has a{what}")).with_hint(format!("give `{flag}`"))
    };
    let entity = entity.ok_or_else(|| missing("n owner", "--entity"))?;
    value["entity"] = json!(entity);
    value["project"] = json!(project.ok_or_else(|| missing(" project", "--project"))?);
    if let Some(owner) = owner.filter(|owner| *owner != entity) {
        value["queue_entity"] = json!(owner);
    }
    // Clients always send these, and servers and agents of W&B's look into them.
    for key in ["docker", "git", "overrides"] {
        if value[key].is_null() {
            value[key] = json!({});
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use launch_config::load::spec_value;

    use super::*;

    fn completed(mut value: Value, owner: Option<&str>) -> Result<Value, Failure> {
        let spec = spec_value("s", &value).unwrap().value;
        complete(&mut value, &spec, owner).map(|()| value)
    }

    #[test]
    fn a_run_belongs_to_somebody_and_to_a_project() {
        let job = json!({"job": "ann/vision/train:v1"});
        let value = completed(job.clone(), None).unwrap();
        assert_eq!(
            (&value["entity"], &value["project"]),
            (&json!("ann"), &json!("vision"))
        );
        assert_eq!(value["overrides"], json!({}));
        let value = completed(job, Some("team")).unwrap();
        assert_eq!(
            (&value["entity"], value.get("queue_entity")),
            (&json!("team"), None)
        );
        let other = json!({"uri": "/x", "entity": "ann", "project": "p"});
        let value = completed(other, Some("team")).unwrap();
        assert_eq!(value["queue_entity"], "team");
        assert!(completed(json!({"uri": "/x", "entity": "ann"}), None).is_err());
        assert!(completed(json!({"uri": "/x", "project": "p"}), None).is_err());
    }
}
