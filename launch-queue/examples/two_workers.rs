//! Two workers on one SQLite file.
//!
//! Six jobs, two workers with a connection each. One worker dies while it holds a job;
//! the other takes the job over when the lease has expired, under a larger fence.
//!
//! ```text
//! cargo run -p launch-queue --example two_workers
//! ```

#![expect(clippy::print_stdout, reason = "an example talks to a person")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use launch_queue::config::outcome::{Outcome, Reason, Stage};
use launch_queue::job::{EnqueueRequest, LeaseRequest, Priority};
use launch_queue::sqlite::SqliteQueue;
use launch_queue::{Queue, QueueAdmin};

type Outcomes<T> = Result<T, Box<dyn Error + Send + Sync>>;

const TTL: Duration = Duration::from_millis(500);

/// Works until the queue is empty, or until it dies over its n-th job.
async fn work(path: &Path, name: &str, dies_at: Option<usize>) -> Outcomes<usize> {
    let queue = SqliteQueue::open(path).await?;
    let wish = LeaseRequest::new(vec!["default".parse()?], name.parse()?, TTL);
    let mut done = 0;
    while queue
        .queues()
        .await?
        .iter()
        .any(|queue| queue.waiting + queue.leased > 0)
    {
        let Some(lease) = queue.lease(wish.clone()).await? else {
            // The rest is held by the other; it may be done, or expire.
            tokio::time::sleep(TTL / 5).await;
            continue;
        };
        let (job, fence) = (&lease.job, lease.hold.fence);
        if dies_at == Some(done) {
            println!(
                "{name:5} dies with the {} job {} in its hands",
                job.priority, job.spec
            );
            return Ok(done);
        }
        println!(
            "{name:5} does the {} job {} (fence {fence})",
            job.priority, job.spec
        );
        tokio::time::sleep(TTL / 20).await;
        queue
            .finish(&lease.hold, Outcome::new(Reason::Succeeded, Stage::Watch))
            .await?;
        done += 1;
    }
    Ok(done)
}

#[tokio::main]
async fn main() -> Outcomes<()> {
    let home = tempfile::tempdir()?;
    let path = home.path().join("queue.db");
    let queue = SqliteQueue::open(&path).await?;
    for (number, priority) in Priority::ALL.into_iter().cycle().take(6).enumerate() {
        let request = EnqueueRequest::new("default".parse()?, number.into());
        queue.enqueue(request.with_priority(priority)).await?;
    }
    let (anna, berta) = tokio::join!(work(&path, "anna", Some(1)), work(&path, "berta", None));
    let ended = queue.queues().await?[0].ended;
    println!(
        "anna did {}, berta did {}; {ended} of 6 jobs have ended",
        anna?, berta?
    );
    Ok(())
}
