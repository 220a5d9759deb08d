//! What the agent knows of itself: what each job is at, what was counted, whether it is
//! well. Jobs tell of themselves as they tell everybody, by [`JobEvent`]s.

mod metrics;
mod seat;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use launch_config::id::{JobId, QueueName, WorkerName};
use launch_config::outcome::{Reason, Stage};
use launch_queue::job::Job;

use self::metrics::Metrics;
pub(crate) use self::seat::Seat;
pub(crate) use self::status::{JobStatus, QueueStatus, Status};
use crate::clock;

/// A loop that has not turned for this long hangs: no call to a queue takes so long.
const PATIENCE: Duration = Duration::from_mins(5);

/// How far the agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It takes up what earlier agents left.
    Starting,
    /// It takes jobs.
    Serving,
    /// It takes no more jobs.
    Stopping,
}

/// What the agent knows of itself.
#[derive(Debug)]
pub(crate) struct Vitals {
    worker: WorkerName,
    slots: Option<usize>,
    begun: Instant,
    metrics: Metrics,
    now: Mutex<Now>,
}

/// What changes.
#[derive(Debug)]
struct Now {
    phase: Phase,
    /// When the loop that takes jobs last turned.
    turned: Instant,
    /// When the queue was last asked for a job.
    polled: Option<Instant>,
    /// What the queue's last answer was: its error, if it was one.
    answer: Option<Result<(), String>>,
    jobs: BTreeMap<JobId, JobNow>,
    ended: BTreeMap<&'static str, u64>,
}

/// What a job in flight is at.
#[derive(Debug)]
struct JobNow {
    queue: QueueName,
    attempt: u32,
    adopted: bool,
    since: Instant,
    stage: Stage,
    stage_since: Instant,
    /// When its lease was last renewed; none once it is closed.
    renewed: Option<Instant>,
    /// What it last said of itself.
    doing: String,
}

impl Vitals {
    pub(crate) fn new(worker: WorkerName, slots: Option<usize>) -> Arc<Self> {
        let begun = Instant::now();
        Arc::new(Self {
            metrics: Metrics::new(&worker, slots),
            worker,
            slots,
            begun,
            now: Mutex::new(Now {
                phase: Phase::Starting,
                turned: begun,
                polled: None,
                answer: None,
                jobs: BTreeMap::new(),
                ended: BTreeMap::new(),
            }),
        })
    }

    /// A poisoned lock only means that a thread panicked that was telling; the data is whole.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, phase: Phase) {
        let mut now = self.now();
        (now.phase, now.turned) = (phase, Instant::now());
    }

    /// The loop that takes jobs has turned.
    pub(crate) fn turned(&self) {
        self.now().turned = Instant::now();
    }

    /// The queue was asked for a job, and this is what it said.
    pub(crate) fn polled(&self, answer: Result<(), String>) {
        if answer.is_err() {
            self.metrics.queue_failed("lease");
        }
        let mut now = self.now();
        now.polled = Some(Instant::now());
        now.answer = Some(answer);
    }

    /// A place for a job in flight, which it has for as long as the value lives.
    pub(crate) fn seat(self: &Arc<Self>, job: &Job, waited: Option<Duration>) -> Seat {
        self.metrics.leased(&job.queue, waited);
        self.sit(job, false)
    }

    /// The same for a job that an earlier agent left.
    pub(crate) fn seat_adopted(self: &Arc<Self>, job: &Job) -> Seat {
        self.metrics.adopted(&job.queue);
        self.sit(job, true)
    }

    fn sit(self: &Arc<Self>, job: &Job, adopted: bool) -> Seat {
        let now = Instant::now();
        let entry = JobNow {
            queue: job.queue.clone(),
            attempt: job.attempt,
            adopted,
            since: now,
            stage: Stage::Lease,
            stage_since: now,
            renewed: Some(now),
            doing: String::new(),
        };
        self.now().jobs.insert(job.id.clone(), entry);
        Seat::new(Arc::clone(self), job, now)
    }

    fn ended(&self, queue: &QueueName, reason: Reason) {
        self.metrics.ended(queue, reason);
        *self.now().ended.entry(reason.as_str()).or_default() += 1;
    }

    /// Whether the process is of use at all: if not, starting it again may help.
    pub(crate) fn is_live(&self) -> bool {
        let now = self.now();
        now.phase == Phase::Stopping || now.turned.elapsed() < PATIENCE
    }

    /// Whether it takes jobs now; if not, why.
    pub(crate) fn readiness(&self) -> Result<(), String> {
        let now = self.now();
        match (now.phase, &now.answer) {
            (Phase::Starting, _) => Err("it is starting".to_owned()),
            (Phase::Stopping, _) => Err("it is stopping".to_owned()),
            (Phase::Serving, None) => Err("it has not asked its queues yet".to_owned()),
            (Phase::Serving, Some(answer)) => answer.clone(),
        }
    }

    /// What was counted, as Prometheus reads it.
    pub(crate) fn metrics(&self) -> String {
        let now = self.now();
        let renewed: Vec<Instant> = now.jobs.values().filter_map(|job| job.renewed).collect();
        let oldest = renewed.iter().map(Instant::elapsed).max();
        self.metrics.slots_used(now.jobs.len());
        self.metrics.leases(renewed.len(), oldest);
        let polled = now.polled.map(|at| at.elapsed());
        drop(now);
        self.metrics.polled(polled);
        self.metrics.text()
    }

    /// One line for a service manager.
    pub(crate) fn line(&self) -> String {
        let used = self.now().jobs.len();
        let slots = self
            .slots
            .map_or("any number of".to_owned(), |n| n.to_string());
        let up = clock::short(self.begun.elapsed());
        format!("{used} of {slots} slots used, up {up}")
    }
}

