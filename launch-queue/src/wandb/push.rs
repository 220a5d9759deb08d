//! Putting items in.

use launch_config::id::JobId;
use serde_json::{Value, json};

use super::api::Api;
use super::failure::Failure;
use super::item::{Item, job_id};
use super::operations::{PUSH, push as document};
use crate::job::{EnqueueRequest, Priority};

/// Pushes a spec into a queue, by its name.
pub(super) async fn push(api: &Api, request: &EnqueueRequest) -> Result<JobId, Failure> {
    let spec = &request.spec;
    let priority = (request.priority != Priority::default()).then_some(request.priority);
    let values = match &request.template_values {
        Value::Null => None,
        values => Some(values.to_string()),
    };
    let mut variables = json!({
        "entityName": queue_entity(api, spec),
        "projectName": api.options().project,
        "queueName": request.queue,
        "runSpec": spec.to_string(),
    });
    if let Some(priority) = priority {
        variables["priority"] = priority.level().into();
    }
    if let Some(values) = &values {
        variables["templateVariableValues"] = values.as_str().into();
    }
    let document = document(priority.is_some(), values.is_some());
    let data = api.document(PUSH, &document, false, variables).await?;
    let id = data["pushToRunQueueByName"]["runQueueItemId"].as_str();
    job_id(id.ok_or(Failure::Shape("item id: is there such a queue?"))?)
}

/// Pushes the spec of an item again, for the same run to go on.
pub(super) async fn again(api: &Api, item: &Item) -> Result<(), Failure> {
    let mut spec = item.spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        // The sweep has given its run up; the run goes on by itself.
        fields.remove("sweep_id");
        fields.insert("_resume_count".to_owned(), (item.resumes() + 1).into());
    }
    push(api, &EnqueueRequest::new(item.queue.clone(), spec))
        .await
        .map(drop)
}

/// The owner of the queue: the spec's word, else the agent's entity.
fn queue_entity<'a>(api: &'a Api, spec: &'a Value) -> &'a str {
    let named = ["queue_entity", "entity"].into_iter();
    let mut found = named.filter_map(|key| spec[key].as_str());
    found.next().unwrap_or(&api.options().entity)
}
