//! Stopping pods: nicely where their output is to stay, then by force.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::io::AsyncBufReadExt as _;
use kube::Error as ApiError;
use kube::api::{DeleteParams, LogParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::super::failure::{answered, code, gone_is_fine};
use super::super::hub::Pod;
use super::super::manifest::Kind;
use super::super::run::{Identity, KubernetesRun};
use super::super::stand::END_ANNOTATION;
use super::annotate;

/// How soon we look again whether pods have ended.
const PAUSE: Duration = Duration::from_millis(300);
/// How long a node may take to end what it was told to end by force.
const DEATH_TIMEOUT: Duration = Duration::from_secs(15);

/// Stops what is left of a run whose end is noted.
pub(in crate::kubernetes) async fn stop(
    run: &KubernetesRun,
    grace: Duration,
) -> Result<(), ApiError> {
    let Some(record) = run.record().await? else {
        return Ok(());
    };
    let Some(identity) = Identity::of(&record) else {
        return Ok(());
    };
    let Some(main) = run.main(&identity).await? else {
        return force(run).await;
    };
    if identity.kind.is_job() {
        return stop_job(run, &identity, grace).await;
    }
    // What it leaves behind would go with it, and the note too.
    let mut kept = json!({"metadata": {"ownerReferences": null}});
    if let Some(note) = main
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(END_ANNOTATION))
    {
        kept["metadata"]["annotations"] = json!({END_ANNOTATION: note});
    }
    annotate(run, &Kind::secret(), &run.name, kept).await?;
    let api = run.cluster.api(&identity.kind, &run.namespace);
    gone_is_fine(answered(api.delete(&identity.name, &DeleteParams::background())).await)?;
    delete_pods(run, Some(grace), |_| true).await?;
    if ended_within(run, grace + DEATH_TIMEOUT).await? {
        return Ok(());
    }
    force(run).await
}

/// Keeps the run's object from making pods, and leaves those there are their grace.
pub(in crate::kubernetes) async fn halt(run: &KubernetesRun) -> Result<(), ApiError> {
    let record = run.record().await?;
    match record.as_ref().and_then(Identity::of) {
        Some(identity) if identity.kind.is_job() => make_no_pods(run, &identity).await,
        _ => Ok(()),
    }
}

async fn stop_job(
    run: &KubernetesRun,
    identity: &Identity,
    grace: Duration,
) -> Result<(), ApiError> {
    let deadline = Instant::now() + grace;
    let pods = run.pods().await?;
    let running: Vec<&Pod> = pods.iter().filter(|pod| pod.has_running()).collect();
    if running.is_empty() {
        make_no_pods(run, identity).await?;
        delete_pods(run, Some(Duration::ZERO), Pod::is_alive).await?;
        return if ended_within(run, DEATH_TIMEOUT).await? {
            Ok(())
        } else {
            force(run).await
        };
    }
    for pod in &running {
        let api = run.cluster.api(&Kind::new("", "v1", "Pod"), &run.namespace);
        let passed = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
        let ended = answered(api.patch(&pod.name, &PatchParams::default(), &passed)).await;
        match ended {
            Err(error) if ![Some(403), Some(404), Some(422)].contains(&code(&error)) => {
                return Err(error);
            }
            // We may not, or its deadline is shorter: then it is deleted, as it would be
            // in the end.
            Err(error) if code(&error) != Some(404) => {
                delete_pods(run, Some(grace), |other| other.uid == pod.uid).await?;
            }
            _ => {}
        }
    }
    let ended = ended_within(run, deadline.saturating_duration_since(Instant::now())).await?;
    make_no_pods(run, identity).await?;
    if ended {
        return Ok(());
    }
    delete_pods(run, Some(Duration::from_secs(1)), may_act).await?;
    if ended_within(run, DEATH_TIMEOUT).await? {
        return Ok(());
    }
    force(run).await
}

/// Keeps a Job from making pods. It has no word for that before 1.21; having none at once
/// is the same.
async fn make_no_pods(run: &KubernetesRun, identity: &Identity) -> Result<(), ApiError> {
    let none = json!({"spec": {"parallelism": 0}});
    match annotate(run, &identity.kind, &identity.name, none).await {
        // It has ended, or is gone: then it makes none.
        Err(error) if matches!(code(&error), Some(404 | 409 | 422)) => Ok(()),
        other => other,
    }
}

fn may_act(pod: &Pod) -> bool {
    pod.is_alive() || pod.may_linger()
}

/// Removes pods whose nodes do not answer from the API.
async fn force(run: &KubernetesRun) -> Result<(), ApiError> {
    delete_pods(run, None, may_act).await
}

async fn delete_pods(
    run: &KubernetesRun,
    grace: Option<Duration>,
    which: impl Fn(&Pod) -> bool + Send,
) -> Result<(), ApiError> {
    let seconds = grace.map_or(0, |grace| {
        u32::try_from(grace.as_secs()).unwrap_or(u32::MAX).max(1)
    });
    let params = DeleteParams::default().grace_period(seconds);
    let api = run.cluster.api(&Kind::new("", "v1", "Pod"), &run.namespace);
    let mut pods = run.pods().await?;
    pods.retain(|pod| which(pod));
    for pod in pods {
        gone_is_fine(answered(api.delete(&pod.name, &params)).await)?;
    }
    Ok(())
}

async fn ended_within(run: &KubernetesRun, limit: Duration) -> Result<bool, ApiError> {
    let deadline = Instant::now() + limit;
    loop {
        let pods = run.pods().await?;
        let left = deadline.saturating_duration_since(Instant::now());
        if !pods.iter().any(Pod::is_alive) {
            return Ok(fall_silent(run, &pods, left).await);
        }
        if left.is_zero() {
            return Ok(false);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the containers end that old nodes call over too early: their logs do then.
async fn fall_silent(run: &KubernetesRun, pods: &[Pod], limit: Duration) -> bool {
    let lingering = pods.iter().filter(|pod| pod.may_linger());
    let silence = lingering.map(|pod| async {
        let params = LogParams {
            container: Some(pod.leader.clone()),
            follow: true,
            tail_lines: Some(0),
            ..LogParams::default()
        };
        let Ok(log) = run
            .cluster
            .logs(&run.namespace)
            .log_stream(&pod.name, &params)
            .await
        else {
            return;
        };
        let mut log = std::pin::pin!(log);
        while let Ok(chunk) = log.fill_buf().await {
            let length = chunk.len();
            if length == 0 {
                return;
            }
            log.consume_unpin(length);
        }
    });
    tokio::time::timeout(limit, join_all(silence)).await.is_ok()
}
