//! Items of a server's queue as jobs.

use std::path::PathBuf;

use launch_config::id::{JobId, QueueName, WorkerName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use crate::job::{Job, JobRecord, JobState, Priority};

/// The only fence there is: the server gives an item to one agent, once.
pub(super) const FENCE: u64 = 1;

/// The version of a written item; a newer one is left alone.
const VERSION: u32 = 1;

/// How many characters a run's id has, when the spec brings none.
const RUN_ID: u32 = 8;

/// An item in our hands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    version: u32,
    /// The server's id of it.
    pub(super) id: String,
    pub(super) queue: QueueName,
    pub(super) worker: WorkerName,
    /// The spec, with the run's id in it.
    pub(super) spec: Value,
    /// The run's id, also for a spec that has no place for it.
    #[serde(default)]
    run: String,
    /// The server knows that we have it.
    pub(super) claimed: bool,
    /// Somebody asked for its run to stop.
    #[serde(default)]
    pub(super) stopped: bool,
    /// The items of the queue when this one was about to be pushed again: one that is not
    /// among them is the new one, should the answer be lost.
    #[serde(default)]
    pub(super) before_requeue: Option<Vec<String>>,
    /// Where the output of its run is.
    #[serde(default)]
    pub(super) log: Option<PathBuf>,
}

impl Item {
    /// An item as it was popped. Its run gets an id, if the spec brings none: the server
    /// learns it with the claim, before anything of the run exists.
    pub(super) fn popped(
        id: String,
        queue: QueueName,
        worker: WorkerName,
        mut spec: Value,
    ) -> std::io::Result<Self> {
        let named = spec["run_id"].as_str().filter(|id| !id.is_empty());
        let run = match named {
            Some(run) => run.to_owned(),
            None => crate::fresh_id::random_base36(RUN_ID)?,
        };
        if let Some(fields) = spec.as_object_mut() {
            fields.insert("run_id".to_owned(), run.clone().into());
        }
        Ok(Self {
            version: VERSION,
            id,
            queue,
            worker,
            spec,
            run,
            claimed: false,
            stopped: false,
            before_requeue: None,
            log: None,
        })
    }

    /// Has the run that the item had when it was popped before: whoever still knows it by
    /// that one means the same.
    pub(super) fn take_run_of(&mut self, before: &Self) {
        before.run_id().clone_into(&mut self.run);
        if let Some(fields) = self.spec.as_object_mut() {
            fields.insert("run_id".to_owned(), self.run.clone().into());
        }
    }

    /// Whether we know what all of it means.
    pub(super) fn is_known(&self) -> bool {
        self.version <= VERSION
    }

    pub(super) fn job_id(&self) -> Result<JobId, Failure> {
        job_id(&self.id)
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.spec[key].as_str().unwrap_or_default()
    }

    pub(super) fn run_id(&self) -> &str {
        if self.run.is_empty() {
            return self.text("run_id");
        }
        &self.run
    }

    /// The project of its run, as the server spells projects.
    pub(super) fn project(&self) -> String {
        self.text("project").to_lowercase()
    }

    /// How often the run was preempted before.
    pub(super) fn resumes(&self) -> u32 {
        let count = self.spec["_resume_count"].as_u64().unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(super) fn job(&self) -> Result<Job, Failure> {
        Ok(Job::new(
            self.job_id()?,
            self.queue.clone(),
            Priority::default(),
            self.resumes(),
            self.spec.clone(),
        ))
    }

    pub(super) fn record(&self) -> Result<JobRecord, Failure> {
        let mut record = JobRecord::waiting(self.job()?, 0);
        record.state = JobState::Leased;
        record.worker = Some(self.worker.clone());
        record.fence = FENCE;
        record.cancel_requested = self.stopped;
        Ok(record)
    }
}

/// `w` and the hexadecimal digits of the server's id, which is opaque and may hold what no
/// name of a container or pod may.
pub(super) fn job_id(item: &str) -> Result<JobId, Failure> {
    let mut text = String::from("w");
    for byte in item.bytes() {
        text += &format!("{byte:02x}");
    }
    text.parse()
        .map_err(|_| Failure::Shape("item id of a sensible length"))
}

/// The server's id of a job, if it came from a server.
pub(super) fn item_id(job: &JobId) -> Option<String> {
    let digits = job.as_str().strip_prefix('w')?.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair)
            .ok()
            .filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    String::from_utf8(pairs.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_id_comes_back_from_its_job() {
        for id in ["UnVuUXVldWVJdGVtOjE=", "a/b+c", "ü"] {
            let job = job_id(id).unwrap();
            assert_eq!(item_id(&job).as_deref(), Some(id));
        }
        assert!(job_id(&"x".repeat(100)).is_err());
        assert_eq!(item_id(&"jmwssvif8ylhp1qi".parse().unwrap()), None);
        assert_eq!(item_id(&"w123".parse().unwrap()), None);
    }

    #[test]
    fn a_run_has_an_id_even_if_its_spec_has_no_place_for_it() {
        let popped = |spec| {
            let (queue, worker) = ("q".parse().unwrap(), "w".parse().unwrap());
            Item::popped("i1".to_owned(), queue, worker, spec).unwrap()
        };
        assert_eq!(popped(Value::Null).run_id().len(), 8);
        let item = popped(serde_json::json!({"run_id": ""}));
        assert_eq!(item.spec["run_id"], item.run_id());
    }
}
