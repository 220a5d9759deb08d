//! Taking items, and making them ours.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use launch_config::id::{JobId, QueueName};
use serde_json::{Value, json};

use super::failure::Failure;
use super::item::{FENCE, Item, item_id};
use super::operations::{ACK, DELETE, ITEM, POP, RUN_STOPPED, STOP_RUN};
use super::{WandbQueue, admin, stale};
use crate::error::Error;
use crate::job::{Cancelled, Hold, JobState, Lease, LeaseRequest};

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

    /// A queue that refuses does not keep the others from being asked; a server that does
    /// not answer is asked no more.
    async fn pop_any(&self, request: &LeaseRequest) -> Result<Option<Lease>, Failure> {
        let agent = self.presence.id(&self.api, &request.queues).await?;
        if self.presence.is_asked_to_stop() {
            return Ok(None);
        }
        let mut refused = None;
        for turn in self.pace.order(request.queues.len()) {
            let queue = &request.queues[turn];
            match self.pop_from(queue, &agent).await {
                Ok(Some((id, spec))) => {
                    self.pace.gave(turn);
                    let (queue, worker) = (queue.clone(), request.worker.clone());
                    let mut item = Item::popped(id, queue, worker, spec)?;
                    let job = item.job_id()?;
                    if self.items.is_in_hand(&job) {
                        // It lapsed while it could not be claimed, and came back to us.
                        continue;
                    }
                    if let Some(before) = self.items.get(&job) {
                        item.take_run_of(&before);
                    }
                    self.items.keep(&item)?;
                    return Ok(Some(Lease::new(item.job()?, FENCE, request.ttl)));
                }
                Ok(None) => {}
                Err(failure) if failure.is_refusal() => refused = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        refused.map_or(Ok(None), Err)
    }

    async fn pop_from(
        &self,
        queue: &QueueName,
        agent: &str,
    ) -> Result<Option<(String, Value)>, Failure> {
        let variables = json!({
            "entity": self.api.entity().await?,
            "project": self.api.options().project,
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
        let acknowledged = match self.api.call(&ACK, variables).await {
            Ok(data) => data["ackRunQueueItem"]["success"] == true,
            Err(failure) if failure.is_refusal() => {
                tracing::warn!(job = %hold.job, %failure, "the server refuses to give an item");
                false
            }
            Err(failure) => return Err(failure),
        };
        if !acknowledged && !self.is_ours(&item).await? {
            self.items.forget(&hold.job)?;
            return Err(stale(hold).into());
        }
        item.claimed = true;
        self.items.keep(&item)?;
        Ok(item)
    }

    async fn is_ours(&self, item: &Item) -> Result<bool, Failure> {
        let variables = json!({
            "projectName": self.api.options().project,
            "entityName": self.api.entity().await?,
            "runQueue": item.queue,
            "itemId": item.id,
        });
        match self.api.call(&ITEM, variables).await {
            Ok(data) => {
                let found = &data["project"]["runQueue"]["runQueueItem"];
                Ok(found["associatedRunId"] == item.run_id())
            }
            Err(failure) if failure.is_refusal() => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Asks whether somebody wants the run of an item to stop.
    pub(super) async fn hear(&self, mut item: Item) -> Result<Item, Failure> {
        if item.stopped || self.items.is_asked_to_stop(&item.job_id()?) {
            item.stopped = true;
            return Ok(item);
        }
        let variables = json!({
            "projectName": item.project(),
            "entityName": item.text("entity"),
            "runId": item.run_id(),
        });
        let data = match self.api.call(&RUN_STOPPED, variables).await {
            // The run is somewhere we may not look: nobody can stop it through us.
            Err(failure) if failure.is_refusal() => return Ok(item),
            answer => answer?,
        };
        if data["project"]["run"]["stopped"] == true {
            item.stopped = true;
            self.items.keep(&item)?;
        }
        Ok(item)
    }

    /// Ends an item that waits; one that an agent has is stopped by its run.
    pub(super) async fn cancel_item(&self, job: &JobId) -> Result<Cancelled, Failure> {
        let unknown = || Failure::from(Error::Unknown(job.clone()));
        let id = item_id(job).ok_or_else(unknown)?;
        if let Some(item) = self.items.get(job) {
            return self.stop(&item).await;
        }
        for (queue, queue_id) in admin::queue_ids(&self.api).await?.unwrap_or_default() {
            let items = admin::items(&self.api, &queue).await?;
            let Some(item) = items.iter().find(|item| item.id == id) else {
                continue;
            };
            return match admin::state(&item.state) {
                JobState::Waiting => {
                    let variables = json!({"queueID": queue_id, "runQueueItemId": id});
                    self.api.call(&DELETE, variables).await?;
                    Ok(Cancelled::Ended)
                }
                JobState::Leased => Err(Failure::Refused(
                    "another agent has it; its run is stopped in the app".to_owned(),
                )),
                JobState::Ended => Ok(Cancelled::AlreadyEnded),
            };
        }
        Err(unknown())
    }

    /// Stops the run of an item as the app does; its agent hears of it.
    async fn stop(&self, item: &Item) -> Result<Cancelled, Failure> {
        let (entity, project) = (item.text("entity"), item.project());
        let run = format!("Run:v1:{}:{project}:{entity}", item.run_id());
        let id = BASE64_STANDARD.encode(run);
        match self.api.call(&STOP_RUN, json!({"id": id})).await {
            // There is no such run yet; its agent is on this host and hears of it here.
            Err(failure) if failure.is_refusal() => {
                tracing::debug!(%failure, "the server does not stop the run");
            }
            answer => drop(answer?),
        }
        self.items.ask_to_stop(&item.job_id()?)?;
        Ok(Cancelled::Requested)
    }
}

/// A spec arrives as an object or as the text of one.
pub(super) fn spec(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        None => value.clone(),
    }
}
