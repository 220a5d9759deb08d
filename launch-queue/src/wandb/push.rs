//! Putting items in, and putting them back.

use launch_config::id::JobId;
use serde_json::{Value, json};

use super::WandbQueue;
use super::admin::{self, Listed};
use super::api::Api;
use super::failure::Failure;
use super::item::{Item, job_id};
use super::operations::{ITEM_PRIORITY, ITEM_SPEC, PUSH, PUSH_BY_ID, push as document};
use super::pop::spec;
use crate::error::Error;
use crate::job::{EnqueueRequest, Priority};

/// A spec on its way into a queue.
struct Pushed<'a> {
    entity: &'a str,
    queue: &'a launch_config::id::QueueName,
    spec: &'a Value,
    priority: Option<Priority>,
    values: Option<String>,
}

/// Pushes a spec into a queue, by its name.
pub(super) async fn push(api: &Api, request: &EnqueueRequest) -> Result<JobId, Failure> {
    let spec = &request.spec;
    let named = ["queue_entity", "entity"].into_iter();
    let mut named = named.filter_map(|key| spec[key].as_str());
    let entity = match named.next() {
        Some(entity) => entity,
        None => api.entity().await?,
    };
    let values = match &request.template_values {
        Value::Null => None,
        values => Some(checked(api, request, values).await?.to_string()),
    };
    let priority = (request.priority != Priority::default()).then_some(request.priority);
    let pushed = Pushed {
        entity,
        queue: &request.queue,
        spec,
        priority,
        values,
    };
    job_id(&send(api, &pushed).await?)
}

/// The values as the queue's variables want them: a command line has only texts.
async fn checked(api: &Api, request: &EnqueueRequest, values: &Value) -> Result<Value, Failure> {
    let settings = admin::settings(api, &request.queue).await?;
    let checked = settings.values(values).map_err(|source| Error::Settings {
        queue: request.queue.clone(),
        source,
    })?;
    // What nobody gave is the server's to fill in.
    let given = |(name, _): &(&String, &Value)| values.get(name.as_str()).is_some();
    let map = checked.as_map().iter().filter(given);
    Ok(map
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect())
}

/// By the queue's name; by its id on servers that know no names, which know no priorities
/// either.
async fn send(api: &Api, pushed: &Pushed<'_>) -> Result<String, Failure> {
    let mut variables = json!({
        "entityName": pushed.entity,
        "projectName": api.options().project,
        "queueName": pushed.queue,
        "runSpec": pushed.spec.to_string(),
    });
    if let Some(priority) = pushed.priority {
        variables["priority"] = priority.level().into();
    }
    if let Some(values) = &pushed.values {
        variables["templateVariableValues"] = values.as_str().into();
    }
    let text = document(pushed.priority.is_some(), pushed.values.is_some());
    let data = api.document(PUSH, &text, false, variables).await?;
    let id = &data["pushToRunQueueByName"]["runQueueItemId"];
    match id.as_str() {
        Some(id) => Ok(id.to_owned()),
        None if pushed.priority.is_none() && pushed.values.is_none() => by_id(api, pushed).await,
        None => Err(missing(pushed).into()),
    }
}

async fn by_id(api: &Api, pushed: &Pushed<'_>) -> Result<String, Failure> {
    let there = admin::queues_of(api, pushed.entity).await?;
    let found = there.unwrap_or_default().into_iter();
    let mut found = found.filter(|(name, _)| name == pushed.queue);
    let (_, queue) = found.next().ok_or_else(|| missing(pushed))?;
    let variables = json!({"queueID": queue, "runSpec": pushed.spec.to_string()});
    let data = api.call(&PUSH_BY_ID, variables).await?;
    let id = data["pushToRunQueue"]["runQueueItemId"].as_str();
    id.map(str::to_owned).ok_or(Failure::Shape("item id"))
}

fn missing(pushed: &Pushed<'_>) -> Error {
    Error::Config {
        what: format!("entity `{}` has no queue `{}`", pushed.entity, pushed.queue),
    }
}

