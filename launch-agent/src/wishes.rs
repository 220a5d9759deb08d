//! Wishes to cancel, heard for all jobs of this process with one question a second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use launch_config::id::JobId;
use launch_queue::QueueAdmin;
use tokio_util::sync::CancellationToken;

use crate::failure::one_line;

/// How soon a wish is heard.
const LISTEN: Duration = Duration::from_secs(1);

/// Listens for as long as there is a job to listen for.
#[derive(Debug)]
pub(crate) struct Wishes {
    queue: Arc<dyn QueueAdmin>,
    jobs: Mutex<Listening>,
}

#[derive(Debug, Default)]
struct Listening {
    jobs: HashMap<JobId, (u64, CancellationToken)>,
    /// How many listened so far.
    count: u64,
    /// Whether a task asks.
    asks: bool,
}

/// Somebody listens for this job until this value is dropped.
#[derive(Debug)]
pub(crate) struct Heard {
    wishes: Arc<Wishes>,
    job: JobId,
    number: u64,
}

impl Wishes {
    pub(crate) fn new(queue: Arc<dyn QueueAdmin>) -> Arc<Self> {
        let jobs = Mutex::default();
        Arc::new(Self { queue, jobs })
    }

    /// Cancels `cancel` when somebody asks for the job to stop.
    pub(crate) fn hear(self: &Arc<Self>, job: &JobId, cancel: &CancellationToken) -> Heard {
        let mut listening = self.listening();
        listening.count += 1;
        let number = listening.count;
        listening.jobs.insert(job.clone(), (number, cancel.clone()));
        if !listening.asks {
            listening.asks = true;
            tokio::spawn(Arc::clone(self).listen());
        }
        Heard {
            wishes: Arc::clone(self),
            job: job.clone(),
            number,
        }
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn listen(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LISTEN).await;
            let Some(jobs) = self.unheard() else { return };
            if jobs.is_empty() {
                continue;
            }
            match self.queue.cancel_requested(&jobs).await {
                Ok(asked) => self.tell(&asked),
                // Renewals hear of wishes, too, and of outages.
                Err(error) => tracing::debug!(error = one_line(&error), "no wishes heard"),
            }
        }
    }

    /// The jobs nobody was told to stop; `None`, and the task is over, without any job.
    fn unheard(&self) -> Option<Vec<JobId>> {
        let mut listening = self.listening();
        listening.asks = !listening.jobs.is_empty();
        let open = listening
            .jobs
            .iter()
            .filter(|(_, (_, cancel))| !cancel.is_cancelled());
        let jobs = open.map(|(job, _)| job.clone()).collect();
        listening.asks.then_some(jobs)
    }

    fn tell(&self, asked: &[JobId]) {
        let listening = self.listening();
        for job in asked {
            if let Some((_, cancel)) = listening.jobs.get(job) {
                tracing::info!(job.id = %job, "somebody asked for this job to stop");
                cancel.cancel();
            }
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        // A job that was leased again has another listener.
        let mut listening = self.wishes.listening();
        let number = listening.jobs.get(&self.job).map(|(number, _)| *number);
        if number == Some(self.number) {
            listening.jobs.remove(&self.job);
        }
    }
}

#[cfg(test)]
mod tests {
    use launch_queue::Queue as _;
    use launch_queue::job::{EnqueueRequest, LeaseRequest};
    use launch_queue::memory::MemoryQueue;

    use super::*;

    async fn held(queue: &MemoryQueue) -> JobId {
        let name: launch_config::id::QueueName = "q".parse().unwrap();
        let id = queue.enqueue(EnqueueRequest::new(name.clone(), 1.into()));
        let id = id.await.unwrap();
        let wish = LeaseRequest::new(vec![name], "w".parse().unwrap(), Duration::from_mins(1));
        queue.lease(wish).await.unwrap().unwrap();
        id
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_is_told_to_its_job_alone() {
        let queue = Arc::new(MemoryQueue::new());
        let (first, second) = (held(&queue).await, held(&queue).await);
        let wishes = Wishes::new(Arc::clone(&queue) as Arc<dyn QueueAdmin>);
        let (one, two) = (CancellationToken::new(), CancellationToken::new());
        let heard = wishes.hear(&first, &one);
        let other = wishes.hear(&second, &two);
        tokio::time::sleep(LISTEN * 2).await;
        assert!(!one.is_cancelled() && !two.is_cancelled());
        queue.cancel(&first).await.unwrap();
        tokio::time::sleep(LISTEN * 2).await;
        assert!(one.is_cancelled() && !two.is_cancelled());
        drop((heard, other));
        tokio::time::sleep(LISTEN * 2).await;
        assert!(!wishes.listening().asks, "nobody is left to listen for");
        let three = CancellationToken::new();
        let _again = wishes.hear(&first, &three);
        tokio::time::sleep(LISTEN * 2).await;
        assert!(three.is_cancelled());
    }
}
