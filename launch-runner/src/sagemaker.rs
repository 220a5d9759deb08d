//! Runs as training jobs of Amazon SageMaker.
//!
//! A run is one training job, tagged with job, attempt and owner. It is named after the W&B
//! run, where its id is a name SageMaker takes, and from the second attempt on after the
//! attempt too, so that a reply that is lost
//! creates nothing twice: SageMaker refuses a name that is taken, and the tags say whether
//! it was taken by this run.
//!
//! Calls are signed and sent without AWS's generated client, which alone would take longer
//! to compile than everything else here. Credentials are found as AWS's tools find them,
//! and renewed before their end.
//!
//! | what is asked of IAM | for |
//! | --- | --- |
//! | `sts:GetCallerIdentity` | the account and partition of a role that is given by name |
//! | `sagemaker:CreateTrainingJob`, `AddTags`, `iam:PassRole` on the role | submitting |
//! | `sagemaker:DescribeTrainingJob`, `ListTags`, `StopTrainingJob`, `DeleteTags`, `Search` | watching, finding again, cancelling, cleaning up |
//! | `logs:DescribeLogStreams`, `GetLogEvents` | the output |
//!
//! Limits of the service:
//! - Cancelling gives a program SageMaker's own grace, two minutes, whatever is asked for.
//! - `Stopped` has no exit code; who stopped a job is not told. A job that failed tells its
//!   code in words, which are read.
//! - `CloudWatch` keeps lines, without those that are empty, and replaces what is no UTF-8.
//!   Of several hosts, the first one's output is live, the others' follows at the end.
//! - Training jobs stay for ever: cleaning up removes our tags. After it, the same key is
//!   refused unless the queue or the run id gives the job another name.
//! - The search for our jobs lags some seconds behind; jobs of this very runner are known
//!   at once.

mod aws;
mod output;
mod request;
mod run;
mod spelling;
mod state;
mod tag;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
pub use aws_config;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use launch_config::id::RunKey;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use self::aws::{Aws, Service};
pub use self::request::{Defaults, Identity, training_job};
use self::run::SagemakerRun;
use crate::managed::{Fault, Pace, patiently};
use crate::run::{Run, RunHandle, RunRequest};
use crate::{Error, Runner};

/// What handles of this runner say.
const NAME: &str = "sagemaker";

/// Runs jobs as training jobs.
///
/// ```no_run
/// use launch_runner::Runner as _;
/// use launch_runner::sagemaker::SagemakerRunner;
///
/// # async fn example() -> Result<(), launch_runner::Error> {
/// let runner = SagemakerRunner::connect("agent-1", Some("eu-west-1")).await?;
/// runner.check().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SagemakerRunner {
    parts: Arc<Parts>,
}

#[derive(Debug)]
struct Parts {
    aws: Aws,
    owner: String,
    defaults: Defaults,
    pace: Pace,
    identity: OnceCell<Identity>,
    /// Jobs this runner made, which a search does not find for some seconds.
    recent: Mutex<HashMap<RunKey, String>>,
}

impl Parts {
    async fn sagemaker(&self, action: &str, body: &Value) -> Result<Value, Fault> {
        self.aws.call(Service::Sagemaker, action, body).await
    }

    async fn identity(&self) -> Result<&Identity, Fault> {
        let ask = || patiently(|| self.aws.identity());
        self.identity.get_or_try_init(ask).await
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, HashMap<RunKey, String>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, key: &RunKey) {
        self.recent().remove(key);
    }
}

