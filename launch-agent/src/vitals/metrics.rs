//! What is counted, by the names Prometheus knows it by.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use launch_config::id::{QueueName, WorkerName};
use launch_config::outcome::{Reason, Stage};
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// From the copy of a small directory to the training of a large model.
const SECONDS: [f64; 16] = [
    0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0,
    86_400.0, 604_800.0,
];

type Label = (&'static str, String);
type Counters<const N: usize> = Family<[Label; N], Counter>;
type Histograms = Family<[Label; 1], Histogram, fn() -> Histogram>;
type Seconds = Gauge<f64, AtomicU64>;

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    queue_wait: Histograms,
    stages: Histograms,
    leased: Counters<2>,
    ended: Counters<2>,
    lost: Counters<1>,
    cache: Counters<2>,
    queue_errors: Counters<1>,
    slots_used: Gauge,
    leases: Gauge,
    heartbeat_age: Seconds,
    poll_age: Seconds,
}

fn histograms() -> Histograms {
    Family::new_with_constructor(|| Histogram::new(SECONDS))
}

/// A count that no machine holds stays in bounds.
fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Metrics {
    pub(super) fn new(worker: &WorkerName, slots: Option<usize>) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("launch"),
            queue_wait: histograms(),
            stages: histograms(),
            leased: Family::default(),
            ended: Family::default(),
            lost: Family::default(),
            cache: Family::default(),
            queue_errors: Family::default(),
            slots_used: Gauge::default(),
            leases: Gauge::default(),
            heartbeat_age: Gauge::default(),
            poll_age: Gauge::default(),
        };
        metrics.describe(worker);
        metrics.register();
        metrics.register_gauges(slots);
        metrics
    }

    fn describe(&mut self, worker: &WorkerName) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let about = [("version", version), ("worker", worker.to_string())];
        self.registry
            .register("agent", "The agent", Info::new(about));
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let help = "Seconds from a job's submission to its first lease";
        registry.register("queue_wait_seconds", help, self.queue_wait.clone());
        let help = "Seconds that jobs spent in a stage";
        registry.register("stage_seconds", help, self.stages.clone());
        let help = "Jobs that were leased, or adopted from an earlier agent";
        registry.register("jobs_leased", help, self.leased.clone());
        let help = "Jobs whose outcome the queue was told";
        registry.register("jobs_ended", help, self.ended.clone());
        let help = "Jobs that another agent took over";
        registry.register("jobs_lost", help, self.lost.clone());
        let help = "What was looked up before it was made: images, contexts";
        registry.register("cache_lookups", help, self.cache.clone());
        let help = "Calls that a queue did not answer";
        registry.register("queue_errors", help, self.queue_errors.clone());
    }

    fn register_gauges(&mut self, slots: Option<usize>) {
        let registry = &mut self.registry;
        if let Some(slots) = slots {
            let gauge: Gauge = Gauge::default();
            gauge.set(whole(slots));
            registry.register("slots", "Jobs at once; absent without a limit", gauge);
        }
        let help = "Jobs in flight";
        registry.register("slots_used", help, self.slots_used.clone());
        let help = "Jobs in flight whose lease is not closed";
        registry.register("leases_held", help, self.leases.clone());
        let help = "Seconds since the renewal that is longest ago, of the leases held";
        registry.register("heartbeat_age_seconds", help, self.heartbeat_age.clone());
        let help = "Seconds since the queues were last asked for a job; -1 before";
        registry.register("poll_age_seconds", help, self.poll_age.clone());
    }

    pub(super) fn leased(&self, queue: &QueueName, waited: Option<Duration>) {
        self.count_leased(queue, false);
        if let Some(waited) = waited {
            let labels = [("queue", queue.to_string())];
            let histogram = self.queue_wait.get_or_create(&labels);
            histogram.observe(waited.as_secs_f64());
        }
    }

    pub(super) fn adopted(&self, queue: &QueueName) {
        self.count_leased(queue, true);
    }

    fn count_leased(&self, queue: &QueueName, adopted: bool) {
        let labels = [
            ("queue", queue.to_string()),
            ("adopted", adopted.to_string()),
        ];
        self.leased.get_or_create(&labels).inc();
    }

    pub(super) fn ended(&self, queue: &QueueName, reason: Reason) {
        let labels = [
            ("queue", queue.to_string()),
            ("reason", reason.as_str().to_owned()),
        ];
        self.ended.get_or_create(&labels).inc();
    }

    pub(super) fn lost(&self, queue: &QueueName) {
        let labels = [("queue", queue.to_string())];
        self.lost.get_or_create(&labels).inc();
    }

    /// A stage that was skipped took no time at all, and says nothing of those that were not.
    pub(super) fn stage(&self, stage: Stage, took: Duration) {
        if took.is_zero() {
            return;
        }
        let labels = [("stage", stage.as_str().to_owned())];
        let histogram = self.stages.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    pub(super) fn cached(&self, cache: &str, hit: bool) {
        let result = if hit { "hit" } else { "miss" };
        let labels = [("cache", cache.to_owned()), ("result", result.to_owned())];
        self.cache.get_or_create(&labels).inc();
    }

    pub(super) fn queue_failed(&self, action: &str) {
        let labels = [("action", action.to_owned())];
        self.queue_errors.get_or_create(&labels).inc();
    }

    pub(super) fn slots_used(&self, jobs: usize) {
        self.slots_used.set(whole(jobs));
    }

    pub(super) fn leases(&self, held: usize, oldest: Option<Duration>) {
        self.leases.set(whole(held));
        let age = oldest.unwrap_or_default();
        self.heartbeat_age.set(age.as_secs_f64());
    }

    pub(super) fn polled(&self, ago: Option<Duration>) {
        self.poll_age.set(ago.map_or(-1.0, |ago| ago.as_secs_f64()));
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
