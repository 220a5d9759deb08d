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
//! - a failure is told with its log, kept under the agent's hidden run, without the keys we
//!   know.
//! - [`requeue`](crate::Queue::requeue) pushes the spec again with the same run id, which
//!   makes a new item: the server has no other way. It keeps the priority, if the server
//!   tells it. The wait is spent here, since the server's items wait for no time.
//! - items in hand, and who we are, are written to [`WandbOptions::directory`], so that a
//!   restarted agent goes on as the same.
//!
//! Stop requests arrive with [`renew`](crate::Queue::renew) for a run, and with
//! [`WandbQueue::beat`] for the agent.
//!
//! # When the server fails
//!
//! A call is tried for [`WandbOptions::patience`], what is not repeatable only if it never
//! left this host. Once a call was given up, each call is one request until one goes
//! through; who needs it asks again at a pace of its own, and leases are asked for once in
//! [`WandbOptions::poll_interval`]. A pause the server asks for is kept by all. A key that is
//! refused is read anew where it came from.

mod access;
mod admin;
mod agent;
mod api;
mod artifact;
mod failure;
mod finish;
mod hidden;
mod identity;
mod item;
mod items;
mod operations;
mod options;
mod pace;
mod pop;
mod push;
mod sweep;
mod token;
mod transport;
mod weather;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::Outcome;

use self::agent::Presence;
use self::api::Api;
use self::artifact::Addresses;
pub use self::artifact::{Artifact, FileBody};
use self::failure::Failure;
use self::hidden::HiddenRun;
use self::identity::IdentityFile;
use self::item::{FENCE, Item};
use self::items::Items;
pub use self::options::{Identity, KeySource, PUBLIC_SERVER, QUEUE_PROJECT, WandbOptions};
use self::pace::Pace;
use crate::error::Error;
use crate::job::{
    Cancelled, EnqueueRequest, Hold, JobRecord, Lease, LeaseRequest, QueueRecord, Renewal, Report,
    cancelled_outcome,
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
    hidden: HiddenRun,
    addresses: Addresses,
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
        let opened = open(options).map_err(|failure| failure.outward(&name, "connect"));
        let (api, items, identity) = opened?;
        Ok(Self {
            api,
            items,
            presence: Presence::new(identity),
            pace,
            hidden: HiddenRun::default(),
            addresses: Addresses::default(),
            name,
        })
    }

    /// Tells the server that this agent lives and what it does, and asks what it wants. For
    /// once in a poll interval, whether or not jobs are leased; before the first lease it
    /// does nothing.
    ///
    /// # Errors
    /// [`Error::Backend`] if the server does not answer.
    pub async fn beat(&self) -> Result<(), Error> {
        let beat = self.presence.beat(&self.api, !self.items.is_empty()).await;
        beat.map_err(|failure| self.outward(failure, "say that the agent lives"))
    }

    /// Registers the agent for these queues, which the first lease else does.
    ///
    /// # Errors
    /// [`Error::Config`] if a queue is not there, [`Error::Refused`], [`Error::Backend`] if
    /// the server does not answer.
    pub async fn register(&self, queues: &[QueueName]) -> Result<(), Error> {
        let registered = self.presence.id(&self.api, queues).await.map(drop);
        registered.map_err(|failure| self.outward(failure, "register the agent"))
    }

    /// The owner of the queues, if it is known already: who was named, or what the server
    /// said of the key.
    pub fn entity(&self) -> Option<&str> {
        self.api.known_entity()
    }

    /// Forgets an item that was leased and not claimed: it goes back by itself.
    ///
    /// # Errors
    /// [`Error::Backend`] if it stays written down.
    pub fn let_go(&self, hold: &Hold) -> Result<(), Error> {
        let forgotten = self.items.forget(&hold.job);
        forgotten.map_err(|failure| self.outward(failure, "let an item go"))
    }

    /// Says where the output of an item's run is: a failure is told with it.
    ///
    /// # Errors
    /// [`Error::Backend`] if it cannot be written down.
    pub fn keep_log(&self, job: &JobId, path: &Path) -> Result<(), Error> {
        let Some(mut item) = self.items.get(job) else {
            return Ok(());
        };
        item.log = Some(path.to_owned());
        let kept = self.items.keep(&item);
        kept.map_err(|failure| self.outward(failure, "write an item down"))
    }

    /// Whether somebody asked for this agent to stop, in the app. Learned by
    /// [`beat`](Self::beat).
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
            self.items.take_up(&hold.job, &item);
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

/// The server's id of a job, if it came from a server.
pub fn item_id(job: &JobId) -> Option<String> {
    item::item_id(job)
}

fn open(options: WandbOptions) -> Result<(Api, Items, Option<IdentityFile>), Failure> {
    let items = Items::open(options.directory.clone())?;
    let identity = match &options.directory {
        Some(directory) => IdentityFile::open(directory)?,
        None => None,
    };
    Ok((Api::new(options)?, items, identity))
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
            .field("entity", &self.api.known_entity())
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
            self.tell(&item, &outcome).await?;
            self.items.forget(&hold.job)
        };
        let finished = finished.await;
        finished.map_err(|failure| self.outward(failure, "finish a job"))?;
        self.pace.hurry();
        Ok(())
    }

    async fn requeue(&self, hold: &Hold, wait: Duration) -> Result<(), Error> {
        let requeued = async {
            let item = self.held(hold)?;
            if item.stopped {
                self.tell(&item, &cancelled_outcome()).await?;
            } else {
                tokio::time::sleep(wait).await;
                self.again(item).await?;
            }
            self.items.forget(&hold.job)
        };
        let requeued = requeued.await;
        requeued.map_err(|failure| self.outward(failure, "requeue a job"))?;
        self.pace.hurry();
        Ok(())
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
        let found = async {
            if let Some(item) = self.items.get(job) {
                let mut record = item.record()?;
                record.cancel_requested |= self.items.is_asked_to_stop(job);
                return Ok(Some(record));
            }
            match item_id(job) {
                Some(id) => admin::job(&self.api, &id).await,
                None => Ok(None),
            }
        };
        let found = found.await;
        found.map_err(|failure| self.outward(failure, "look up a job"))
    }

    async fn held(&self, worker: &WorkerName) -> Result<Vec<JobRecord>, Error> {
        let items = self.items.of(worker).into_iter();
        let records: Result<_, _> = items.map(|item| item.record()).collect();
        records.map_err(|failure| self.outward(failure, "list the jobs of a worker"))
    }
}
