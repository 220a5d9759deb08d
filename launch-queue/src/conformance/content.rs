//! What jobs carry.

use std::sync::Arc;

use launch_config::outcome::{Outcome, Reason, Stage};
use serde_json::{Map, Value, json};

use super::{Harness, done, enqueued, job, job_id, leased, maybe_leased, queue_name, record};
use crate::QueueAdmin;
use crate::error::Error;
use crate::job::{EnqueueRequest, MAX_REPORTS, Report};

/// Enqueues a spec, and finds it in the lease and in the record.
async fn assert_survives(queue: &dyn QueueAdmin, spec: Value) {
    let id = enqueued(queue, EnqueueRequest::new(queue_name("q"), spec.clone())).await;
    let lease = leased(queue).await;
    assert_eq!(lease.job.id, id);
    let stored = record(queue, &id).await.job.spec;
    // By text too, so that the order of keys and the last digit of numbers count.
    let text = spec.to_string();
    for found in [&lease.job.spec, &stored] {
        let is_same = *found == spec && text.eq(&found.to_string());
        assert!(is_same, "the spec has changed: {text:.200}");
    }
    queue.finish(&lease.hold, done("")).await.expect("finish");
}

/// Arrays in arrays, `depth` of them.
fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, _| Value::Array(vec![inner]))
}

/// A queue does not read specs, so malformed ones come out as they went in.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn specs_come_out_as_they_went_in(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let specs = [
        json!(null),
        json!(true),
        json!("not an object"),
        json!(""),
        json!([1, "two", [], {}]),
        json!({"": {"": ""}, "z": 1, "a": 2, "m": 3}),
        json!([
            0,
            -1,
            u64::MAX,
            i64::MIN,
            0.1,
            1e308,
            5e-324,
            -0.0,
            1.0,
            0.1 + 0.2
        ]),
        json!(2.308_551_162_443_9e-306),
        json!("NUL \0, quotes '\"`, \\, %, $1, ?1, :a, -- ;\r\n\t\u{7f}"),
        json!({"ключ": "日本語 🦀 e\u{301} \u{202e} \u{feff} \u{ffff} \u{10ffff}"}),
        nested(100),
        nested(127),
    ];
    for spec in specs {
        assert_survives(&*queue, spec).await;
    }
}

/// One long text of a megabyte, and one of many keys.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn large_specs_come_out_as_they_went_in(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    assert_survives(&*queue, json!({"text": "spec ü ".repeat(150_000)})).await;
    let pairs = (0..50_000).map(|number| (format!("key-{number}"), json!(number)));
    assert_survives(&*queue, Value::Object(pairs.collect::<Map<_, _>>())).await;
}

/// A spec nested too deep to be read back is refused at once: kept, it would block its
/// queue.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn a_spec_that_cannot_be_read_back_is_refused(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    for depth in [128, 1_000] {
        let answer = queue
            .enqueue(EnqueueRequest::new(queue_name("q"), nested(depth)))
            .await;
        assert!(
            matches!(answer, Err(Error::SpecDepth { .. })),
            "{depth} levels: {answer:?}"
        );
    }
    assert!(
        maybe_leased(&*queue).await.is_none(),
        "a refused job is there"
    );
}

/// Reports come out in the order they were made, across holders.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn reports_keep_their_order(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let id = enqueued(&*queue, job()).await;
    let mut said = Vec::new();
    for round in 0..3 {
        let lease = leased(&*queue).await;
        for stage in [Stage::Fetch, Stage::Build, Stage::Watch] {
            let plain = Report::new(stage, format!("round {round} \0 ü"));
            for report in [plain.clone(), plain.as_warning()] {
                queue
                    .report(&lease.hold, report.clone())
                    .await
                    .expect("report");
                said.push(report);
            }
        }
        queue
            .requeue(&lease.hold, std::time::Duration::ZERO)
            .await
            .expect("requeue");
    }
    assert_eq!(record(&*queue, &id).await.reports, said);
    let listed = queue.jobs(&queue_name("q"), 1).await.expect("list jobs");
    assert_eq!(listed[0].reports, [], "a listing has no reports");
}

/// Of very many reports, the newest are kept; those of other jobs are not touched.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn reports_are_bounded(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let quiet = enqueued(&*queue, job().with_id(job_id("quiet"))).await;
    let chatty = enqueued(&*queue, job().with_id(job_id("chatty"))).await;
    let (first, second) = (leased(&*queue).await.hold, leased(&*queue).await.hold);
    let report = |number: usize| Report::new(Stage::Watch, number.to_string());
    queue.report(&first, report(0)).await.expect("report");
    let all = MAX_REPORTS + 5;
    for number in 0..all {
        queue.report(&second, report(number)).await.expect("report");
    }
    let kept: Vec<Report> = (5..all).map(report).collect();
    assert_eq!(record(&*queue, &chatty).await.reports, kept);
    assert_eq!(record(&*queue, &quiet).await.reports, [report(0)]);
}

/// An outcome is kept with all it says.
///
/// # Panics
/// If the queue breaks its contract.
pub async fn outcomes_come_out_as_they_went_in(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let long_log: Vec<String> = (0..2_000)
        .map(|line| format!("line {line} \u{1b}[31m"))
        .collect();
    let outcomes = [
        Outcome::new(Reason::Failed { code: 137 }, Stage::Watch).with_log_tail(long_log),
        Outcome::new(Reason::Refused, Stage::Plan)
            .with_message("`entry` is missing")
            .with_hint(Some("name a program".to_owned())),
        Outcome::new(Reason::Succeeded, Stage::Finish),
    ];
    for outcome in outcomes {
        let id = enqueued(&*queue, job()).await;
        let hold = leased(&*queue).await.hold;
        queue.finish(&hold, outcome.clone()).await.expect("finish");
        assert_eq!(record(&*queue, &id).await.outcome, Some(outcome));
    }
}
