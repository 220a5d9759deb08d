//! The queues of a W&B server, over the protocol its own agents speak.
//!
//! # What this queue can promise
//!
//! The server gives an item to one agent, for about a minute; an agent that wants to keep
//! it *acknowledges* it, with the id of its run. From then on the item is that agent's for
//! good: there is no lease that expires, and nobody takes over. So
//!
//! - [`lease`](crate::Queue::lease) takes an item, and the first
//!   [`renew`](crate::Queue::renew) acknowledges it. An agent that dies in between loses
//!   nothing: the item goes back by itself. Renew only when the job is written down.
//! - an item that another agent acknowledged is [`Error::Stale`], and nothing is said of it
//!   to the server: it is not ours to fail.
//! - a pop whose answer is lost is not repeated, for the same reason.
//! - [`finish`](crate::Queue::finish) reports what the server cannot know: a run that ended
//!   well reports itself; one that never appeared, or that failed before it could, is
//!   failed here, with its reason.
//! - [`requeue`](crate::Queue::requeue) pushes the spec again with the same run id, which
//!   makes a new item: the server has no other way. It keeps no priority, which the server
//!   does not tell.
//! - items in hand are written to [`WandbOptions::directory`], so that a restarted agent
//!   goes on with them.
//!
//! Stop requests arrive with [`renew`](crate::Queue::renew) for a run, and with
//! [`WandbQueue::is_asked_to_stop`] for the agent.

mod admin;
mod agent;
mod api;
mod failure;
mod finish;
mod item;
mod operations;
mod options;
mod pop;
mod push;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;

use self::agent::Presence;
use self::api::Api;
use self::failure::Failure;
use self::item::{FENCE, Item, Items, item_id};
pub use self::options::{Identity, PUBLIC_SERVER, QUEUE_PROJECT, WandbOptions};
use self::pop::Pace;
use crate::error::Error;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, JobRecord, Lease, LeaseRequest, QueueRecord, Renewal, Report,
};
use crate::settings::QueueSettings;
use crate::{Queue, QueueAdmin};

/// The queues of an entity at a W&B server. See the [module](self) for what it promises.
///
/// ```no_run
/// use launch_queue::Queue;
/// use launch_queue::config::secret::Secret;
/// use launch_queue::wandb::{Identity, WandbOptions, WandbQueue};
/// use launch_queue::job::LeaseRequest;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let key = Identity::ApiKey(Secret::new("local-0123"));
/// let queue = WandbQueue::connect(WandbOptions::new("my-team", key))?;
/// let request = LeaseRequest::new(
///     vec!["gpus".parse()?],
///     "agent-1".parse()?,
///     std::time::Duration::from_secs(60),
/// );
/// if let Some(lease) = queue.lease(request).await? {
///     queue.renew(&lease.hold, lease.ttl).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct WandbQueue {
    api: Api,
    items: Items,
    presence: Presence,
    pace: Pace,
    name: String,
}

impl WandbQueue {
    /// Prepares a connection, and reads the items that an earlier process had in hand. The
    /// server is not asked yet.
    ///
    /// # Errors
    /// [`Error::Config`] if the options make no sense, [`Error::Backend`] if the directory
    /// cannot be used.
    pub fn connect(options: WandbOptions) -> Result<Self, Error> {
        // Without a path or a user: both may hold secrets.
        let host = options.base_url.host_str().unwrap_or_default();
        let name = format!("{}://{host}", options.base_url.scheme());
        let pace = Pace::new(options.poll_interval);
        let opened = Items::open(options.directory.clone())
            .and_then(|items| Ok((items, Api::new(options)?)));
        let (items, api) = opened.map_err(|failure| failure.outward(&name, "connect"))?;
        let presence = Presence::default();
        Ok(Self {
            api,
            items,
            presence,
            pace,
            name,
        })
    }

    /// Whether somebody asked for this agent to stop, in the app. Learned while leasing.
    pub fn is_asked_to_stop(&self) -> bool {
        self.presence.is_asked_to_stop()
    }

    /// Tells the server that this agent is gone. For the end of a process; jobs in hand
    /// stay in hand.
    ///
    /// # Errors
    /// [`Error::Backend`] if the server does not answer.
    pub async fn leave(&self) -> Result<(), Error> {
        let left = self.presence.leave(&self.api).await;
        left.map_err(|failure| self.outward(failure, "say that the agent ends"))
    }

    fn outward(&self, failure: Failure, action: &'static str) -> Error {
        failure.outward(&self.name, action)
    }

    /// The item of a hold, if it is in our hands.
    fn held(&self, hold: &Hold) -> Result<Item, Failure> {
        if hold.fence != FENCE {
            return Err(stale(hold).into());
        }
        if let Some(item) = self.items.get(&hold.job) {
            return Ok(item);
        }
        // What was ours and is no longer known has ended; what never was is no job.
        Err(match item_id(&hold.job) {
            Some(_) => Error::Ended(hold.job.clone()),
            None => Error::Unknown(hold.job.clone()),
        }
        .into())
    }

