//! Plan what becomes of a source.

use std::path::PathBuf;

use launch_builder::context::ContextOptions;
use launch_builder::event::{Event, Events};
use launch_builder::plan::{self, BuildSpec, Mounted, Plan};
use launch_builder::source::{Fetched, SourceTree};
use launch_builder::{BuildRequest, Error};
use launch_config::id::RunKey;
use launch_config::image::{Digest, ImageRef};
use launch_config::job::{CanBuild, Next, Project, RefuseProject};
use launch_config::outcome::{Reason, Stage};
use launch_config::spec::{Resource, RunSpec};
use launch_runner::run::CodeMount;
use tokio::sync::mpsc;

use super::fetch::{Asked, Got};
use super::{Stop, Task, mount};
use crate::choose::{self, Choice};
use crate::contexts::Known;
use crate::report::Progress;
use crate::state::private_dir;

/// What is to become of a job.
#[derive(Debug)]
pub(super) enum Planned {
    /// It is an image already.
    Image {
        image: ImageRef,
        command: Vec<String>,
        choice: Choice,
    },
    /// It runs from its working copy.
    Process {
        directory: PathBuf,
        command: Vec<String>,
        unchanged: bool,
        choice: Choice,
    },
    /// It runs in a base image, from its working copy: nothing builds images here.
    Mounted {
        mounted: Box<Mounted>,
        code: CodeMount,
        choice: Choice,
    },
    /// Its image is to be found or built. Keeps the checkout alive.
    Build {
        request: Box<BuildRequest>,
        tree: SourceTree,
        choice: Choice,
    },
}

/// Decides what to build and where to run, and hashes the context.
pub(super) async fn plan(
    task: &Task<'_>,
    asked: &Asked<'_>,
    got: Got,
    key: &RunKey,
) -> Result<Planned, Stop> {
    let work = async {
        match got {
            Got::Nothing => plan_scheduler(task, asked, key).await,
            Got::Source(Fetched::Image(image)) => {
                let choice = choose::for_image(asked.spec);
                check_early(task, &choice).await?;
                let (command, result) = (asked.command(), format!("image `{image}`"));
                let planned = Planned::Image {
                    image,
                    command,
                    choice,
                };
                Ok((planned, result))
            }
            Got::Source(Fetched::Tree(tree)) => Box::pin(plan_code(task, asked, tree, key)).await,
            Got::Source(other) => {
                let message = format!("a source of a kind this version does not know: {other:?}");
                Err(Stop::new(Reason::Refused, Stage::Plan, message))
            }
        }
    };
    task.progress.stage(Stage::Plan, work).await
}

/// A sweep scheduler is a command in an empty directory.
async fn plan_scheduler(
    task: &Task<'_>,
    asked: &Asked<'_>,
    key: &RunKey,
) -> Result<(Planned, String), Stop> {
    let Next::Process { command } = asked.project(CanBuild::No)?.next else {
        let message = "a sweep scheduler runs as a process";
        return Err(Stop::new(Reason::Refused, Stage::Plan, message));
    };
    let choice = choose::for_scheduler();
    check_early(task, &choice).await?;
    let directory = task.app.settings.state.work(key);
    private_dir(&directory)
        .map_err(|error| Stop::error(Reason::AgentFailed, Stage::Plan, &error))?;
    let result = command.join(" ");
    let planned = Planned::Process {
        directory,
        command,
        unchanged: false,
        choice,
    };
    Ok((planned, result))
}

