//! The rules of a queue, each as one function on plain values.

use std::collections::BTreeMap;
use std::time::Duration;

use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;
use serde_json::Value;

use crate::clock::deadline_ms;
use crate::error::Error;
use crate::fresh_id::fresh_id;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, Job, JobRecord, JobState, Lease, LeaseRequest, MAX_REPORTS,
    Priority, QueueRecord, Renewal, Report, cancelled_outcome,
};
use crate::settings::QueueSettings;
use crate::spec::{MAX_SPEC_DEPTH, is_too_deep};

/// All jobs, oldest first.
#[derive(Default)]
pub(super) struct Store {
    queues: BTreeMap<QueueName, QueueSettings>,
    entries: Vec<Entry>,
}

struct Entry {
    record: JobRecord,
    /// From when on it may be leased: the end of its wait, or of its lease.
    due_ms: u64,
    /// The newest hold is in force, or has ended the job. A hold that put its job back is
    /// stale from then on, whatever becomes of the job.
    is_held: bool,
}

impl Entry {
    fn without_reports(&self) -> JobRecord {
        JobRecord {
            reports: Vec::new(),
            ..self.record.clone()
        }
    }

    fn is_available(&self, now_ms: u64) -> bool {
        self.record.state != JobState::Ended && self.due_ms <= now_ms
    }

    fn enter(&mut self, state: JobState) {
        assert!(
            self.record.state.may_become(state),
            "{} to {state}",
            self.record.state
        );
        self.record.state = state;
    }

    fn end(&mut self, outcome: Outcome, now_ms: u64) {
        self.enter(JobState::Ended);
        self.record.outcome = Some(outcome);
        self.record.ended_at_ms = Some(now_ms);
    }
}

impl Store {
    pub(super) fn enqueue(&mut self, request: EnqueueRequest, now_ms: u64) -> Result<JobId, Error> {
        let EnqueueRequest {
            queue,
            spec,
            priority,
            id,
            not_before,
            template_values,
        } = request;
        if is_too_deep(&spec) {
            return Err(Error::SpecDepth {
                max: MAX_SPEC_DEPTH,
            });
        }
        let spec = self.resolve(&queue, &spec, &template_values, priority)?;
        let id = match id {
            Some(id) => id,
            None => self.unused_id(now_ms)?,
        };
        if let Ok(entry) = self.entry(&id) {
            let job = &entry.record.job;
            return if job.queue == queue && job.spec == spec {
                Ok(id)
            } else {
                Err(Error::Conflict(id))
            };
        }
        self.create(&queue);
        let job = Job::new(id.clone(), queue, priority, 0, spec);
        let record = JobRecord::waiting(job, now_ms);
        let due_ms = deadline_ms(now_ms, not_before);
        self.entries.push(Entry {
            record,
            due_ms,
            is_held: false,
        });
        Ok(id)
    }

    /// The spec as the queue's settings make it.
    fn resolve(
        &self,
        queue: &QueueName,
        spec: &Value,
        values: &Value,
        priority: Priority,
    ) -> Result<Value, Error> {
        let settings = self.queues.get(queue).cloned().unwrap_or_default();
        let checked = settings.check_priority(priority);
        let resolved = checked.and_then(|()| settings.resolve(spec, values));
        resolved.map_err(|source| Error::Settings {
            queue: queue.clone(),
            source,
        })
    }

    fn unused_id(&mut self, now_ms: u64) -> Result<JobId, Error> {
        loop {
            let id = fresh_id(now_ms).map_err(|source| Error::Backend {
                store: "memory".to_owned(),
                action: "make an id",
                source: source.into(),
            })?;
            if self.entry(&id).is_err() {
                return Ok(id);
            }
        }
    }

    pub(super) fn lease(&mut self, request: LeaseRequest, now_ms: u64) -> Option<Lease> {
        let LeaseRequest {
            queues,
            worker,
            ttl,
            only,
        } = request;
        let rank = |entry: &Entry| {
            queues
                .iter()
                .position(|name| *name == entry.record.job.queue)
        };
        let settings = &self.queues;
        let is_paused =
            |queue: &QueueName| settings.get(queue).is_some_and(|settings| settings.paused);
        let entry = self
            .entries
            .iter_mut()
            .filter(|entry| entry.is_available(now_ms))
            .filter(|entry| only.as_ref().is_none_or(|id| *id == entry.record.job.id))
            .filter(|entry| rank(entry).is_some())
            .filter(|entry| !is_paused(&entry.record.job.queue))
            // Of equals, the first wins, and entries are sorted by age.
            .min_by_key(|entry| (entry.record.job.priority, rank(entry)))?;
        entry.enter(JobState::Leased);
        entry.is_held = true;
        entry.due_ms = deadline_ms(now_ms, ttl);
        entry.record.worker = Some(worker);
        entry.record.fence += 1;
        let mut lease = Lease::new(entry.record.job.clone(), entry.record.fence, ttl);
        lease.cancel_requested = entry.record.cancel_requested;
        Some(lease.with_times(entry.record.enqueued_at_ms, now_ms))
    }

