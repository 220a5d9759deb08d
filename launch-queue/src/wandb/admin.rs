//! Looking at queues and items, and making queues.

use launch_config::id::QueueName;
use serde_json::{Value, json};

use super::api::Api;
use super::failure::Failure;
use super::item::job_id;
use super::operations::{
    CREATE_QUEUE, ITEMS, METADATA, QUEUES, RESOURCE_CONFIG, UPSERT_MODEL, UPSERT_QUEUE,
};
use crate::job::{Job, JobRecord, JobState, Priority, QueueRecord};
use crate::settings::{Prioritization, QueueSettings};

/// Queues with their ids, as the server orders them.
type Queues = Vec<(QueueName, String)>;

/// The queues of the entity; nothing if it has no project for queues. A queue whose name is
/// none of ours cannot be polled, and is left out.
pub(super) async fn queue_ids(api: &Api) -> Result<Option<Queues>, Failure> {
    queues_of(api, api.entity().await?).await
}

/// The queues of an entity, as [`queue_ids`].
pub(super) async fn queues_of(api: &Api, entity: &str) -> Result<Option<Queues>, Failure> {
    let variables = json!({"entity": entity, "projectName": api.options().project});
    let data = api.call(&QUEUES, variables).await?;
    let Some(queues) = data["project"]["runQueues"].as_array() else {
        return Ok(None);
    };
    let read = |queue: &Value| {
        let name = queue["name"].as_str()?.parse().ok()?;
        Some((name, queue["id"].as_str()?.to_owned()))
    };
    Ok(Some(queues.iter().filter_map(read).collect()))
}

/// Makes a queue that its project's members may use, unless it is there.
pub(super) async fn create(api: &Api, queue: &QueueName) -> Result<(), Failure> {
    let entity = api.entity().await?;
    let project = &api.options().project;
    match queue_ids(api).await? {
        Some(there) if there.iter().any(|(name, _)| name == queue) => return Ok(()),
        Some(_) => {}
        None => {
            let variables = json!({"name": project, "entity": entity});
            api.call(&UPSERT_MODEL, variables).await?;
        }
    }
    let variables = json!({
        "entity": entity,
        "project": project,
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
        "entityName": api.entity().await?,
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

/// What the server says of a queue: its resource and arguments, what a submission may set,
/// how it orders its items.
pub(super) async fn settings(api: &Api, queue: &QueueName) -> Result<QueueSettings, Failure> {
    let entity = api.entity().await?;
    let variables = json!({
        "projectName": api.options().project,
        "entityName": entity,
        "queueName": queue,
    });
    let data = api.call(&METADATA, variables).await?;
    let about = &data["project"]["runQueue"];
    let mut settings = QueueSettings {
        prioritization: match about["prioritizationMode"].as_str() {
            Some("V0") => Prioritization::Priority,
            _ => Prioritization::Age,
        },
        ..QueueSettings::default()
    };
    let Some(id) = about["defaultResourceConfigID"].as_str() else {
        return Ok(settings);
    };
    let variables = json!({"entityName": entity, "id": id});
    let mut data = api.call(&RESOURCE_CONFIG, variables).await?;
    let mut found = data["entity"]["defaultResourceConfig"].take();
    let resource = found["resource"].as_str().map(str::to_owned);
    let config = match found["config"].take() {
        // As with specs: an object, or the text of one.
        Value::String(text) => serde_json::from_str(&text).unwrap_or_default(),
        config => config,
    };
    settings.resource_args = match &resource {
        Some(resource) => config["resource_args"][resource.as_str()].clone(),
        None => Value::Null,
    };
    settings.resource = resource;
    settings.template_variables = match found["templateVariables"].take() {
        Value::Array(list) if list.is_empty() => Value::Null,
        list => list,
    };
    Ok(settings)
}

/// An item as a listing shows it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) id: String,
    /// In the server's words, in capitals.
    pub(super) state: String,
    pub(super) run: Option<String>,
}

/// The items of a queue: the hundred that the server lists.
pub(super) async fn items(api: &Api, queue: &QueueName) -> Result<Vec<Listed>, Failure> {
    let variables = json!({
        "projectName": api.options().project,
        "entityName": api.entity().await?,
        "runQueue": queue,
    });
    let data = api.call(&ITEMS, variables).await?;
    let edges = data["project"]["runQueue"]["runQueueItems"]["edges"].as_array();
    let read = |edge: &Value| {
        let node = &edge["node"];
        Some(Listed {
            id: node["id"].as_str()?.to_owned(),
            state: node["state"].as_str().unwrap_or_default().to_uppercase(),
            run: node["associatedRunId"].as_str().map(str::to_owned),
        })
    };
    Ok(edges.into_iter().flatten().filter_map(read).collect())
}

/// Where an item stands, for the server's word.
pub(super) fn state(word: &str) -> JobState {
    match word {
        "PENDING" => JobState::Waiting,
        "LEASED" | "CLAIMED" | "RUNNING" => JobState::Leased,
        _ => JobState::Ended,
    }
}

/// The queues with the counts of their newest hundred items, which is what the server tells.
pub(super) async fn queues(api: &Api) -> Result<Vec<QueueRecord>, Failure> {
    let there = queue_ids(api).await?;
    let there = there.ok_or(Failure::Shape("queues: is the entity right?"))?;
    let mut records = Vec::new();
    for (name, _) in there {
        let mut record = QueueRecord::empty(name.clone());
        record.settings = settings(api, &name).await?;
        for item in items(api, &name).await? {
            match state(&item.state) {
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
    let items = items(api, queue).await?;
    items
        .iter()
        .take(limit)
        .map(|item| record(queue, item))
        .collect()
}

/// The record of an item that a server lists under its queue; nothing if none does.
pub(super) async fn job(api: &Api, id: &str) -> Result<Option<JobRecord>, Failure> {
    for (queue, _) in queue_ids(api).await?.unwrap_or_default() {
        let items = items(api, &queue).await?;
        if let Some(item) = items.iter().find(|item| item.id == id) {
            return record(&queue, item).map(Some);
        }
    }
    Ok(None)
}

fn record(queue: &QueueName, item: &Listed) -> Result<JobRecord, Failure> {
    let spec = item.run.as_ref().map(|run| json!({"run_id": run}));
    let spec = spec.unwrap_or_default();
    let job = Job::new(
        job_id(&item.id)?,
        queue.clone(),
        Priority::default(),
        0,
        spec,
    );
    let mut record = JobRecord::waiting(job, 0);
    record.state = state(&item.state);
    Ok(record)
}
