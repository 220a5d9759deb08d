//! Between columns of a table and values: what the SQL adapters share.

use std::error::Error as StdError;
use std::str::FromStr;

use launch_config::id::QueueName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;
use crate::job::{EnqueueRequest, Job, JobState, Priority};
use crate::settings::QueueSettings;
use crate::spec::{MAX_SPEC_DEPTH, is_too_deep};

/// A column holds what no adapter writes.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` cannot be read")]
pub(crate) struct ColumnError {
    column: &'static str,
    #[source]
    source: Box<dyn StdError + Send + Sync>,
}

/// A job as its columns hold it.
pub(crate) struct StoredJob {
    pub(crate) id: String,
    pub(crate) queue: String,
    pub(crate) priority: u8,
    pub(crate) attempt: u32,
    pub(crate) spec: String,
}

impl StoredJob {
    pub(crate) fn into_job(self) -> Result<Job, ColumnError> {
        let priority = Priority::from_level(self.priority);
        Ok(Job::new(
            word("id", &self.id)?,
            word("queue", &self.queue)?,
            priority.ok_or_else(|| unreadable("priority", &self.priority.to_string()))?,
            self.attempt,
            spec(self.spec),
        ))
    }
}

/// A spec that somebody damaged goes to the worker as text: it is refused there, with a
/// reason, instead of blocking its queue here.
fn spec(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// A request whose spec can be stored, as text already.
pub(crate) struct NewJob {
    pub(crate) request: EnqueueRequest,
    pub(crate) spec: String,
}

impl NewJob {
    /// Does what needs no database, before one is locked.
    pub(crate) fn check(request: EnqueueRequest) -> Result<Self, Error> {
        if is_too_deep(&request.spec) {
            return Err(Error::SpecDepth {
                max: MAX_SPEC_DEPTH,
            });
        }
        let spec = to_json(&request.spec);
        Ok(Self { request, spec })
    }

    /// The job as the queue's settings make it.
    pub(crate) fn under(mut self, settings: &QueueSettings) -> Result<Self, Error> {
        let request = &mut self.request;
        let checked = settings.check_priority(request.priority);
        let resolved =
            checked.and_then(|()| settings.resolve(&request.spec, &request.template_values));
        request.spec = resolved.map_err(|source| Error::Settings {
            queue: request.queue.clone(),
            source,
        })?;
        self.spec = to_json(&request.spec);
        Ok(self)
    }

    /// Whether the stored job of this id is the one requested.
    pub(crate) fn is_same(&self, queue: &str, spec: &str) -> bool {
        // By value if not by text: the order of keys says nothing.
        let is_same_spec = spec == self.spec
            || serde_json::from_str::<Value>(spec).is_ok_and(|spec| spec == self.request.spec);
        queue == self.request.queue.as_str() && is_same_spec
    }
}

/// Settings that can be stored, as text.
pub(crate) fn settings_text(queue: &QueueName, settings: &QueueSettings) -> Result<String, Error> {
    settings.check().map_err(|source| Error::Settings {
        queue: queue.clone(),
        source,
    })?;
    Ok(to_json(settings))
}

/// The settings of a queue, of which nothing may have been said.
pub(crate) fn settings(text: Option<&str>) -> Result<QueueSettings, ColumnError> {
    text.map_or_else(
        || Ok(QueueSettings::default()),
        |text| json("settings", text),
    )
}

pub(crate) fn state(text: &str) -> Result<JobState, ColumnError> {
    let all = [JobState::Waiting, JobState::Leased, JobState::Ended];
    let found = all.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| unreadable("state", text))
}

/// The text of a value whose types all have a JSON form.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are texts, and no type refuses to serialize")
}

/// The integers of SQL are signed; ours stay far below where that matters.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The value that [`signed`] stored.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(crate) fn word<T>(column: &'static str, text: &str) -> Result<T, ColumnError>
where
    T: FromStr<Err: StdError + Send + Sync + 'static>,
{
    text.parse().map_err(|source| ColumnError {
        column,
        source: Box::new(source),
    })
}

pub(crate) fn json<T: DeserializeOwned>(
    column: &'static str,
    text: &str,
) -> Result<T, ColumnError> {
    serde_json::from_str(text).map_err(|source| ColumnError {
        column,
        source: Box::new(source),
    })
}

fn unreadable(column: &'static str, text: &str) -> ColumnError {
    ColumnError {
        column,
        source: format!("unknown value `{text}`").into(),
    }
}