impl SagemakerRunner {
    /// Finds credentials, and a region if none is given, as AWS's tools do; what it makes is
    /// tagged with `owner`. Nothing is asked of SageMaker yet.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is no region.
    pub async fn connect(owner: impl Into<String>, region: Option<&str>) -> Result<Self, Error> {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
            ))
            .build_https();
        let loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        let loader = match region {
            Some(region) => loader.region(Region::new(region.to_owned())),
            None => loader,
        };
        Self::with(&loader.load().await, owner)
    }

    /// Speaks to what `config` names: its region, credentials and endpoint.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if it has no region or no credentials.
    pub fn with(config: &SdkConfig, owner: impl Into<String>) -> Result<Self, Error> {
        let aws = Aws::of(config).map_err(|missing| Error::Unavailable {
            runner: NAME,
            missing,
            source: None,
        })?;
        let parts = Parts {
            aws,
            owner: tag::owner(&owner.into()),
            defaults: Defaults::default(),
            pace: Pace::default(),
            identity: OnceCell::new(),
            recent: Mutex::default(),
        };
        let parts = Arc::new(parts);
        Ok(Self { parts })
    }

    /// Sets what counts where a queue does not say.
    #[must_use]
    pub fn with_defaults(self, defaults: Defaults) -> Self {
        self.with_parts(|parts| parts.defaults = defaults)
    }

    /// Sets how often SageMaker is asked: `soon` after something happened, then more and
    /// more rarely, down to every `late`; and how long output may take to arrive after the
    /// end.
    #[must_use]
    pub fn with_pace(self, soon: Duration, late: Duration, settle: Duration) -> Self {
        self.with_parts(|parts| parts.pace = Pace { soon, late, settle })
    }

    fn with_parts(self, set: impl FnOnce(&mut Parts)) -> Self {
        // A runner that is shared already keeps its settings.
        let parts = match Arc::try_unwrap(self.parts) {
            Ok(mut parts) => {
                set(&mut parts);
                Arc::new(parts)
            }
            Err(shared) => shared,
        };
        Self { parts }
    }

    fn run(&self, key: RunKey, name: impl Into<String>) -> SagemakerRun {
        SagemakerRun {
            parts: Arc::clone(&self.parts),
            handle: RunHandle::new(NAME, key, name),
        }
    }

    /// The whole body of `CreateTrainingJob`, tags included.
    async fn job(&self, request: &RunRequest) -> Result<(String, Map<String, Value>), Error> {
        let key = &request.key;
        let refused = |why| Error::Refused {
            runner: NAME,
            key: key.clone(),
            why,
        };
        let identity = self.parts.identity().await;
        let identity = identity.map_err(|fault| fault.about(NAME, "submit", key))?;
        let job = training_job(request, Some(identity), &self.parts.defaults);
        let mut job = job.map_err(refused)?;
        let tags = tag::of(key, &self.parts.owner);
        let tags = tags.iter().map(|(key, value)| (*key, value.as_str()));
        request::add_tags(&mut job, tags).map_err(refused)?;
        let name = request::named(&mut job, request).map_err(refused)?;
        Ok((name, job))
    }

    /// What it means that the name is taken.
    async fn taken(&self, run: SagemakerRun) -> Result<Box<dyn Run>, Error> {
        let key = run.handle.key.clone();
        match run.owned_arn().await {
            Ok(Some(_)) => Ok(Box::new(run)),
            Ok(None) => Err(Error::Refused {
                runner: NAME,
                key,
                why: format!(
                    "there is a training job `{}` that is not of this run, and SageMaker takes a \
                     name once; set `TrainingJobName` or another run id",
                    run.handle.id
                ),
            }),
            Err(fault) => Err(fault.about(NAME, "find", &key)),
        }
    }

    async fn search(&self) -> Result<HashSet<RunKey>, Fault> {
        let filter = json!({
            "Name": format!("Tags.{}", tag::OWNER),
            "Operator": "Equals",
            "Value": self.parts.owner,
        });
        let mut body = json!({
            "Resource": "TrainingJob",
            "SearchExpression": {"Filters": [filter]},
            "MaxResults": 100,
        });
        let mut keys = HashSet::new();
        loop {
            let answer = patiently(|| self.parts.sagemaker("Search", &body)).await?;
            let results = answer["Results"].as_array().into_iter().flatten();
            let tags = results.filter_map(|result| result["TrainingJob"]["Tags"].as_array());
            keys.extend(tags.filter_map(|tags| tag::key_of(tags)));
            match answer["NextToken"].as_str() {
                Some(token) => body["NextToken"] = json!(token),
                None => return Ok(keys),
            }
        }
    }
}

impl fmt::Display for SagemakerRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SageMaker training jobs in {}", self.parts.aws.region())
    }
}

/// The ARN in the answer to `CreateTrainingJob`.
///
/// # Errors
/// A sentence if there is none.
pub fn created(answer: &Value) -> Result<String, String> {
    let arn = answer["TrainingJobArn"].as_str();
    arn.map(str::to_owned)
        .ok_or_else(|| "SageMaker's answer names no training job".to_owned())
}

#[async_trait]
impl Runner for SagemakerRunner {
    async fn check(&self) -> Result<(), Error> {
        let identity = self.parts.identity().await;
        identity.map_err(|fault| fault.unavailable(NAME))?;
        let list = json!({"MaxResults": 1});
        let listed = patiently(|| self.parts.sagemaker("ListTrainingJobs", &list)).await;
        match listed {
            // Listing is for people; submitting does not need it.
            Ok(_) | Err(Fault::Refused(_)) => Ok(()),
            Err(fault) => Err(fault.unavailable(NAME)),
        }
    }

    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error> {
        let (name, job) = self.job(&request).await?;
        let key = request.key;
        let run = self.run(key.clone(), &name);
        // Before the call: whoever drops this future may ask what is there.
        self.parts.recent().insert(key.clone(), name);
        let body = Value::Object(job);
        let made = patiently(|| self.parts.sagemaker("CreateTrainingJob", &body)).await;
        match made {
            Ok(answer) => match created(&answer) {
                Ok(_) => Ok(Box::new(run)),
                Err(why) => Err(Fault::Refused(why).about(NAME, "submit", &key)),
            },
            Err(Fault::Exists(_)) => self.taken(run).await,
            Err(Fault::Refused(why)) if why.contains("Validation") => Err(Error::Refused {
                runner: NAME,
                key,
                why,
            }),
            Err(Fault::Absent) => Err(Error::Refused {
                runner: NAME,
                key,
                why: "SageMaker does not find what the queue names".to_owned(),
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
        let run = self.run(key.clone(), &handle.id);
        match run.owned_arn().await {
            Ok(Some(_)) => Ok(Box::new(run)),
            Ok(None) => Err(Error::Lost(key)),
            Err(fault) => Err(fault.about(NAME, "find", &key)),
        }
    }

    async fn owned(&self) -> Result<Vec<RunKey>, Error> {
        let searched = self.search().await;
        let mut keys = searched.map_err(|fault| fault.unavailable(NAME))?;
        let recent = self.parts.recent().clone();
        for (key, name) in recent {
            if keys.contains(&key) {
                continue;
            }
            match self.run(key.clone(), name).owned_arn().await {
                Ok(Some(_)) => {
                    keys.insert(key);
                }
                Ok(None) | Err(Fault::Absent) => {}
                Err(fault) => return Err(fault.unavailable(NAME)),
            }
        }
        Ok(keys.into_iter().collect())
    }
}
