//! Submit a run, watch it to its end.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use launch_config::agent::BuilderKind;
use launch_config::env::{RunContext, job_environment};
use launch_config::macros::Macros;
use launch_config::outcome::{Outcome, Reason, Stage};
use launch_config::policy::Refusal;
use launch_config::source::Source;
use launch_config::spec::{Resource, RunSpec, Service};
use launch_queue::job::Job;
use launch_runner::run::{Run, RunEnd, RunEvent, RunHandle, RunRequest, RunState};
use launch_runner::{Error, Runner};
use serde_json::{Map, Value, json};

use super::image::Ready;
use super::{Stop, Task};
use crate::report::Row;

/// How long a run may take to end nicely when it is cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(10);

/// Finds a run that an earlier process submitted.
pub(super) async fn attach(task: &Task<'_>, handle: &RunHandle) -> Result<Box<dyn Run>, Stop> {
    let work = async {
        let runner = task
            .app
            .runner_named(&handle.runner)
            .map_err(|failure| Stop::unsupported(Stage::Submit, &failure))?;
        let mut wait = Duration::from_millis(500);
        loop {
            match runner.attach(handle).await {
                Ok(run) => return Ok((run, format!("found `{}` again", handle.id))),
                // The backend is away, not the run: that takes as long as it takes.
                Err(error) if error.is_retryable() => {
                    tracing::warn!(
                        error = crate::failure::one_line(&error),
                        "cannot attach yet"
                    );
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(15));
                }
                Err(error) => return Err(stop(&error)),
            }
        }
    };
    task.progress.stage(Stage::Submit, work).await
}

/// Hands a run to its backend.
pub(super) async fn submit(
    task: &Task<'_>,
    spec: &RunSpec,
    job: &Job,
    ready: Ready,
) -> Result<Box<dyn Run>, Stop> {
    let work = async {
        let resource = ready.choice().resource;
        let runner = task
            .app
            .runner(resource)
            .map_err(|failure| Stop::unsupported(Stage::Submit, &failure))?;
        let why = ready.choice().why.clone();
        let request = request(task, spec, job, ready)?;
        let run = submit_or_cancel(task, runner, request).await?;
        let result = format!("{resource} ({why}): `{}`", run.handle().id);
        Ok((run, result))
    };
    task.progress.stage(Stage::Submit, work).await
}

/// How often a submission is tried whose backend fails, and the first pause between.
const TRIES: u32 = 9;
const PAUSE: Duration = Duration::from_millis(500);

/// A submission may wait long for an image; a wish to cancel must not. Dropping it leaves
/// the run submitted or not, and `owned` says which.
async fn submit_or_cancel(
    task: &Task<'_>,
    runner: &dyn Runner,
    request: RunRequest,
) -> Result<Box<dyn Run>, Stop> {
    tokio::select! {
        run = submit_patiently(runner, &request) => return run.map_err(|error| stop(&error)),
        () = task.cancel.cancelled() => {}
    }
    let owned = runner.owned().await.map_err(|error| stop(&error))?;
    if owned.contains(&request.key) {
        return runner.submit(request).await.map_err(|error| stop(&error));
    }
    Err(Stop::new(
        Reason::Cancelled,
        Stage::Submit,
        "cancelled before it started",
    ))
}

/// Submits again where the backend failed on the way: names derive from the key, so what
/// was made the first time is met again.
async fn submit_patiently(
    runner: &dyn Runner,
    request: &RunRequest,
) -> Result<Box<dyn Run>, Error> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match runner.submit(request.clone()).await {
            Err(error @ Error::Backend { .. }) => {
                tracing::warn!(error = crate::failure::one_line(&error), "submitting again");
            }
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    runner.submit(request.clone()).await
}

fn request(task: &Task<'_>, spec: &RunSpec, job: &Job, ready: Ready) -> Result<RunRequest, Stop> {
    let resource = ready.choice().resource;
    let mut context = RunContext::new(job.id.as_str())
        .with_resource(resource)
        .with_job(job.queue.clone(), job.id.clone());
    context.image = ready.job_image().cloned();
    if let Some(server) = &task.app.server {
        context = server.describe(context, job);
    }
    let macros = Macros::of(spec, job.id.as_str(), ready.image());
    let args = macros.fill(&spec.args_for(resource));
    judge(task, resource, &args)?;
    let args = with_loopback(args, resource, context.base_url.as_deref());
    // An image that nobody built here may have moved since the engine last saw its tag.
    let refresh = ready.choice().builder == BuilderKind::Noop;
    let (workload, command, code) = ready.into_parts();
    let mut request = RunRequest::new(job.run_key(), workload)
        .with_command(command)
        .with_refresh(refresh)
        .with_overriding_command(!spec.overrides.entry_point.is_empty())
        .with_args(arguments(spec))
        .with_resource_args(args)
        .with_env("LAUNCH_JOB_ID", job.id.as_str())
        .with_env("LAUNCH_ATTEMPT", job.attempt.to_string())
        .with_label("launch.queue", job.queue.as_str());
    request = request.with_services(services(task, spec, &macros)?);
    // The agent's own mount: no policy is asked.
    request.code = code;
    request.env.extend(job_environment(spec, &context));
    Ok(request)
}

