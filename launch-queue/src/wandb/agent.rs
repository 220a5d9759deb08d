//! The agent as the server and its app see it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use launch_config::id::QueueName;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::admin;
use super::api::Api;
use super::failure::Failure;
use super::operations::{AGENT, REGISTER, STATUS};
use crate::error::Error;

/// How often the server is told that the agent lives, and asked what it wants.
const EVERY: Duration = Duration::from_secs(10);

/// What the server knows of this agent.
#[derive(Debug, Default)]
pub(super) struct Presence {
    known: Mutex<Option<Registered>>,
    asked_to_stop: AtomicBool,
}

#[derive(Debug)]
struct Registered {
    id: String,
    status: &'static str,
    last: Instant,
}

impl Presence {
    pub(super) fn is_asked_to_stop(&self) -> bool {
        self.asked_to_stop.load(Ordering::Relaxed)
    }

    /// Registers on first use; afterwards asks now and then what the server wants, and
    /// says what the agent does. Answers the agent's id.
    pub(super) async fn show(
        &self,
        api: &Api,
        queues: &[QueueName],
        is_busy: bool,
    ) -> Result<String, Failure> {
        let mut known = self.known.lock().await;
        let Some(agent) = &mut *known else {
            let id = register(api, queues).await?;
            *known = Some(Registered {
                id: id.clone(),
                status: "",
                last: Instant::now(),
            });
            return Ok(id);
        };
        if agent.last.elapsed() >= EVERY || agent.status.is_empty() {
            let data = api.call(&AGENT, json!({"agentId": agent.id})).await?;
            let stop = data["launchAgent"]["stopPolling"] == true;
            self.asked_to_stop.store(stop, Ordering::Relaxed);
            let status = if is_busy { "RUNNING" } else { "POLLING" };
            if agent.status != status {
                tell(api, &agent.id, status).await?;
                agent.status = status;
            }
            agent.last = Instant::now();
        }
        Ok(agent.id.clone())
    }

    /// Says that the agent is gone, if the server ever knew it.
    pub(super) async fn leave(&self, api: &Api) -> Result<(), Failure> {
        match self.known.lock().await.take() {
            Some(agent) => tell(api, &agent.id, "KILLED").await,
            None => Ok(()),
        }
    }
}

async fn tell(api: &Api, agent: &str, status: &str) -> Result<(), Failure> {
    let variables = json!({"agentId": agent, "agentStatus": status});
    api.call(&STATUS, variables).await.map(drop)
}

async fn register(api: &Api, queues: &[QueueName]) -> Result<String, Failure> {
    let there = admin::queue_ids(api).await?;
    let mut ids = Vec::new();
    for queue in queues {
        let found = there.iter().find(|(name, _)| name == queue);
        let Some((_, id)) = found else {
            return Err(missing(api, queue, &there).into());
        };
        ids.push(id.clone());
    }
    let options = api.options();
    let config = match &options.agent_config {
        Value::Null => "{}".to_owned(),
        config => config.to_string(),
    };
    let variables = json!({
        "entity": options.entity,
        "project": options.project,
        "queues": ids,
        "hostname": options.hostname,
        "agentConfig": config,
        "version": env!("CARGO_PKG_VERSION"),
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
            api.options().entity,
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ),
    }
}
