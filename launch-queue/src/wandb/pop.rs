//! Taking items, and making them ours.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use launch_config::id::{JobId, QueueName};
use serde_json::{Value, json};

use super::failure::Failure;
use super::item::{FENCE, Item, item_id};
use super::operations::{ACK, DELETE, ITEM, POP, RUN_STOPPED};
use super::{WandbQueue, admin, stale};
use crate::error::Error;
use crate::job::{Cancelled, Hold, Lease, LeaseRequest};

/// How many characters a run's id has, when the spec brings none.
const RUN_ID: u32 = 8;

/// When to ask next: at once while there is something, else after the poll interval, else
/// ever later while the server fails.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    state: Mutex<(Option<Instant>, u32)>,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            state: Mutex::new((None, 0)),
        }
    }

    fn is_time(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.is_none_or(|next| Instant::now() >= next)
    }

    /// A slot became free: no reason to wait.
    pub(super) fn hurry(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.1 == 0 {
            state.0 = None;
        }
    }

    fn after(&self, answer: &Result<Option<Lease>, Failure>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = match answer {
            Ok(Some(_)) => (None, 0),
            Ok(None) => (Some(Instant::now() + self.interval), 0),
            Err(_) => {
                let failures = (state.1 + 1).min(6);
                let wait = self.interval * (1 << failures) / 2;
                let wait = wait.min(Duration::from_mins(1)).max(self.interval);
                (Some(Instant::now() + wait + chance(wait)), failures)
            }
        };
    }
}

/// Up to a quarter of `wait`, so that many agents do not come back at once.
fn chance(wait: Duration) -> Duration {
    let mut byte = [0_u8; 1];
    match getrandom::fill(&mut byte) {
        Ok(()) => wait * u32::from(byte[0]) / 1024,
        Err(_) => Duration::ZERO,
    }
}

impl WandbQueue {
    /// Takes an item of the first queue that has one, if it is time to ask.
    pub(super) async fn pop(&self, request: &LeaseRequest) -> Result<Option<Lease>, Failure> {
        // The server gives what it gives: one item cannot be asked for.
        if request.only.is_some() || !self.pace.is_time() {
            return Ok(None);
        }
        let answer = self.pop_any(request).await;
        self.pace.after(&answer);
        answer
    }

    async fn pop_any(&self, request: &LeaseRequest) -> Result<Option<Lease>, Failure> {
        let is_busy = !self.items.is_empty();
        let agent = self
            .presence
            .show(&self.api, &request.queues, is_busy)
            .await?;
        if self.presence.is_asked_to_stop() {
            return Ok(None);
        }
        for queue in &request.queues {
            if let Some((id, spec)) = self.pop_from(queue, &agent).await? {
                let spec = with_run_id(spec)?;
                let item = Item::new(id, queue.clone(), request.worker.clone(), spec);
                let job = item.job()?;
                self.items.keep(&item)?;
                return Ok(Some(Lease::new(job, FENCE, request.ttl)));
            }
        }
        Ok(None)
    }

    async fn pop_from(
        &self,
        queue: &QueueName,
        agent: &str,
    ) -> Result<Option<(String, Value)>, Failure> {
        let options = self.api.options();
        let variables = json!({
            "entity": options.entity,
            "project": options.project,
            "queueName": queue,
            "launchAgentId": agent,
        });
        let mut data = self.api.call(&POP, variables).await?;
        let popped = data["popFromRunQueue"].take();
        let Some(id) = popped["runQueueItemId"].as_str() else {
            return Ok(None);
        };
        Ok(Some((id.to_owned(), spec(&popped["runSpec"]))))
    }

    /// Acknowledges an item. A refusal may be the answer to our own acknowledgement whose
    /// first answer was lost, so the server is asked whose it is.
    pub(super) async fn claim(&self, hold: &Hold, mut item: Item) -> Result<Item, Failure> {
        let variables = json!({"itemId": item.id, "runId": item.run_id()});
        let data = self.api.call(&ACK, variables).await?;
        let is_ours = data["ackRunQueueItem"]["success"] == true || self.is_ours(&item).await?;
        if !is_ours {
            self.items.forget(&hold.job)?;
            return Err(stale(hold).into());
        }
        item.claimed = true;
        self.items.keep(&item)?;
        Ok(item)
    }

    async fn is_ours(&self, item: &Item) -> Result<bool, Failure> {
        let options = self.api.options();
        let variables = json!({
            "projectName": options.project,
            "entityName": options.entity,
            "runQueue": item.queue,
            "itemId": item.id,
        });
        let data = self.api.call(&ITEM, variables).await?;
        let found = &data["project"]["runQueue"]["runQueueItem"];
        Ok(found["associatedRunId"] == item.run_id())
    }

    /// Asks whether somebody wants the run of an item to stop.
    pub(super) async fn hear(&self, mut item: Item) -> Result<Item, Failure> {
        if item.stopped {
            return Ok(item);
        }
        let variables = json!({
            "projectName": item.text("project").to_lowercase(),
            "entityName": item.text("entity"),
            "runId": item.run_id(),
        });
        let data = self.api.call(&RUN_STOPPED, variables).await?;
        if data["project"]["run"]["stopped"] == true {
            item.stopped = true;
            self.items.keep(&item)?;
        }
        Ok(item)
    }

    /// Ends an item that waits; one that an agent has is stopped by its run.
    pub(super) async fn cancel_item(&self, job: &JobId) -> Result<Cancelled, Failure> {
        if let Some(mut item) = self.items.get(job) {
            item.stopped = true;
            self.items.keep(&item)?;
            return Ok(Cancelled::Requested);
        }
        let unknown = || Failure::from(Error::Unknown(job.clone()));
        let id = item_id(job).ok_or_else(unknown)?;
        for (queue, queue_id) in admin::queue_ids(&self.api).await? {
            let states = admin::states(&self.api, &queue).await?;
            let Some((_, state)) = states.iter().find(|(item, _)| *item == id) else {
                continue;
            };
            if state != "PENDING" {
                return Ok(Cancelled::AlreadyEnded);
            }
            let variables = json!({"queueID": queue_id, "runQueueItemId": id});
            self.api.call(&DELETE, variables).await?;
            return Ok(Cancelled::Ended);
        }
        Err(unknown())
    }
}

/// A spec arrives as an object or as the text of one.
fn spec(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        None => value.clone(),
    }
}

/// A run has an id before anything of it exists: the server learns it with the claim.
fn with_run_id(mut spec: Value) -> Result<Value, Failure> {
    let has_id = spec["run_id"].as_str().is_some_and(|id| !id.is_empty());
    if let (false, Some(fields)) = (has_id, spec.as_object_mut()) {
        let id = crate::fresh_id::random_base36(RUN_ID)?;
        fields.insert("run_id".to_owned(), id.into());
    }
    Ok(spec)
}