    /// Refuses what the server has no way to do.
    fn unsupported(what: &str) -> Error {
        Error::Config {
            what: format!("a queue of a W&B server has no {what}"),
        }
    }
}

fn stale(hold: &Hold) -> Error {
    Error::Stale {
        job: hold.job.clone(),
        fence: hold.fence,
    }
}

impl fmt::Debug for WandbQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WandbQueue")
            .field("server", &self.name)
            .field("entity", &self.api.options().entity)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for WandbQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[async_trait]
impl Queue for WandbQueue {
    async fn enqueue(&self, request: EnqueueRequest) -> Result<JobId, Error> {
        if request.id.is_some() {
            return Err(Self::unsupported("job ids of a submitter's choice"));
        }
        if !request.not_before.is_zero() {
            return Err(Self::unsupported("jobs that wait for a time"));
        }
        let pushed = push::push(&self.api, &request).await;
        pushed.map_err(|failure| self.outward(failure, "enqueue a job"))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, Error> {
        let leased = self.pop(&request).await;
        leased.map_err(|failure| self.outward(failure, "lease a job"))
    }

    async fn renew(&self, hold: &Hold, _ttl: Duration) -> Result<Renewal, Error> {
        let renewed = async {
            let item = self.held(hold)?;
            let item = if item.claimed {
                item
            } else {
                self.claim(hold, item).await?
            };
            self.hear(item).await
        };
        let item = renewed.await;
        let item = item.map_err(|failure| self.outward(failure, "renew a lease"))?;
        Ok(Renewal::new(item.stopped))
    }

    async fn report(&self, hold: &Hold, report: Report) -> Result<(), Error> {
        let reported = async {
            let item = self.held(hold)?;
            finish::warn(&self.api, &item, &report).await
        };
        let reported = reported.await;
        reported.map_err(|failure| self.outward(failure, "report on a job"))
    }

    async fn finish(&self, hold: &Hold, outcome: Outcome) -> Result<(), Error> {
        let finished = async {
            let item = match self.held(hold) {
                // It ended before, and the answer was not heard.
                Err(Failure::Contract(Error::Ended(_))) => return Ok(()),
                answer => answer?,
            };
            finish::tell(&self.api, &item, &outcome).await?;
            self.items.forget(&hold.job)
        };
        let finished = finished.await;
        finished.map_err(|failure| self.outward(failure, "finish a job"))?;
        self.pace.hurry();
        Ok(())
    }

    async fn requeue(&self, hold: &Hold, _wait: Duration) -> Result<(), Error> {
        let requeued = async {
            let item = self.held(hold)?;
            if !item.stopped {
                push::again(&self.api, &item).await?;
            }
            self.items.forget(&hold.job)
        };
        let requeued = requeued.await;
        requeued.map_err(|failure| self.outward(failure, "requeue a job"))
    }

    async fn cancel(&self, job: &JobId) -> Result<Cancelled, Error> {
        let cancelled = self.cancel_item(job).await;
        cancelled.map_err(|failure| self.outward(failure, "cancel a job"))
    }
}

#[async_trait]
impl QueueAdmin for WandbQueue {
    async fn create(&self, queue: &QueueName) -> Result<(), Error> {
        let created = admin::create(&self.api, queue).await;
        created.map_err(|failure| self.outward(failure, "create a queue"))
    }

    async fn configure(&self, queue: &QueueName, settings: QueueSettings) -> Result<(), Error> {
        if settings.paused {
            return Err(Self::unsupported("pause"));
        }
        settings.check().map_err(|source| Error::Settings {
            queue: queue.clone(),
            source,
        })?;
        let configured = admin::configure(&self.api, queue, &settings).await;
        configured.map_err(|failure| self.outward(failure, "configure a queue"))
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, Error> {
        let queues = admin::queues(&self.api).await;
        queues.map_err(|failure| self.outward(failure, "list queues"))
    }

    async fn jobs(&self, queue: &QueueName, limit: usize) -> Result<Vec<JobRecord>, Error> {
        let jobs = admin::jobs(&self.api, queue, limit).await;
        jobs.map_err(|failure| self.outward(failure, "list jobs"))
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobRecord>, Error> {
        let known = self.items.get(job);
        let record = known.map(|item| item.record()).transpose();
        record.map_err(|failure| self.outward(failure, "look up a job"))
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<JobRecord>, Error> {
        let items = self.items.all().into_iter();
        let held = items.filter(|item| item.worker == *worker);
        let records: Result<_, _> = held.map(|item| item.record()).collect();
        records.map_err(|failure| self.outward(failure, "list the jobs of a worker"))
    }
}