/// Arguments after the command; a scheduler's are in it, without the quotes clients write.
fn arguments(spec: &RunSpec) -> Vec<String> {
    match spec.source() {
        Some(Source::Scheduler) => Vec::new(),
        _ => spec.overrides.args.clone(),
    }
}

/// A server on this machine is out of a container's sight, unless it shares our network:
/// the agent's own doing, so no policy is asked.
fn with_loopback(mut args: Value, resource: Resource, server: Option<&str>) -> Value {
    let host = server
        .and_then(|server| server.parse::<url::Url>().ok())
        .and_then(|server| server.host_str().map(str::to_owned));
    let is_here = host.is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&&*host));
    if resource != Resource::LocalContainer || !is_here {
        return args;
    }
    if args.is_null() {
        args = json!({});
    }
    if let Value::Object(args) = &mut args {
        args.entry("network").or_insert_with(|| json!("host"));
    }
    args
}

/// The objects beside the run, with their macros filled in.
fn services(task: &Task<'_>, spec: &RunSpec, macros: &Macros) -> Result<Vec<Service>, Stop> {
    let one = |service: &Service| {
        let mut service = service.clone();
        let filled = macros.fill(&Value::Object(service.config));
        let policy = &task.app.settings.config.policy;
        policy.check_manifest(&filled).map_err(|refusals| {
            let hint = refusals.iter().find_map(Refusal::hint);
            Stop::error(Reason::Refused, Stage::Submit, &refusals).with_hint(hint.as_deref())
        })?;
        service.config = filled.as_object().cloned().unwrap_or_default();
        Ok(service)
    };
    spec.additional_services.iter().map(one).collect()
}

/// Macros can turn harmless text into something else, so the result is judged again.
fn judge(task: &Task<'_>, resource: Resource, args: &Value) -> Result<(), Stop> {
    let mut map = Map::new();
    map.insert(resource.as_str().to_owned(), args.clone());
    let policy = &task.app.settings.config.policy;
    let judged = policy.check_resource_args(&Value::Object(map));
    judged.map_err(|refusals| {
        let hint = refusals.iter().find_map(Refusal::hint);
        Stop::error(Reason::Refused, Stage::Submit, &refusals).with_hint(hint.as_deref())
    })
}

fn stop(error: &Error) -> Stop {
    let reason = match error {
        Error::Refused { .. } => Reason::Refused,
        Error::Lost(_) => Reason::Lost,
        _ => Reason::SubmitFailed,
    };
    Stop::error(reason, Stage::Submit, error).with_hint(error.hint())
}

/// Watches a run to its end, keeping its output and ending it when asked to.
pub(super) async fn watch(task: &Task<'_>, run: Box<dyn Run>) -> Outcome {
    let start = Instant::now();
    task.progress.begins(Stage::Watch);
    let mut events = run.events(task.progress.resume_log());
    let mut end = None;
    let mut ending = None;
    while end.is_none() {
        tokio::select! {
            event = events.next() => end = see(task, event),
            () = task.cancel.cancelled(), if ending.is_none() => {
                task.progress.line("cancelling the run");
                ending = Some(run.cancel(CANCEL_GRACE));
            }
            Some(cancelled) = next(&mut ending), if ending.is_some() => {
                // Ended or about to: the stream says so. Else it is tried again.
                if let Err(error) = cancelled {
                    tracing::warn!(error = crate::failure::one_line(&error), "cannot cancel yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    ending = Some(run.cancel(CANCEL_GRACE));
                }
            }
        }
    }
    let end = end.unwrap_or_else(|| RunEnd::new(Reason::Lost, "nothing is known of its end"));
    let result = match &end.reason {
        Reason::Succeeded => "exit status 0".to_owned(),
        Reason::Failed { code } => format!("exit status {code}"),
        other => other.to_string(),
    };
    task.progress.row(Row {
        stage: Stage::Watch,
        took: start.elapsed(),
        result,
    });
    let tail = if end.reason.is_success() {
        Vec::new()
    } else {
        task.progress.tail()
    };
    Outcome::new(end.reason, Stage::Watch)
        .with_message(end.message)
        .with_log_tail(tail)
}

type Ending<'a> = Option<futures_util::future::BoxFuture<'a, Result<(), Error>>>;

/// Waits for a cancellation in progress; it is over when this answers.
async fn next(ending: &mut Ending<'_>) -> Option<Result<(), Error>> {
    let done = match ending {
        Some(future) => future.await,
        None => return None,
    };
    // A finished future must not be polled again; waiting forever stands in for it.
    *ending = Some(Box::pin(std::future::pending()));
    Some(done)
}

/// Deals with one event; the last one is the answer.
fn see(task: &Task<'_>, event: Option<RunEvent>) -> Option<RunEnd> {
    match event {
        Some(RunEvent::State(state)) => {
            if state == RunState::Running {
                task.progress.progress("running".to_owned());
            }
            None
        }
        Some(RunEvent::Warning(text)) => {
            task.progress.warn(Stage::Watch, &text);
            None
        }
        Some(RunEvent::Log(bytes)) => {
            task.progress.output(&bytes);
            None
        }
        Some(RunEvent::Ended(end)) => {
            task.progress.output_ends();
            Some(end)
        }
        // A stream that ends without an end breaks its contract; nothing is known.
        None => Some(RunEnd::new(Reason::Lost, "the runner stopped watching")),
        Some(other) => {
            tracing::debug!(?other, "an event of a newer runner");
            None
        }
    }
}