#[cfg(test)]
mod tests {
    use launch_config::outcome::Outcome;
    use launch_queue::job::Priority;
    use serde_json::json;

    use super::*;
    use crate::report::{JobEvent, Onlooker as _, Row};

    fn job(id: &str) -> Job {
        let (queue, id) = ("q".parse().unwrap(), id.parse().unwrap());
        Job::new(id, queue, Priority::default(), 0, json!({}))
    }

    fn vitals() -> Arc<Vitals> {
        Vitals::new("host.1-a".parse().unwrap(), Some(4))
    }

    #[test]
    fn it_is_ready_when_the_queue_answers_and_not_before() {
        let vitals = vitals();
        assert!(vitals.is_live());
        assert_eq!(vitals.readiness(), Err("it is starting".to_owned()));
        vitals.enter(Phase::Serving);
        assert!(vitals.readiness().is_err());
        vitals.polled(Ok(()));
        assert_eq!(vitals.readiness(), Ok(()));
        vitals.polled(Err("gone".to_owned()));
        assert_eq!(vitals.readiness(), Err("gone".to_owned()));
        vitals.enter(Phase::Stopping);
        assert!(vitals.is_live() && vitals.readiness().is_err());
    }

    #[test]
    fn what_jobs_tell_is_counted_and_a_job_that_goes_leaves_its_seat() {
        let vitals = vitals();
        let seat = vitals.seat(&job("a"), Some(Duration::from_secs(2)));
        let other = vitals.seat_adopted(&job("b"));
        let stage = Stage::Build;
        seat.see(&JobEvent::Started(stage));
        let (took, result) = (Duration::from_secs(3), "built".to_owned());
        seat.see(&JobEvent::Finished(&Row {
            stage,
            took,
            result,
        }));
        let (cache, hit) = ("image", true);
        seat.see(&JobEvent::Cached { cache, hit });
        seat.see(&JobEvent::Ended(&Outcome::new(
            Reason::Succeeded,
            Stage::Watch,
        )));
        drop(other);
        let text = vitals.metrics();
        for line in [
            "launch_slots_used 1\n",
            "launch_leases_held 0\n",
            "launch_queue_wait_seconds_sum{queue=\"q\"} 2.0\n",
            "launch_stage_seconds_sum{stage=\"build\"} 3.0\n",
            "launch_jobs_leased_total{queue=\"q\",adopted=\"false\"} 1\n",
            "launch_jobs_leased_total{queue=\"q\",adopted=\"true\"} 1\n",
            "launch_jobs_ended_total{queue=\"q\",reason=\"succeeded\"} 1\n",
            "launch_cache_lookups_total{cache=\"image\",result=\"hit\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(vitals.line().split(" slots").next(), Some("1 of 4"));
    }
}
