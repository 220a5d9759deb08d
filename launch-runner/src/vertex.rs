//! Runs as custom jobs of Google's Vertex AI, over its REST API
//! (`projects.locations.customJobs`, v1).
//!
//! A run is one custom job, labelled with job, attempt and owner. The service names jobs
//! itself and takes the same request twice, so a run is looked for before it is made, and of
//! several jobs with the labels of one run the oldest counts: whoever made another, or
//! watches, ends it. Jobs wait minutes for their machines, so that none runs twice.
//!
//! Credentials are Google's Application Default Credentials, which renew themselves. The
//! project is given, or that of the credentials.
//!
//! | what is asked of IAM | for |
//! | --- | --- |
//! | `aiplatform.customJobs.create`, `list`, `cancel`, `delete` | submitting, watching, cancelling, cleaning up |
//! | `iam.serviceAccounts.actAs` on a custom service account | submitting |
//! | `logging.logEntries.list` | the output |
//!
//! Limits of the service:
//! - Cancelling gives a program the service's own grace, whatever is asked for.
//! - Who cancelled a job is not told. A job that failed tells its exit code in words, which
//!   are read.
//! - Cloud Logging keeps lines, and replaces what is no UTF-8. Entries that arrive late are
//!   told late; a watcher that comes back counts bytes of what is there then, in order of
//!   time.

mod api;
mod label;
mod output;
mod project;
mod request;
mod run;
mod schema;
mod state;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_config::id::RunKey;
use serde_json::Value;

use self::api::{Api, Endpoints};
pub use self::request::{Location, custom_job};
use self::run::{VertexRun, end_duplicate, jobs_of, name_of};
use crate::managed::{Fault, Pace, patiently};
use crate::run::{Run, RunHandle, RunRequest};
use crate::{Error, Runner};

/// What handles of this runner say.
const NAME: &str = "vertex";
/// How often a job is made again whose reply was lost.
const TRIES: u32 = 5;

/// Runs jobs as custom jobs.
///
/// ```no_run
/// use launch_runner::Runner as _;
/// use launch_runner::vertex::VertexRunner;
///
/// # async fn example() -> Result<(), launch_runner::Error> {
/// let runner = VertexRunner::builder("europe-west4").with_owner("agent-1").connect().await?;
/// runner.check().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct VertexRunner {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    api: Api,
    owner: String,
    pace: Pace,
}

/// What a [`VertexRunner`] is made from.
#[derive(Debug)]
#[must_use]
pub struct VertexBuilder {
    region: String,
    project: Option<String>,
    owner: String,
    endpoint: Option<String>,
    credentials: Option<Value>,
    pace: Pace,
}

impl VertexBuilder {
    /// Sets the project; else it is that of the credentials.
    pub fn with_project(mut self, project: Option<String>) -> Self {
        self.project = project;
        self
    }

    /// Sets whose the jobs are.
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        self.owner = owner.into();
        self
    }

    /// Sets where both APIs are, instead of Google's hosts: `https://host`.
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets the credentials, as a file of Google's holds them.
    pub fn with_credentials(mut self, json: Value) -> Self {
        self.credentials = Some(json);
        self
    }

    /// Sets how often Vertex AI is asked: `soon` after something happened, then more and
    /// more rarely, down to every `late`; and how long output may take to arrive after the
    /// end.
    pub fn with_pace(mut self, soon: Duration, late: Duration, settle: Duration) -> Self {
        self.pace = Pace { soon, late, settle };
        self
    }

    /// Finds the credentials and the project. Nothing is asked of Vertex AI yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there are none.
    pub async fn connect(self) -> Result<VertexRunner, Error> {
        let unavailable = |missing: String| Error::Unavailable {
            runner: NAME,
            missing,
            source: None,
        };
        let given = self.credentials.clone();
        let credentials = match self.credentials {
            Some(json) => api::credentials_of(json),
            None => api::default_credentials(),
        };
        let credentials = credentials.map_err(&unavailable)?;
        let project = match self.project {
            Some(project) => Some(project),
            None => project::of_credentials(given.as_ref()).await,
        };
        let project = project.ok_or_else(|| {
            unavailable("a project (`environment.project`, or GOOGLE_CLOUD_PROJECT)".to_owned())
        })?;
        let endpoints = match self.endpoint {
            Some(endpoint) => Endpoints {
                vertex: endpoint.clone(),
                logging: endpoint,
            },
            None => Endpoints::of(&self.region),
        };
        let location = Location::new(project, self.region);
        let api = Api::new(location, endpoints, credentials).map_err(unavailable)?;
        let parts = Arc::new(Parts {
            api,
            owner: label::owner(&self.owner),
            pace: self.pace,
        });
        Ok(VertexRunner { parts })
    }
}

