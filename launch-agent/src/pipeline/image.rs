//! Find the image of a plan, or build and push it: the only branch of the flow.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use launch_builder::{BuildRequest, BuiltImage, Delivery};
use launch_config::agent::BuilderKind;
use launch_config::image::{Digest, ImageRef, PinnedImage};
use launch_config::outcome::{Reason, Stage};
use launch_registry::{PushEvent, PushEvents};
use launch_runner::run::{CodeMount, Workload};

use super::prepare::{Planned, stop, with_events};
use super::{Stop, Task};
use crate::choose::Choice;
use crate::report::Row;

/// A job that only has to be submitted.
#[derive(Debug)]
pub(super) struct Ready {
    workload: Workload,
    command: Vec<String>,
    choice: Choice,
    /// Code that the image does not hold.
    code: Option<CodeMount>,
    /// The image that the W&B job is, whose run is told so.
    job_image: Option<ImageRef>,
}

impl Ready {
    pub(super) fn choice(&self) -> &Choice {
        &self.choice
    }

    /// The image it runs, if it is no process.
    pub(super) fn image(&self) -> Option<&ImageRef> {
        match &self.workload {
            Workload::Image { image, .. } => Some(image),
            _ => None,
        }
    }

    pub(super) fn with_job_image(mut self, image: Option<ImageRef>) -> Self {
        self.job_image = image;
        self
    }

    pub(super) fn job_image(&self) -> Option<&ImageRef> {
        self.job_image.as_ref()
    }

    pub(super) fn into_parts(self) -> (Workload, Vec<String>, Option<CodeMount>) {
        (self.workload, self.command, self.code)
    }
}

/// Makes sure that a job can be submitted.
pub(super) async fn provide(task: &Task<'_>, planned: Planned) -> Result<Ready, Stop> {
    match planned {
        Planned::Image {
            image,
            command,
            choice,
        } => {
            skipped(task, "skipped: the job is an image");
            ready(task, image, command, choice).await
        }
        Planned::Process {
            directory,
            command,
            unchanged,
            choice,
        } => {
            let why = if unchanged {
                "skipped: context unchanged, and no image needed"
            } else {
                "skipped: no image needed"
            };
            skipped(task, why);
            let workload = Workload::Tree(directory);
            Ok(Ready {
                workload,
                command,
                choice,
                code: None,
                job_image: None,
            })
        }
        Planned::Mounted {
            mounted,
            code,
            choice,
        } => {
            skipped(
                task,
                "skipped: the builder is `noop`, and the code is mounted",
            );
            let ready = ready(task, mounted.image, mounted.command, choice).await?;
            Ok(Ready {
                code: Some(code),
                ..ready
            })
        }
        Planned::Build {
            request,
            tree,
            choice,
        } => {
            let command = request.plan.entry_command().unwrap_or_default().to_vec();
            let flight = task.app.flights.board(&request.image.to_string()).await;
            let ready = if task.app.settings.destination().is_some() {
                let image = if choice.builder == BuilderKind::Kaniko {
                    from_cluster(task, *request, &choice).await?
                } else {
                    let pinned = in_registry(task, *request, &choice).await?;
                    pinned.image().clone()
                };
                ready(task, image, command, choice).await
            } else {
                let image = in_engine(task, *request, &choice).await?;
                Ok(Ready {
                    workload: Workload::Image { image, pull: None },
                    command,
                    choice,
                    code: None,
                    job_image: None,
                })
            };
            drop((flight, tree));
            ready
        }
    }
}

fn skipped(task: &Task<'_>, why: &str) {
    task.progress.row(Row {
        stage: Stage::Build,
        took: Duration::ZERO,
        result: why.to_owned(),
    });
}

/// An image that its runner may have to pull.
async fn ready(
    task: &Task<'_>,
    image: ImageRef,
    command: Vec<String>,
    choice: Choice,
) -> Result<Ready, Stop> {
    let credentials = task.app.registry.credentials(&image).await;
    let pull = credentials
        .map_err(|error| registry_stop(Stage::Plan, &error))?
        .inspect(|credentials| crate::masking::secret(&credentials.password))
        .map(|credentials| (credentials.user, credentials.password));
    Ok(Ready {
        workload: Workload::Image { image, pull },
        command,
        choice,
        code: None,
        job_image: None,
    })
}

/// No destination: the image stays with the engine that built it.
async fn in_engine(
    task: &Task<'_>,
    request: BuildRequest,
    choice: &Choice,
) -> Result<ImageRef, Stop> {
    let work = async {
        match build(task, request, choice).await? {
            BuiltImage::Local {
                image,
                reused: true,
                ..
            } => {
                task.progress.cached("image", true);
                let result = format!("skipped: `{image}` is there");
                Ok((image, result))
            }
            BuiltImage::Local { image, .. } => {
                task.progress.cached("image", false);
                let result = format!("image `{image}`");
                Ok((image, result))
            }
            other => Err(unexpected(&other)),
        }
    };
    task.progress.stage(Stage::Build, work).await
}

