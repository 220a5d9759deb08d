//! The agent as the server and its app see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use launch_config::id::QueueName;
use serde_json::{Value, json};

use super::admin;
use super::api::Api;
use super::failure::Failure;
use super::identity::{Identified, IdentityFile};
use super::operations::{AGENT, REGISTER, STATUS};
use crate::error::Error;

/// What the server knows of this agent.
#[derive(Debug)]
pub(super) struct Presence {
    known: Mutex<Option<Registered>>,
    /// One registration at a time.
    registering: tokio::sync::Mutex<()>,
    file: Option<IdentityFile>,
    asked_to_stop: AtomicBool,
}

#[derive(Debug, Clone)]
struct Registered {
    id: String,
    /// What the server calls it, once it was asked.
    name: String,
    status: &'static str,
}

impl Presence {
    pub(super) fn new(file: Option<IdentityFile>) -> Self {
        Self {
            known: Mutex::new(None),
            registering: tokio::sync::Mutex::new(()),
            file,
            asked_to_stop: AtomicBool::new(false),
        }
    }

    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.asked_to_stop.load(Ordering::Relaxed)
    }

    /// No call panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, Option<Registered>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server calls this agent; its hidden run has the same name.
    pub(super) fn name(&self) -> Option<String> {
        let known = self.lock();
        let name = known.as_ref().map(|agent| agent.name.clone());
        name.filter(|name| !name.is_empty())
    }

    /// The agent's id; registers it on first use, or finds who it was before a crash.
    pub(super) async fn id(&self, api: &Api, queues: &[QueueName]) -> Result<String, Failure> {
        let known = || self.lock().as_ref().map(|agent| agent.id.clone());
        if let Some(id) = known() {
            return Ok(id);
        }
        let _turn = self.registering.lock().await;
        if let Some(id) = known() {
            return Ok(id);
        }
        let ids = queue_ids(api, queues).await?;
        let agent = match self.resume(api, &ids).await? {
            Some(agent) => agent,
            None => self.register(api, ids).await?,
        };
        let id = agent.id.clone();
        *self.lock() = Some(agent);
        Ok(id)
    }

    /// The agent that a killed process of ours was, if the server still has it.
    async fn resume(&self, api: &Api, queues: &[String]) -> Result<Option<Registered>, Failure> {
        let Some(before) = self.file.as_ref().and_then(IdentityFile::read) else {
            return Ok(None);
        };
        if before.queues != queues || before.entity != api.entity().await? {
            return Ok(None);
        }
        let data = api.call(&AGENT, json!({"agentId": before.id})).await;
        let data = match data {
            Err(failure) if failure.is_refusal() => return Ok(None),
            answer => answer?,
        };
        let agent = &data["launchAgent"];
        let is_there = agent.is_object() && agent["stopPolling"] != true;
        Ok(is_there.then(|| Registered {
            id: before.id,
            name: name_of(agent),
            status: "",
        }))
    }

    async fn register(&self, api: &Api, queues: Vec<String>) -> Result<Registered, Failure> {
        let id = register(api, &queues).await?;
        let data = api.call(&AGENT, json!({"agentId": id})).await?;
        let name = name_of(&data["launchAgent"]);
        if let Some(file) = &self.file {
            let entity = api.entity().await?.to_owned();
            let id = id.clone();
            file.write(&Identified { id, entity, queues })?;
        }
        let status = "";
        Ok(Registered { id, name, status })
    }

    /// Asks what the server wants, and says what the agent does: once every poll interval,
    /// whether or not the agent takes jobs.
    pub(super) async fn beat(&self, api: &Api, is_busy: bool) -> Result<(), Failure> {
        let Some(agent) = self.lock().clone() else {
            return Ok(());
        };
        let data = api.call(&AGENT, json!({"agentId": agent.id})).await?;
        if data["launchAgent"].is_null() {
            // Somebody removed it; the next lease registers it anew.
            *self.lock() = None;
            return Ok(());
        }
        let stop = data["launchAgent"]["stopPolling"] == true;
        self.asked_to_stop.store(stop, Ordering::Relaxed);
        let status = if is_busy { "RUNNING" } else { "POLLING" };
        if agent.status != status {
            tell(api, &agent.id, status).await?;
            if let Some(agent) = self.lock().as_mut() {
                agent.status = status;
            }
        }
        Ok(())
    }

    /// Says that the agent is gone, if the server ever knew it: the last thing it says.
    pub(super) async fn leave(&self, api: &Api) -> Result<(), Failure> {
        let Some(agent) = self.lock().take() else {
            return Ok(());
        };
        if let Some(file) = &self.file {
            file.remove()?;
        }
        tell(api, &agent.id, "KILLED").await
    }
}

fn name_of(agent: &Value) -> String {
    agent["name"].as_str().unwrap_or_default().to_owned()
}

async fn tell(api: &Api, agent: &str, status: &str) -> Result<(), Failure> {
    let variables = json!({"agentId": agent, "agentStatus": status});
    api.call(&STATUS, variables).await.map(drop)
}

/// The ids of queues, all of which are there. An entity without any gets `default`, as
/// W&B's own agent makes it.
async fn queue_ids(api: &Api, queues: &[QueueName]) -> Result<Vec<String>, Failure> {
    let mut there = admin::queue_ids(api).await?.unwrap_or_default();
    let is_default = |queue: &QueueName| queue.as_str() == "default";
    if there.is_empty() && queues.iter().any(is_default) {
        for queue in queues.iter().filter(|queue| is_default(queue)) {
            admin::create(api, queue).await?;
        }
        there = admin::queue_ids(api).await?.unwrap_or_default();
    }
    let id = |queue: &QueueName| {
        let found = there.iter().find(|(name, _)| name == queue);
        found
            .map(|(_, id)| id.clone())
            .ok_or_else(|| missing(api, queue, &there).into())
    };
    queues.iter().map(id).collect()
}

async fn register(api: &Api, queues: &[String]) -> Result<String, Failure> {
    let options = api.options();
    let config = match &options.agent_config {
        Value::Null => "{}".to_owned(),
        config => config.to_string(),
    };
    let variables = json!({
        "entity": api.entity().await?,
        "project": options.project,
        "queues": queues,
        "hostname": options.hostname,
        "agentConfig": config,
        "version": options.version,
    });
    let data = api.call(&REGISTER, variables).await?;
    let id = data["createLaunchAgent"]["launchAgentId"].as_str();
    id.map(str::to_owned).ok_or(Failure::Shape("launchAgentId"))
}

fn missing(api: &Api, queue: &QueueName, there: &[(QueueName, String)]) -> Error {
    let names: Vec<&str> = there.iter().map(|(name, _)| name.as_str()).collect();
    Error::Config {
        what: format!(
            "entity `{}` has no queue `{queue}`; it has: {}",
            api.known_entity().unwrap_or_default(),
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ),
    }
}