impl VertexRunner {
    /// A runner of jobs in `region`.
    pub fn builder(region: impl Into<String>) -> VertexBuilder {
        VertexBuilder {
            region: region.into(),
            project: None,
            owner: "launch".to_owned(),
            endpoint: None,
            credentials: None,
            pace: Pace::default(),
        }
    }

    fn run(&self, key: RunKey, job: &Value) -> Box<dyn Run> {
        let handle = RunHandle::new(NAME, key, name_of(job));
        let parts = Arc::clone(&self.parts);
        Box::new(VertexRun { parts, handle })
    }

    /// The whole body of a new job, labels included.
    fn job(&self, request: &RunRequest) -> Result<Value, Error> {
        let job = custom_job(request, &self.parts.api.location);
        let mut job = job.map_err(|why| Error::Refused {
            runner: NAME,
            key: request.key.clone(),
            why,
        })?;
        let labels = label::of(&request.key, &self.parts.owner);
        if let Some(Value::Object(own)) = job.get_mut("labels") {
            own.extend(labels);
        }
        Ok(Value::Object(job))
    }

    /// Makes a job, and gives way if another of the same run is older.
    async fn make(&self, key: &RunKey, body: &Value) -> Result<Value, Fault> {
        let made = self.parts.api.create(body).await?;
        let jobs = jobs_of(&self.parts, key).await?;
        let first = jobs.into_iter().next().unwrap_or_else(|| made.clone());
        if name_of(&first) != name_of(&made) {
            end_duplicate(&self.parts, &made).await;
        }
        Ok(first)
    }

    async fn find_or_make(&self, key: &RunKey, body: &Value) -> Result<Value, Fault> {
        let mut pause = self.parts.pace.soon;
        for tries_left in (0..TRIES).rev() {
            if let Some(job) = jobs_of(&self.parts, key).await?.into_iter().next() {
                return Ok(job);
            }
            match self.make(key, body).await {
                // It may have been made: that is looked for before it is made again.
                Err(Fault::Away(error)) if tries_left > 0 => {
                    tracing::debug!(%key, error, "looking for the job before making it again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                other => return other,
            }
        }
        Err(Fault::Away("it does not answer".into()))
    }
}

impl fmt::Display for VertexRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = &self.parts.api.location;
        write!(f, "Vertex AI custom jobs in {}", location.parent())
    }
}

#[async_trait]
impl Runner for VertexRunner {
    async fn check(&self) -> Result<(), Error> {
        let filter = label::filter_of_owner(&self.parts.owner);
        let listed = patiently(|| self.parts.api.list(&filter)).await;
        listed.map(drop).map_err(|fault| fault.unavailable(NAME))
    }

    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error> {
        let body = self.job(&request)?;
        let key = request.key;
        match self.find_or_make(&key, &body).await {
            Ok(job) => Ok(self.run(key, &job)),
            Err(Fault::Refused(why)) if why.contains("INVALID_ARGUMENT") => Err(Error::Refused {
                runner: NAME,
                key,
                why,
            }),
            Err(Fault::Absent) => Err(Error::Refused {
                runner: NAME,
                key,
                why: "Vertex AI does not find what the queue names".to_owned(),
            }),
            Err(fault) => Err(fault.about(NAME, "submit", &key)),
        }
    }

    async fn attach(&self, handle: &RunHandle) -> Result<Box<dyn Run>, Error> {
        let key = handle.key.clone();
        if handle.runner != NAME {
            return Err(Error::Handle {
                key,
                runner: handle.runner.clone(),
            });
        }
        let jobs = jobs_of(&self.parts, &key).await;
        match jobs
            .map_err(|fault| fault.about(NAME, "find", &key))?
            .first()
        {
            Some(job) => Ok(self.run(key, job)),
            None => Err(Error::Lost(key)),
        }
    }

    async fn owned(&self) -> Result<Vec<RunKey>, Error> {
        let filter = label::filter_of_owner(&self.parts.owner);
        let jobs = patiently(|| self.parts.api.list(&filter)).await;
        let jobs = jobs.map_err(|fault| fault.unavailable(NAME))?;
        let keys: HashSet<RunKey> = jobs.iter().filter_map(label::key_of).collect();
        Ok(keys.into_iter().collect())
    }
}
