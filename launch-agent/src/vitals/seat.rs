//! The place of one job in flight, from which it is watched.

use std::sync::Arc;
use std::time::Instant;

use launch_config::id::{JobId, QueueName};
use launch_config::outcome::Stage;
use launch_queue::job::Job;

use super::{JobNow, Vitals};
use crate::console::LogOnly;
use crate::masking::masked;
use crate::report::{JobEvent, Onlooker};

/// How much of what a job says of itself is shown.
const WIDTH: usize = 200;

/// The place of one job, given back when this value is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    vitals: Arc<Vitals>,
    job: JobId,
    queue: QueueName,
    since: Instant,
}

impl Seat {
    pub(super) fn new(vitals: Arc<Vitals>, job: &Job, since: Instant) -> Self {
        Self {
            vitals,
            job: job.id.clone(),
            queue: job.queue.clone(),
            since,
        }
    }

    fn note(&self, change: impl FnOnce(&mut JobNow)) {
        if let Some(job) = self.vitals.now().jobs.get_mut(&self.job) {
            change(job);
        }
    }

    fn enter(&self, stage: Stage) {
        self.note(|job| {
            (job.stage, job.stage_since) = (stage, Instant::now());
            job.doing.clear();
        });
    }

    fn says(&self, text: &str) {
        let text = masked(text.to_owned());
        self.note(|job| job.doing = text.chars().take(WIDTH).collect());
    }

    /// The queue said something to a renewal.
    fn heard(&self, answer: Result<(), String>) {
        match &answer {
            Ok(()) => self.note(|job| job.renewed = Some(Instant::now())),
            Err(_) => self.vitals.metrics.queue_failed("renew"),
        }
        self.vitals.now().answer = Some(answer);
    }
}

impl Onlooker for Seat {
    fn see(&self, event: &JobEvent<'_>) {
        LogOnly.see(event);
        let metrics = &self.vitals.metrics;
        match event {
            JobEvent::Started(stage) => self.enter(*stage),
            JobEvent::Progress(text) => self.says(text),
            JobEvent::Warning(text) | JobEvent::Line(text) => self.says(text),
            JobEvent::Finished(row) => metrics.stage(row.stage, row.took),
            JobEvent::Cached { cache, hit } => metrics.cached(cache, *hit),
            JobEvent::Renewed => self.heard(Ok(())),
            JobEvent::Unheard(error) => self.heard(Err((*error).to_owned())),
            JobEvent::Ended(outcome) => {
                self.note(|job| job.renewed = None);
                self.vitals.ended(&self.queue, outcome.reason);
            }
            JobEvent::Lost => {
                self.note(|job| job.renewed = None);
                metrics.lost(&self.queue);
            }
            JobEvent::Output(_) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // An agent that slept through its lease may have leased the job again: then the seat
        // is that of the new lease.
        let mut now = self.vitals.now();
        if now.jobs.get(&self.job).map(|job| job.since) == Some(self.since) {
            now.jobs.remove(&self.job);
        }
    }
}
