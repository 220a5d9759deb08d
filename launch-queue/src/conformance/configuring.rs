use std::sync::Arc;

use serde_json::json;

use super::{Harness, enqueued, job, lease_from, leased, maybe_leased, queue_name, record};
use crate::error::Error;
use crate::job::{EnqueueRequest, Priority};
use crate::settings::{Prioritization, QueueSettings};

fn gpu_queue() -> QueueSettings {
    let settings = json!({
        "resource": "kubernetes",
        "resource-args": {"gpus": "{{gpus}}"},
        "template-variables": {"gpus": {"schema": {"type": "integer", "maximum": 8}}},
    });
    serde_json::from_value(settings).expect("settings")
}

/// The settings of a queue come out as they went in, and other queues have their own.
///
/// # Panics
/// If it is otherwise.
pub async fn settings_come_out_as_they_went_in(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    enqueued(&*queue, job()).await;
    let name = queue_name("gpu");
    queue
        .configure(&name, gpu_queue())
        .await
        .expect("configure");
    let other = harness.handle().await;
    let records = other.queues().await.expect("list queues");
    let found: Vec<_> = records.iter().map(|record| &record.settings).collect();
    assert_eq!(found, [&gpu_queue(), &QueueSettings::default()]);
    let answer = queue.configure(&name, QueueSettings::default()).await;
    answer.expect("configure again");
    let records = other.queues().await.expect("list queues");
    assert_eq!(records[0].settings, QueueSettings::default());
}

/// A template is filled when a job is submitted, and later settings do not change it.
///
/// # Panics
/// If it is otherwise.
pub async fn a_template_is_filled_when_a_job_is_submitted(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let name = queue_name("q");
    queue
        .configure(&name, gpu_queue())
        .await
        .expect("configure");
    let request = job().with_template_values(json!({"gpus": 3}));
    enqueued(&*queue, request).await;
    let answer = queue.configure(&name, QueueSettings::default()).await;
    answer.expect("configure again");
    let spec = leased(&*queue).await.job.spec;
    let expected = json!({
        "entry": "train.py",
        "resource": "kubernetes",
        "resource_args": {"kubernetes": {"gpus": 3}},
    });
    assert_eq!(spec, expected);
}

/// What the settings do not allow is refused, and leaves nothing behind.
///
/// # Panics
/// If it is otherwise.
pub async fn what_the_settings_do_not_allow_is_refused(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let name = queue_name("q");
    let mut settings = gpu_queue();
    settings.prioritization = Prioritization::Age;
    queue.configure(&name, settings).await.expect("configure");
    let good = || job().with_template_values(json!({"gpus": 1}));
    let refused: [EnqueueRequest; 3] = [
        job(),
        job().with_template_values(json!({"gpus": 9})),
        good().with_priority(Priority::High),
    ];
    for request in refused {
        let answer = queue.enqueue(request).await;
        assert!(matches!(answer, Err(Error::Settings { .. })), "{answer:?}");
    }
    let mut impossible = gpu_queue();
    impossible.template_variables = json!({});
    let answer = queue.configure(&name, impossible).await;
    assert!(matches!(answer, Err(Error::Settings { .. })), "{answer:?}");
    assert_eq!(maybe_leased(&*queue).await, None);
    enqueued(&*queue, good()).await;
    leased(&*queue).await;
}

/// A paused queue takes jobs in and gives none out, until it goes on.
///
/// # Panics
/// If it is otherwise.
pub async fn a_paused_queue_gives_nothing_out(harness: Arc<dyn Harness>) {
    let queue = harness.handle().await;
    let name = queue_name("q");
    let paused = QueueSettings {
        paused: true,
        ..QueueSettings::default()
    };
    queue.configure(&name, paused).await.expect("pause");
    let id = enqueued(&*queue, job()).await;
    assert_eq!(maybe_leased(&*queue).await, None);
    let only = lease_from(&["q"]).with_only(id.clone());
    assert_eq!(queue.lease(only).await.expect("lease"), None);
    let answer = queue.configure(&name, QueueSettings::default()).await;
    answer.expect("go on");
    assert_eq!(leased(&*queue).await.job.id, id);
    assert_eq!(record(&*queue, &id).await.fence, 1);
}