    pub(super) fn renew(
        &mut self,
        hold: &Hold,
        ttl: Duration,
        now_ms: u64,
    ) -> Result<Renewal, Error> {
        let entry = self.held(hold)?;
        entry.due_ms = deadline_ms(now_ms, ttl);
        Ok(Renewal::new(entry.record.cancel_requested))
    }

    pub(super) fn report(&mut self, hold: &Hold, report: Report) -> Result<(), Error> {
        let reports = &mut self.held(hold)?.record.reports;
        reports.push(report);
        let surplus = reports.len().saturating_sub(MAX_REPORTS);
        reports.drain(..surplus);
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        hold: &Hold,
        outcome: Outcome,
        now_ms: u64,
    ) -> Result<(), Error> {
        match self.held(hold) {
            Ok(entry) => entry.end(outcome, now_ms),
            // This hold ended it before, and its caller did not hear the answer.
            Err(Error::Ended(_)) => {}
            Err(refusal) => return Err(refusal),
        }
        Ok(())
    }

    pub(super) fn requeue(
        &mut self,
        hold: &Hold,
        wait: Duration,
        now_ms: u64,
    ) -> Result<(), Error> {
        let entry = self.held(hold)?;
        if entry.record.cancel_requested {
            entry.end(cancelled_outcome(), now_ms);
            return Ok(());
        }
        entry.enter(JobState::Waiting);
        entry.is_held = false;
        entry.due_ms = deadline_ms(now_ms, wait);
        entry.record.job.attempt += 1;
        Ok(())
    }

    pub(super) fn cancel(&mut self, job: &JobId, now_ms: u64) -> Result<Cancelled, Error> {
        let entry = self.entry(job)?;
        match entry.record.state {
            JobState::Ended => return Ok(Cancelled::AlreadyEnded),
            JobState::Leased => entry.record.cancel_requested = true,
            JobState::Waiting => {
                entry.record.cancel_requested = true;
                entry.end(cancelled_outcome(), now_ms);
                return Ok(Cancelled::Ended);
            }
        }
        Ok(Cancelled::Requested)
    }

    pub(super) fn create(&mut self, queue: &QueueName) {
        self.queues.entry(queue.clone()).or_default();
    }

    pub(super) fn configure(
        &mut self,
        queue: &QueueName,
        settings: QueueSettings,
    ) -> Result<(), Error> {
        settings.check().map_err(|source| Error::Settings {
            queue: queue.clone(),
            source,
        })?;
        self.queues.insert(queue.clone(), settings);
        Ok(())
    }

    pub(super) fn queues(&self) -> Vec<QueueRecord> {
        let count = |name: &QueueName, state| {
            let counted =
                |entry: &&Entry| entry.record.job.queue == *name && entry.record.state == state;
            self.entries.iter().filter(counted).count() as u64
        };
        let record = |(name, settings): (&QueueName, &QueueSettings)| QueueRecord {
            name: name.clone(),
            settings: settings.clone(),
            waiting: count(name, JobState::Waiting),
            leased: count(name, JobState::Leased),
            ended: count(name, JobState::Ended),
        };
        self.queues.iter().map(record).collect()
    }

    pub(super) fn jobs(&self, queue: &QueueName, limit: usize) -> Vec<JobRecord> {
        let in_queue = |entry: &&Entry| entry.record.job.queue == *queue;
        let newest = self.entries.iter().rev().filter(in_queue);
        newest.take(limit).map(Entry::without_reports).collect()
    }

    pub(super) fn held_by(&self, worker: &WorkerName) -> Vec<JobRecord> {
        let is_held = |entry: &&Entry| {
            let record = &entry.record;
            record.state == JobState::Leased && record.worker.as_ref() == Some(worker)
        };
        let held = self.entries.iter().filter(is_held);
        held.map(Entry::without_reports).collect()
    }

    pub(super) fn job(&self, job: &JobId) -> Option<JobRecord> {
        self.entries
            .iter()
            .find(|entry| entry.record.job.id == *job)
            .map(|e| e.record.clone())
    }

    fn entry(&mut self, job: &JobId) -> Result<&mut Entry, Error> {
        let found = self
            .entries
            .iter_mut()
            .find(|entry| entry.record.job.id == *job);
        found.ok_or_else(|| Error::Unknown(job.clone()))
    }

    /// The job of `hold`, if that hold may write.
    fn held(&mut self, hold: &Hold) -> Result<&mut Entry, Error> {
        let entry = self.entry(&hold.job)?;
        if entry.record.fence != hold.fence || !entry.is_held {
            return Err(Error::Stale {
                job: hold.job.clone(),
                fence: hold.fence,
            });
        }
        if entry.record.state == JobState::Ended {
            return Err(Error::Ended(hold.job.clone()));
        }
        Ok(entry)
    }
}