impl WandbQueue {
    /// Pushes the spec of an item again, for the same run to go on, with its priority.
    ///
    /// The server has no step for it, and a push whose answer is lost may have been done:
    /// what was in the queue before is written down first, so that this can be repeated,
    /// also after a crash.
    pub(super) async fn again(&self, mut item: Item) -> Result<(), Failure> {
        let api = &self.api;
        let there = admin::items(api, &item.queue).await?;
        if let Some(before) = &item.before_requeue {
            for listed in there.iter().filter(|listed| !before.contains(&listed.id)) {
                if is_pushed(api, &item, listed).await? {
                    return Ok(());
                }
            }
        } else {
            item.before_requeue = Some(there.into_iter().map(|listed| listed.id).collect());
            self.items.keep(&item)?;
        }
        let spec = resumed(&item);
        let pushed = Pushed {
            entity: api.entity().await?,
            queue: &item.queue,
            spec: &spec,
            priority: priority(api, &item).await?,
            values: None,
        };
        let answer = match send(api, &pushed).await {
            // A queue without priorities takes none.
            Err(failure) if failure.is_refusal() && pushed.priority.is_some() => {
                tracing::debug!(%failure, "pushing again without the priority");
                let priority = None;
                send(api, &Pushed { priority, ..pushed }).await
            }
            answer => answer,
        };
        if let Err(failure) = &answer
            && (failure.never_sent() || failure.is_refusal() || failure.is_unauthorized())
        {
            // It was not done, for certain: what comes into the queue now is others'.
            item.before_requeue = None;
            self.items.keep(&item)?;
        }
        answer.map(drop)
    }
}

/// Whether an item that came into the queue is what was pushed again: its spec tells. Where
/// the server shows none, an item of our run is, and so is one that no agent has yet: a run
/// that is done twice is worse than one that somebody has to push by hand.
async fn is_pushed(api: &Api, item: &Item, listed: &Listed) -> Result<bool, Failure> {
    if listed
        .run
        .as_deref()
        .is_some_and(|run| run != item.run_id())
    {
        return Ok(false);
    }
    let data = match api
        .call(&ITEM_SPEC, about(api, item, &listed.id).await?)
        .await
    {
        Err(failure) if failure.is_refusal() => Value::Null,
        answer => answer?,
    };
    let shown = spec(&data["project"]["runQueue"]["runQueueItem"]["runSpec"]);
    if shown.is_null() {
        tracing::debug!(item = listed.id, "the server shows no specs of items");
        return Ok(true);
    }
    let pushed = resumed(item);
    Ok(["run_id", "_resume_count"]
        .iter()
        .all(|key| shown[key] == pushed[key]))
}

/// The variables of a question about an item of the same queue.
async fn about(api: &Api, item: &Item, id: &str) -> Result<Value, Failure> {
    Ok(json!({
        "projectName": api.options().project,
        "entityName": api.entity().await?,
        "runQueue": item.queue,
        "itemId": id,
    }))
}

/// The spec for the run to go on.
fn resumed(item: &Item) -> Value {
    let mut spec = item.spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        // The sweep has given its run up; the run goes on by itself.
        fields.remove("sweep_id");
        fields.insert("_resume_count".to_owned(), (item.resumes() + 1).into());
    }
    spec
}

/// The priority of an item, if the server tells it; the ordinary one needs no word.
async fn priority(api: &Api, item: &Item) -> Result<Option<Priority>, Failure> {
    let data = match api
        .call(&ITEM_PRIORITY, about(api, item, &item.id).await?)
        .await
    {
        Err(failure) if failure.is_refusal() => return Ok(None),
        answer => answer?,
    };
    let level = &data["project"]["runQueue"]["runQueueItem"]["priority"];
    let level = level.as_u64().and_then(|level| u8::try_from(level).ok());
    let priority = level.and_then(Priority::from_level);
    Ok(priority.filter(|priority| *priority != Priority::default()))
}
