//! What the server knows, and the rules by which it changes.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::Fault;

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) queue: String,
    pub(crate) spec: Value,
    pub(crate) state: &'static str,
    pub(crate) run: Option<String>,
    pub(crate) priority: u64,
    pub(crate) failure: Option<(String, String)>,
    pub(crate) files: Vec<String>,
    pub(crate) warnings: Vec<(String, String)>,
    /// Who popped it.
    pub(crate) agent: String,
}

/// An agent as the app shows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent {
    pub(crate) status: String,
    pub(crate) stop_polling: bool,
}

/// A queue as the app has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueueConfig {
    pub(crate) resource: String,
    pub(crate) config: Value,
    pub(crate) variables: Value,
    pub(crate) has_priorities: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The address it is reached at, for the addresses it makes.
    pub(crate) url: String,
    pub(crate) queues: Vec<String>,
    pub(crate) configs: BTreeMap<String, QueueConfig>,
    pub(crate) items: BTreeMap<String, Item>,
    /// Run id → state, and whether it was asked to stop.
    pub(crate) runs: BTreeMap<String, (String, bool)>,
    pub(crate) agents: BTreeMap<String, Agent>,
    /// Sweep → state.
    pub(crate) sweeps: BTreeMap<String, String>,
    /// `entity/project/name:alias` or id → kind, files.
    pub(crate) artifacts: BTreeMap<String, (String, BTreeMap<String, Vec<u8>>)>,
    /// Path below the server → bytes that were put there.
    pub(crate) uploads: BTreeMap<String, Vec<u8>>,
    /// Another agent acknowledges what is popped before its agent does.
    pub(crate) steal: bool,
    /// What was pushed is shown only to the agent that pops it.
    pub(crate) hides_specs: bool,
    /// Agents that register from now on are to stop.
    pub(crate) stop_polling: bool,
    /// Reads of files break off after so many bytes, so many times.
    pub(crate) breaks: (usize, usize),
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) credentials: Vec<String>,
    /// What was asked for, as the first line of a request has it.
    pub(crate) paths: Vec<String>,
    pub(crate) faults: VecDeque<Fault>,
    /// What goes wrong when this operation is asked for next.
    pub(crate) fault_at: Option<(String, Fault)>,
    /// What is wrong with every request, until it is over.
    pub(crate) outage: Option<Fault>,
    /// So many requests came, answered or not.
    pub(crate) requests: usize,
    pub(crate) key: String,
}