async fn plan_code(
    task: &Task<'_>,
    asked: &Asked<'_>,
    tree: SourceTree,
    key: &RunKey,
) -> Result<(Planned, String), Stop> {
    let refused = |error: Error| stop(Reason::Refused, Stage::Plan, &error);
    let spec = asked.spec;
    let platform = task.app.settings.config.builder.platform.as_deref();
    let project = asked.project(CanBuild::Yes)?;
    let build = asked.build(&project, platform);
    let has_base = matches!(project.next, Next::BaseImage { .. });
    if choose::mounts(task.app, spec) || (has_base && choose::can_mount(project.resource)) {
        return Box::pin(mount::plan(task, asked, &tree, &build, key)).await;
    }
    let mut plan = plan::plan(&tree, &build).map_err(refused)?;
    if spec.resource != Some(Resource::LocalProcess) {
        plan = task.app.with_bases(plan).await;
    }
    let choice = choose::for_code(task.app, spec, &plan).await;
    check_reachable(task, &choice)?;
    check_early(task, &choice).await?;
    if choice.resource == Resource::LocalProcess {
        if let Some(requirements) = &plan.requirements {
            let file = requirements.file.display();
            let text =
                format!("`{file}` is not installed: a local process has this machine's packages");
            task.progress.warn(Stage::Plan, &text);
        }
        return plan_process(task, asked, &tree, key, choice).await;
    }
    plan.notes.iter().for_each(|note| task.progress.line(note));
    let known = hash(task, &tree, &plan).await?;
    let digest = known.context.digest;
    let image = image_name(task, &asked.origin(&tree), &plan, digest)?;
    let request = BuildRequest::new(plan, image).with_context(digest);
    let request = Box::new(request.with_id(key.job.as_str()));
    let planned = Planned::Build {
        request,
        tree,
        choice,
    };
    Ok((planned, describe(&known)))
}

/// A backend that is missing is known before anything is built for it.
pub(super) async fn check_early(task: &Task<'_>, choice: &Choice) -> Result<(), Stop> {
    let runner = task.app.runner(choice.resource);
    let runner = runner.map_err(|failure| Stop::unsupported(Stage::Plan, &failure))?;
    let checked = runner.check().await;
    checked.map_err(|error| {
        Stop::error(Reason::AgentFailed, Stage::Plan, &error).with_hint(error.hint())
    })
}

/// Managed services pull images; one that stays with our engine is out of their reach.
fn check_reachable(task: &Task<'_>, choice: &Choice) -> Result<(), Stop> {
    let pulls = matches!(choice.resource, Resource::Sagemaker | Resource::Vertex);
    if !pulls || task.app.settings.destination().is_some() {
        return Ok(());
    }
    let message = format!(
        "`{}` pulls its images, and the agent has no registry to push this job's to",
        choice.resource
    );
    Err(Stop::new(Reason::Refused, Stage::Plan, message)
        .with_hint(Some("set `builder.destination` in the agent file")))
}

/// A process runs in a working copy of its own, made from the packed context.
async fn plan_process(
    task: &Task<'_>,
    asked: &Asked<'_>,
    tree: &SourceTree,
    key: &RunKey,
    choice: Choice,
) -> Result<(Planned, String), Stop> {
    let refused = |error: Error| stop(Reason::Refused, Stage::Plan, &error);
    let entry = plan::entry_point(tree, &asked.command()).map_err(refused)?;
    let (directory, known) = working_copy(task, tree, key).await?;
    let result = describe(&known);
    let (command, unchanged) = (entry.command, known.unchanged);
    Ok((
        Planned::Process {
            directory,
            command,
            unchanged,
            choice,
        },
        result,
    ))
}

/// The run's own copy of a source, made from the packed context.
pub(super) async fn working_copy(
    task: &Task<'_>,
    tree: &SourceTree,
    key: &RunKey,
) -> Result<(PathBuf, Known), Stop> {
    let contexts = &task.app.contexts;
    let directory = task.app.settings.state.work(key);
    let scratch = task.scratch(Stage::Plan)?;
    let known = with_events(task.progress, Stage::Plan, async |events| {
        let options = ContextOptions::new();
        contexts
            .copy(
                tree.origin(),
                tree.root(),
                options,
                (&scratch, &directory),
                events,
            )
            .await
    });
    let known = known
        .await
        .map_err(|error| stop(Reason::AgentFailed, Stage::Plan, &error))?;
    task.progress.cached("context", known.unchanged);
    Ok((directory, known))
}