/// A destination: found there, or built and pushed.
async fn in_registry(
    task: &Task<'_>,
    request: BuildRequest,
    choice: &Choice,
) -> Result<PinnedImage, Stop> {
    let registry = &task.app.registry;
    let image = &request.image.clone();
    let found = find(task, image).await?;
    task.progress.cached("image", found.is_some());
    if let Some(digest) = found {
        skipped(task, &format!("skipped: `{image}` is there"));
        return Ok(image.pin(digest));
    }
    // A build takes minutes; that the push is refused is known in one.
    registry
        .check(image)
        .await
        .map_err(|error| registry_stop(Stage::Push, &error))?;
    let scratch = tempfile::tempdir_in(task.scratch(Stage::Build)?)
        .map_err(|error| Stop::error(Reason::AgentFailed, Stage::Build, &error))?;
    let layout = scratch.path().join("layout");
    let request = request.with_delivery(Delivery::Layout(layout));
    let work = async {
        let built = build(task, request, choice).await?;
        Ok((built, format!("image `{image}`")))
    };
    match task.progress.stage(Stage::Build, work).await? {
        BuiltImage::Layout(layout) => {
            // Another agent may have been faster; all then run what it pushed.
            if let Some(digest) = find(task, image).await? {
                task.progress
                    .line("another agent has pushed the image meanwhile");
                return Ok(image.pin(digest));
            }
            push(task, layout, image).await
        }
        BuiltImage::Pushed(pinned) => Ok(pinned),
        other => Err(unexpected(&other)),
    }
}

/// The builder pushes by itself, as somebody who may; whether we may is another question.
async fn from_cluster(
    task: &Task<'_>,
    request: BuildRequest,
    choice: &Choice,
) -> Result<ImageRef, Stop> {
    let image = &request.image.clone();
    let found = find_if_allowed(task, image).await?;
    task.progress.cached("image", found.is_some());
    if let Some(digest) = found {
        task.app.clean_up(&request).await;
        skipped(task, &format!("skipped: `{image}` is there"));
        return Ok(image.pin(digest).image().clone());
    }
    let request = request.with_delivery(Delivery::Registry);
    let work = async {
        match build(task, request, choice).await? {
            BuiltImage::Pushed(pinned) => Ok((pinned.image().clone(), pinned.to_string())),
            BuiltImage::Tagged(image) => {
                let found = find_if_allowed(task, &image).await?;
                let found = found.map(|digest| image.pin(digest).image().clone());
                let image = found.unwrap_or(image);
                let result = format!("image `{image}`");
                Ok((image, result))
            }
            other => Err(unexpected(&other)),
        }
    };
    task.progress.stage(Stage::Build, work).await
}

/// Who may not look does not know; then the image is built.
async fn find_if_allowed(task: &Task<'_>, image: &ImageRef) -> Result<Option<Digest>, Stop> {
    use launch_registry::Error::{Denied, Unauthorized};
    match task.app.registry.find(image).await {
        Err(error @ (Unauthorized { .. } | Denied { .. })) => {
            tracing::info!(%image, %error, "cannot look the image up");
            Ok(None)
        }
        found => found.map_err(|error| registry_stop(Stage::Build, &error)),
    }
}

async fn find(task: &Task<'_>, image: &ImageRef) -> Result<Option<Digest>, Stop> {
    let found = task.app.registry.find(image).await;
    found.map_err(|error| registry_stop(Stage::Build, &error))
}

async fn push(task: &Task<'_>, layout: PathBuf, image: &ImageRef) -> Result<PinnedImage, Stop> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let events: PushEvents = Arc::new(move |event| drop(sender.send(event)));
    let show = async {
        while let Some(event) = receiver.recv().await {
            match event {
                PushEvent::Retry { what } => task.progress.warn(Stage::Push, &what),
                PushEvent::Sent { digest, bytes } => task.progress.progress(format!(
                    "{} {}",
                    digest.short(),
                    indicatif::HumanBytes(bytes)
                )),
                _ => {}
            }
        }
    };
    let work = async {
        let push = async { task.app.registry.push(&layout, image, &{ events }).await };
        let (pinned, ()) = tokio::join!(push, show);
        let pinned = pinned.map_err(|error| registry_stop(Stage::Push, &error))?;
        let result = pinned.to_string();
        Ok((pinned, result))
    };
    task.progress.stage(Stage::Push, work).await
}

async fn build(
    task: &Task<'_>,
    request: BuildRequest,
    choice: &Choice,
) -> Result<BuiltImage, Stop> {
    let builder = task
        .app
        .builder(choice.builder)
        .map_err(|failure| Stop::unsupported(Stage::Build, &failure))?;
    let built = with_events(task.progress, Stage::Build, async |events| {
        builder.build(request, &events).await
    });
    built
        .await
        .map_err(|error| stop(Reason::BuildFailed, Stage::Build, &error))
}

fn registry_stop(stage: Stage, error: &launch_registry::Error) -> Stop {
    Stop::error(Reason::PushFailed, stage, error).with_hint(error.hint())
}

fn unexpected(built: &BuiltImage) -> Stop {
    let message = format!("the builder delivered where nobody asked it to: {built:?}");
    Stop::new(Reason::AgentFailed, Stage::Build, message)
}