impl State {
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls
            .iter()
            .filter(|(name, _)| name == operation)
            .count()
    }

    /// What the last call of an operation asked for.
    pub(crate) fn last(&self, operation: &str) -> Value {
        let mut calls = self.calls.iter().rev();
        let found = calls.find(|(name, _)| name == operation);
        found.map(|(_, asked)| asked.clone()).unwrap_or_default()
    }

    /// What a GraphQL request answers: its data, or a refusal.
    pub(super) fn answer(&mut self, operation: &str, asked: &Value) -> Result<Value, String> {
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        Ok(match operation {
            "Viewer" => json!({"viewer": {"entity": "team", "username": "ann"}}),
            "ProjectRunQueues" => {
                let queue = |name: &String| json!({"id": format!("Q:{name}"), "name": name});
                let queues: Vec<Value> = self.queues.iter().map(queue).collect();
                json!({"project": {"runQueues": queues}})
            }
            "CreateRunQueue" => {
                self.queues.push(text("queueName"));
                json!({"createRunQueue": {"success": true, "queueID": "Q"}})
            }
            "createLaunchAgent" | "LaunchAgent" | "updateLaunchAgent" => {
                self.agent(operation, asked)
            }
            "popFromRunQueue" => {
                json!({"popFromRunQueue": self.pop(&text("queueName"), &text("launchAgentId"))})
            }
            "ackRunQueueItem" => {
                let success = self.ack(&text("itemId"), &text("runId"));
                json!({"ackRunQueueItem": {"success": success}})
            }
            "GetRunQueueItemSpec" if self.hides_specs => {
                return Err("Cannot query field \"runSpec\"".to_owned());
            }
            "GetRunQueueItem"
            | "GetRunQueueItemPriority"
            | "GetRunQueueItemSpec"
            | "GetRunQueueItems" => self.listing(operation, asked),
            "failRunQueueItem" | "updateRunQueueItemWarning" | "DeleteFromRunQueue" => {
                self.change(operation, asked)
            }
            "pushToRunQueueByName" => return self.push(asked),
            "upsertRunQueue" | "GetRunQueueMetadata" | "GetDefaultResourceConfig" => {
                self.queue_config(operation, asked)
            }
            "RunState" => {
                let run = self.runs.get(&text("name"));
                json!({"project": {"run": run.map(|(state, _)| json!({"state": state}))}})
            }
            "RunStoppedStatus" => {
                let run = self.runs.get(&text("runId"));
                json!({"project": {"run": run.map(|(_, stopped)| json!({"stopped": stopped}))}})
            }
            "stopRun" => return self.stop_run(&text("id")),
            "UpsertBucket" => {
                let running = ("running".to_owned(), false);
                self.runs.entry(text("name")).or_insert(running);
                json!({"upsertBucket": {"bucket": {"id": "R", "name": text("name")}}})
            }
            "CreateRunFiles" => {
                let path = asked["files"][0].as_str().unwrap_or_default();
                let url = format!("/storage/{}/{path}", text("run"));
                json!({"createRunFiles": {
                    "runID": "R", "uploadHeaders": ["X-Upload:yes"],
                    "files": [{"name": path, "uploadUrl": url}],
                }})
            }
            "GetSweepState" => {
                let state = self.sweeps.get(&text("sweep"));
                let sweep = state.map(|state| json!({"id": text("sweep"), "state": state}));
                json!({"project": {"sweep": sweep}})
            }
            "UpsertSweep" => {
                self.sweeps.insert(text("id"), text("state"));
                json!({"upsertSweep": {"sweep": {"state": text("state")}}})
            }
            "ArtifactMembershipByName"
            | "ArtifactByID"
            | "ArtifactName"
            | "FetchArtifactManifest"
            | "ArtifactFileURLs" => self.artifact(operation, asked),
            other => panic!("nobody asks for `{other}`"),
        })
    }

    fn agent(&mut self, operation: &str, asked: &Value) -> Value {
        let id = asked["agentId"].as_str().unwrap_or_default().to_owned();
        match operation {
            "createLaunchAgent" => {
                let id = format!("agent-{}", self.agents.len() + 1);
                self.agents.insert(id.clone(), Agent::default());
                json!({"createLaunchAgent": {"launchAgentId": id}})
            }
            "LaunchAgent" => {
                let stop = self.stop_polling;
                let agent = self.agents.get(&id).map(|agent| {
                    json!({"name": format!("launch-{id}"),
                           "stopPolling": agent.stop_polling || stop})
                });
                json!({"launchAgent": agent})
            }
            _ => {
                let status = asked["agentStatus"].as_str().unwrap_or_default();
                if let Some(agent) = self.agents.get_mut(&id) {
                    status.clone_into(&mut agent.status);
                }
                json!({"updateLaunchAgent": {"success": true}})
            }
        }
    }

    fn listing(&self, operation: &str, asked: &Value) -> Value {
        let show = |id: &str, item: &Item| {
            json!({"id": id, "state": item.state, "associatedRunId": item.run,
                   "priority": item.priority})
        };
        if operation == "GetRunQueueItems" {
            let queue = asked["runQueue"].as_str().unwrap_or_default();
            let here = self.items.iter().filter(|(_, item)| item.queue == queue);
            let edges: Vec<Value> = here
                .map(|(id, item)| json!({"node": show(id, item)}))
                .collect();
            return json!({"project": {"runQueue": {"runQueueItems": {"edges": edges}}}});
        }
        let id = asked["itemId"].as_str().unwrap_or_default();
        let mut item = self.items.get(id).map(|item| show(id, item));
        if let (Some(shown), "GetRunQueueItemSpec") = (&mut item, operation) {
            shown["runSpec"] = self.items[id].spec.to_string().into();
        }
        json!({"project": {"runQueue": {"runQueueItem": item}}})
    }

    fn change(&mut self, operation: &str, asked: &Value) -> Value {
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        let id = text("runQueueItemId");
        let said = (text("stage"), text("message"));
        if operation == "DeleteFromRunQueue" {
            self.items.remove(&id);
            return json!({"deleteFromRunQueue": {"success": true}});
        }
        let files = asked["filePaths"].as_array().into_iter().flatten();
        let files: Vec<String> = files
            .filter_map(|path| Some(path.as_str()?.to_owned()))
            .collect();
        if let Some(item) = self.items.get_mut(&id) {
            if operation == "failRunQueueItem" {
                item.state = "FAILED";
                (item.failure, item.files) = (Some(said), files);
            } else {
                item.warnings.push(said);
            }
        }
        json!({operation: {"success": true}})
    }

    fn push(&mut self, asked: &Value) -> Result<Value, String> {
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        let queue = text("queueName").to_owned();
        if !self.queues.contains(&queue) {
            return Err("there is no such queue".to_owned());
        }
        let config = self.configs.get(&queue).cloned().unwrap_or_default();
        let priority = asked["priority"].as_u64();
        if priority.is_some() && !config.has_priorities && self.configs.contains_key(&queue) {
            return Err("priorities are not enabled".to_owned());
        }
        let spec = serde_json::from_str(text("runSpec")).unwrap_or_default();
        let id = self.put(&queue, spec);
        if let Some(item) = self.items.get_mut(&id) {
            item.priority = priority.unwrap_or(2);
        }
        Ok(json!({"pushToRunQueueByName": {"runQueueItemId": id}}))
    }

    fn queue_config(&mut self, operation: &str, asked: &Value) -> Value {
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        let read = |key: &str| serde_json::from_str(&text(key)).unwrap_or_default();
        match operation {
            "upsertRunQueue" => {
                let config = QueueConfig {
                    resource: text("resourceType"),
                    config: read("resourceConfig"),
                    variables: read("templateVariables"),
                    has_priorities: asked["prioritizationMode"] == "V0",
                };
                if !self.queues.contains(&text("queueName")) {
                    self.queues.push(text("queueName"));
                }
                self.configs.insert(text("queueName"), config);
                json!({"upsertRunQueue": {"success": true, "configSchemaValidationErrors": []}})
            }
            "GetRunQueueMetadata" => {
                let about = self.configs.get(&text("queueName")).map(|config| {
                    let mode = if config.has_priorities {
                        "V0"
                    } else {
                        "DISABLED"
                    };
                    json!({"id": "Q", "defaultResourceConfigID": text("queueName"),
                           "prioritizationMode": mode})
                });
                json!({"project": {"runQueue": about}})
            }
            _ => {
                let config = self.configs.get(&text("id"));
                let found = config.map(|config| {
                    let variables = config.variables.as_object().cloned().unwrap_or_default();
                    let variable = |(name, about): (&String, &Value)| {
                        json!({"name": name, "schema": about["schema"].to_string()})
                    };
                    let variables: Vec<Value> = variables.iter().map(variable).collect();
                    json!({"resource": config.resource, "config": config.config,
                           "templateVariables": variables})
                });
                json!({"entity": {"defaultResourceConfig": found}})
            }
        }
    }

    fn stop_run(&mut self, id: &str) -> Result<Value, String> {
        let text = BASE64_STANDARD.decode(id).unwrap_or_default();
        let text = String::from_utf8(text).unwrap_or_default();
        let run = text.split(':').nth(2).unwrap_or_default();
        let found = self.runs.get_mut(run).ok_or("there is no such run")?;
        found.1 = true;
        Ok(json!({"stopRun": {"success": true}}))
    }

    fn artifact(&self, operation: &str, asked: &Value) -> Value {
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        let shown = |id: &str| {
            let found = self.artifacts.get(id);
            found.map(
                |(kind, _)| json!({"id": id, "state": "COMMITTED", "artifactType": {"name": kind}}),
            )
        };
        match operation {
            "ArtifactMembershipByName" => {
                let id = format!("{}/{}/{}", text("entity"), text("project"), text("name"));
                let member = shown(&id).map(|artifact| json!({"artifact": artifact}));
                json!({"project": {"artifactCollectionMembership": member}})
            }
            "ArtifactName" => {
                let sequence = json!({"name": format!("code-{}", text("id").trim_matches('=')),
                    "project": {"name": "models", "entity": {"name": "team"}}});
                let known = self.artifacts.get(text("id"));
                let shown = known.map(|_| json!({"versionIndex": 3, "artifactSequence": sequence}));
                json!({"artifact": shown})
            }
            "ArtifactByID" => json!({"artifact": shown(text("id"))}),
            "FetchArtifactManifest" => {
                let url = format!("{}/manifest/{}", self.url, text("id"));
                json!({"artifact": {"currentManifest": {"file": {"directUrl": url}}}})
            }
            _ => {
                let files = self.artifacts.get(text("id"));
                let names = files.into_iter().flat_map(|(_, files)| files.keys());
                let edge = |name: &String| {
                    let url = format!("{}/content/{}?file={name}", self.url, text("id"));
                    json!({"node": {"name": name, "directUrl": url}})
                };
                // Pages of one, so that there are several.
                let names: Vec<&String> = names.collect();
                let at = asked["cursor"].as_str().and_then(|at| at.parse().ok());
                let at: usize = at.unwrap_or(0);
                let edges: Vec<Value> = names.get(at).map(|name| edge(name)).into_iter().collect();
                let next = at + 1;
                let page =
                    json!({"hasNextPage": next < names.len(), "endCursor": next.to_string()});
                json!({"artifact": {"files": {"pageInfo": page, "edges": edges}}})
            }
        }
    }

    /// The manifest of an artifact, as W&B writes it.
    pub(super) fn manifest(&self, id: &str) -> Option<Vec<u8>> {
        let (_, files) = self.artifacts.get(id)?;
        let entry = |(name, bytes): (&String, &Vec<u8>)| {
            let digest = BASE64_STANDARD.encode(Md5::digest(bytes));
            (name.clone(), json!({"digest": digest, "size": bytes.len()}))
        };
        let contents: Map<String, Value> = files.iter().map(entry).collect();
        let manifest = json!({"version": 1, "storagePolicy": "wandb-storage-policy-v1",
                              "storagePolicyConfig": {"storageLayout": "V2"},
                              "contents": contents});
        Some(manifest.to_string().into_bytes())
    }

    /// Adds an artifact of files.
    pub(crate) fn artifact_of(&mut self, id: &str, kind: &str, files: &[(&str, &str)]) {
        let own = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        let files = files.iter().map(own).collect();
        self.artifacts
            .insert(id.to_owned(), (kind.to_owned(), files));
    }

    /// What a run says of itself: files that are there, and its end.
    pub(super) fn file_stream(&mut self, run: &str, said: &Value) {
        if said["complete"] == true {
            let state = match said["exitcode"].as_i64() {
                Some(0) => "finished",
                _ => "failed",
            };
            let stopped = self.runs.get(run).is_some_and(|(_, stopped)| *stopped);
            self.runs
                .insert(run.to_owned(), (state.to_owned(), stopped));
        }
    }

    pub(crate) fn put(&mut self, queue: &str, spec: Value) -> String {
        let id = format!("UnVuSXRlbTo{}=", self.items.len() + 1);
        let item = Item {
            queue: queue.to_owned(),
            spec,
            state: "PENDING",
            run: None,
            priority: 2,
            failure: None,
            files: Vec::new(),
            warnings: Vec::new(),
            agent: String::new(),
        };
        self.items.insert(id.clone(), item);
        id
    }

    fn pop(&mut self, queue: &str, agent: &str) -> Value {
        let waits = |item: &Item| item.queue == queue && item.state == "PENDING";
        let waiting = self.items.iter_mut().filter(|(_, item)| waits(item));
        match waiting.min_by_key(|(_, item)| item.priority) {
            Some((id, item)) => {
                item.state = "LEASED";
                agent.clone_into(&mut item.agent);
                json!({"runQueueItemId": id, "runSpec": item.spec})
            }
            None => Value::Null,
        }
    }

    fn ack(&mut self, id: &str, run: &str) -> bool {
        if let (true, Some(item)) = (self.steal, self.items.get_mut(id)) {
            (item.state, item.run) = ("CLAIMED", Some("another".to_owned()));
        }
        match self.items.get_mut(id) {
            Some(item) if item.state == "LEASED" => {
                (item.state, item.run) = ("CLAIMED", Some(run.to_owned()));
                true
            }
            _ => false,
        }
    }

    /// Time passes: what was popped and not acknowledged goes back.
    pub(crate) fn expire(&mut self) {
        for item in self
            .items
            .values_mut()
            .filter(|item| item.state == "LEASED")
        {
            item.state = "PENDING";
        }
    }
}