async fn hash(task: &Task<'_>, tree: &SourceTree, plan: &Plan) -> Result<Known, Stop> {
    let options = plan.context_options();
    let known = with_events(task.progress, Stage::Plan, async |events| {
        task.app
            .contexts
            .hash(tree.origin(), &plan.context, options, events)
            .await
    });
    let known = known
        .await
        .map_err(|error| stop(Reason::AgentFailed, Stage::Plan, &error))?;
    task.progress.cached("context", known.unchanged);
    Ok(known)
}

/// `destination:<tag>`, or a local name after the source.
fn image_name(
    task: &Task<'_>,
    origin: &str,
    plan: &Plan,
    context: Digest,
) -> Result<ImageRef, Stop> {
    let repository = match task.app.settings.destination() {
        Some(destination) => destination.clone(),
        None => local_name(origin),
    };
    repository
        .with_tag(&plan.tag(context))
        .map_err(|error| Stop::error(Reason::AgentFailed, Stage::Plan, &error))
}

/// `launch/<name>`, from the last part of a path or URL.
pub(crate) fn local_name(origin: &str) -> ImageRef {
    let last = origin
        .trim_end_matches(['/', '.'])
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default();
    let last = last.strip_suffix(".git").unwrap_or(last).to_lowercase();
    let words = last
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-");
    let name = if name.is_empty() { "source" } else { &name };
    format!("launch/{name}")
        .parse()
        .expect("words joined by dashes are a path component")
}

pub(super) fn describe(known: &Known) -> String {
    let state = if known.unchanged { "unchanged" } else { "new" };
    let context = &known.context;
    let (size, files) = (indicatif::HumanBytes(context.bytes), context.files);
    let word = if files == 1 { "file" } else { "files" };
    format!(
        "context {} ({files} {word}, {size}), {state}",
        context.digest
    )
}

/// What a spec says about a build.
pub(crate) fn build_spec(
    spec: &RunSpec,
    platform: Option<&str>,
) -> Result<BuildSpec, RefuseProject> {
    let project = Project::of(spec, None, CanBuild::Yes)?;
    let mut build = BuildSpec::of(spec, &project);
    build.platform = platform.map(str::to_owned);
    Ok(build)
}

pub(super) fn stop(reason: Reason, stage: Stage, error: &Error) -> Stop {
    let tail = match error {
        Error::Build { log_tail, .. } => log_tail.clone(),
        _ => Vec::new(),
    };
    Stop::error(reason, stage, error)
        .with_hint(error.hint())
        .with_log_tail(tail)
}

/// Runs library work whose events come from any thread, and shows them in order.
pub(super) async fn with_events<T>(
    progress: &Progress,
    stage: Stage,
    work: impl AsyncFnOnce(Events) -> T,
) -> T {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    // Events are small and drawn at once; a listener that is gone is no loss.
    let events = Events::new(move |event| drop(sender.send(event)));
    let show = async {
        while let Some(event) = receiver.recv().await {
            see(progress, stage, event);
        }
    };
    let (value, ()) = tokio::join!(work(events), show);
    value
}

fn see(progress: &Progress, stage: Stage, event: Event) {
    match event {
        Event::Fetch(text) => progress.progress(text),
        Event::Context { files, bytes } => {
            progress.progress(format!("{files} files, {}", indicatif::HumanBytes(bytes)));
        }
        Event::Skipped(path) => progress.warn(stage, &format!("`{path}` is no file: left out")),
        Event::Log(line) => progress.line(&line),
        Event::Warning(text) => progress.warn(stage, &text),
        other => tracing::debug!(?other, "an event of a newer builder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_images_are_named_after_their_source() {
        for (origin, name) in [
            ("/home/ann/My Project", "launch/my-project"),
            ("https://host/team/Repo.git", "launch/repo"),
            ("git@host:x_y", "launch/x-y"),
            ("/", "launch/source"),
        ] {
            assert_eq!(local_name(origin).to_string(), name);
        }
    }
}
