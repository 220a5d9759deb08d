//! Looking at queues and items, and making queues.

use launch_config::id::QueueName;
use serde_json::{Value, json};

use super::api::Api;
use super::failure::Failure;
use super::item::job_id;
use super::operations::{CREATE_QUEUE, ITEMS, QUEUES, UPSERT_QUEUE};
use crate::job::{Job, JobRecord, JobState, Priority, QueueRecord};
use crate::settings::{Prioritization, QueueSettings};

/// The queues of the entity with their ids, as the server orders them. A queue whose name
/// is none of ours cannot be polled, and is left out.
pub(super) async fn queue_ids(api: &Api) -> Result<Vec<(QueueName, String)>, Failure> {
    let options = api.options();
    let variables = json!({"entity": options.entity, "projectName": options.project});
    let data = api.call(&QUEUES, variables).await?;
    let queues = data["project"]["runQueues"]
        .as_array()
        .ok_or(Failure::Shape("queues: is the entity right?"))?;
    let read = |queue: &Value| {
        let name = queue["name"].as_str()?.parse().ok()?;
        Some((name, queue["id"].as_str()?.to_owned()))
    };
    Ok(queues.iter().filter_map(read).collect())
}

/// Makes a queue that its project's members may use, unless it is there.
pub(super) async fn create(api: &Api, queue: &QueueName) -> Result<(), Failure> {
    if queue_ids(api).await?.iter().any(|(name, _)| name == queue) {
        return Ok(());
    }
    let options = api.options();
    let variables = json!({
        "entity": options.entity,
        "project": options.project,
        "queueName": queue,
        "access": "PROJECT",
    });
    let data = api.call(&CREATE_QUEUE, variables).await?;
    if data["createRunQueue"]["success"] == true {
        return Ok(());
    }
    Err(Failure::Refused("the queue was not made".to_owned()))
}

pub(super) async fn configure(
    api: &Api,
    queue: &QueueName,
    settings: &QueueSettings,
) -> Result<(), Failure> {
    let options = api.options();
    let resource = settings.resource.as_deref().unwrap_or("local-container");
    let mut args = serde_json::Map::new();
    args.insert(resource.to_owned(), settings.resource_args.clone());
    let templates = match &settings.template_variables {
        Value::Null => Value::Null,
        templates => templates.to_string().into(),
    };
    let mode = match settings.prioritization {
        Prioritization::Priority => "V0",
        Prioritization::Age => "DISABLED",
    };
    let variables = json!({
        "entityName": options.entity,
        "projectName": options.project,
        "queueName": queue,
        "resourceType": resource,
        "resourceConfig": json!({"resource_args": args}).to_string(),
        "templateVariables": templates,
        "prioritizationMode": mode,
    });
    let data = api.call(&UPSERT_QUEUE, variables).await?;
    if let Some(errors) = data["upsertRunQueue"]["configSchemaValidationErrors"].as_array() {
        for error in errors {
            tracing::warn!(%queue, "the server says of the settings: {error}");
        }
    }
    Ok(())
}

/// The ids and states of the items of a queue.
pub(super) async fn states(api: &Api, queue: &QueueName) -> Result<Vec<(String, String)>, Failure> {
    let options = api.options();
    let variables = json!({
        "projectName": options.project,
        "entityName": options.entity,
        "runQueue": queue,
    });
    let data = api.call(&ITEMS, variables).await?;
    let edges = data["project"]["runQueue"]["runQueueItems"]["edges"].as_array();
    let read = |edge: &Value| {
        let node = &edge["node"];
        let state = node["state"].as_str().unwrap_or_default().to_uppercase();
        Some((node["id"].as_str()?.to_owned(), state))
    };
    Ok(edges.into_iter().flatten().filter_map(read).collect())
}

fn state(word: &str) -> JobState {
    match word {
        "PENDING" => JobState::Waiting,
        "LEASED" | "CLAIMED" | "RUNNING" => JobState::Leased,
        _ => JobState::Ended,
    }
}

/// The queues with the counts of their newest hundred items, which is what the server tells.
pub(super) async fn queues(api: &Api) -> Result<Vec<QueueRecord>, Failure> {
    let mut records = Vec::new();
    for (name, _) in queue_ids(api).await? {
        let mut record = QueueRecord::empty(name.clone());
        for (_, word) in states(api, &name).await? {
            match state(&word) {
                JobState::Waiting => record.waiting += 1,
                JobState::Leased => record.leased += 1,
                JobState::Ended => record.ended += 1,
            }
        }
        records.push(record);
    }
    records.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(records)
}

/// Items without their specs, which the server gives only to whoever takes them.
pub(super) async fn jobs(
    api: &Api,
    queue: &QueueName,
    limit: usize,
) -> Result<Vec<JobRecord>, Failure> {
    let states = states(api, queue).await?;
    let record = |(id, word): &(String, String)| {
        let (id, queue) = (job_id(id)?, queue.clone());
        let job = Job::new(id, queue, Priority::default(), 0, Value::Null);
        let mut record = JobRecord::waiting(job, 0);
        record.state = state(word);
        Ok(record)
    };
    states.iter().take(limit).map(record).collect()
}
