//! A run spec and its job, put together.

use std::path::PathBuf;

use super::next::{CanBuild, Found, Next};
use super::{EntryPoint, JobDocument, JobSource};
use crate::image::{ImageRef, safe_name};
use crate::source::Source;
use crate::spec::{BuilderArgs, BuilderArgsError, Resource, RunSpec};

/// The user of a generated image.
pub const DEFAULT_USER_ID: u32 = 1000;

/// What a run is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectSource {
    /// An image the spec names.
    Image,
    /// A W&B job.
    Job,
    /// A directory or repository the spec names.
    Code,
    /// A sweep scheduler.
    Scheduler,
}

/// Why a spec and its job make no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefuseProject {
    /// The spec names a job, and its document was not given.
    #[error("the run spec names a job, whose `wandb-job.json` is not there")]
    NoDocument,
    /// The spec names nothing to run.
    #[error("the run spec names no source")]
    NoSource,
    /// Nothing says what to start.
    #[error("neither the job nor the run spec has an entry point")]
    NoEntryPoint,
    /// A process cannot run an image.
    #[error("image `{0}` cannot run as a process of the agent's machine")]
    ImageAsProcess(ImageRef),
    /// The placeholder of a sweep scheduler stands before another command.
    #[error("`{0}` is no sweep scheduler (`wandb scheduler ID …`)")]
    NotAScheduler(EntryPoint),
    /// A sweep scheduler without a job runs as a process only.
    #[error("a sweep scheduler without a job runs as `local-process` only, not as `{0}`")]
    SchedulerPlace(Resource),
    /// `resource_args` has a `builder` block that cannot be used.
    #[error("the queue's `builder` block cannot be used")]
    Builder(#[from] BuilderArgsError),
}

/// A run spec and its job, put together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Project {
    /// What it is made from.
    pub source: ProjectSource,
    /// Where it runs.
    pub resource: Resource,
    /// The image it is, if it is one.
    pub image: Option<ImageRef>,
    /// The name its image has or gets, without a tag for one that is built.
    pub image_name: String,
    /// The job's entry point; a scheduler's is the spec's.
    pub entry_point: Option<EntryPoint>,
    /// The spec's entry point.
    pub override_entry_point: Option<EntryPoint>,
    /// The job's Dockerfile, below the build context; the spec's goes first.
    pub dockerfile: Option<PathBuf>,
    /// The directory below the source that is the build context.
    pub build_context: Option<PathBuf>,
    /// The image code is mounted in.
    pub base_image: Option<ImageRef>,
    /// What the queue says about images.
    pub builder: BuilderArgs,
    /// The Python version for a generated Dockerfile: the job's, else the spec's.
    pub python_version: Option<String>,
    /// The uid of a generated image.
    pub user_id: u32,
    /// What comes next.
    pub next: Next,
}

impl Project {
    /// Puts a spec and the document of its job together; `job` counts only where the spec
    /// names one and no image.
    ///
    /// # Errors
    /// [`RefuseProject`].
    pub fn of(
        spec: &RunSpec,
        job: Option<&JobDocument>,
        can_build: CanBuild,
    ) -> Result<Self, RefuseProject> {
        let resource = spec.resource.unwrap_or(Resource::LocalContainer);
        let builder = spec.builder_args(resource)?;
        let words = spec.overrides.entry_point.clone();
        let override_entry_point = EntryPoint::new(words).ok();
        let parts = Parts::of(spec, job, override_entry_point.as_ref())?;
        let base_image = parts.base_image.clone();
        let found = Found {
            spec,
            resource,
            builder: &builder,
            can_build,
        };
        let (next, base_image) = found.next(&parts, override_entry_point.as_ref(), base_image)?;
        let image_name = image_name(spec, &parts, base_image.as_ref());
        Ok(Self {
            source: parts.source,
            resource,
            image: parts.image,
            image_name,
            entry_point: parts.entry_point,
            override_entry_point,
            dockerfile: parts.dockerfile,
            build_context: parts.build_context,
            base_image,
            builder,
            python_version: parts.python_version,
            user_id: spec.user_id.unwrap_or(DEFAULT_USER_ID),
            next,
        })
    }
}

/// What spec and job say, before anything is decided.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) source: ProjectSource,
    pub(super) image: Option<ImageRef>,
    pub(super) entry_point: Option<EntryPoint>,
    dockerfile: Option<PathBuf>,
    build_context: Option<PathBuf>,
    base_image: Option<ImageRef>,
    python_version: Option<String>,
}

impl Parts {
    fn of(
        spec: &RunSpec,
        job: Option<&JobDocument>,
        given: Option<&EntryPoint>,
    ) -> Result<Self, RefuseProject> {
        let plain = |source| Self {
            source,
            image: None,
            entry_point: None,
            dockerfile: None,
            build_context: spec.build_context.clone(),
            base_image: None,
            python_version: spec.python_version.clone(),
        };
        match spec.source() {
            Some(Source::Image(image)) => Ok(Self {
                image: Some(image.clone()),
                ..plain(ProjectSource::Image)
            }),
            Some(Source::Scheduler) => Ok(Self {
                entry_point: given.cloned(),
                ..plain(ProjectSource::Scheduler)
            }),
            Some(_) => Ok(plain(ProjectSource::Code)),
            None if spec.job.is_none() => Err(RefuseProject::NoSource),
            None => Ok(Self::of_job(
                job.ok_or(RefuseProject::NoDocument)?,
                plain(ProjectSource::Job),
            )),
        }
    }

    fn of_job(job: &JobDocument, plain: Self) -> Self {
        let entry_point = job.entry_point.clone();
        if let JobSource::Image(image) = &job.source {
            // An image is what it is: the rest of the document is about code.
            return Self {
                image: Some(image.clone()),
                entry_point,
                ..plain
            };
        }
        Self {
            entry_point,
            dockerfile: job.dockerfile.clone(),
            build_context: job.build_context.clone(),
            base_image: job.base_image.clone(),
            python_version: job.runtime.clone().or(plain.python_version),
            ..plain
        }
    }
}

/// The base image or the image itself, else a name made of the address, else of the job.
fn image_name(spec: &RunSpec, parts: &Parts, base_image: Option<&ImageRef>) -> String {
    if let Some(image) = base_image.or(parts.image.as_ref()) {
        return image.to_string();
    }
    match (spec.uri(), &spec.job) {
        (Some(uri), _) => safe_name(after_host(uri)),
        (None, Some(job)) => safe_name(&job.path()),
        (None, None) => match spec.source() {
            Some(Source::Git { remote, .. }) => safe_name(after_host(remote.expose())),
            _ => safe_name(""),
        },
    }
}

/// An address without its scheme, or what follows its host; without any slash its last
/// character, as images of such names exist.
fn after_host(uri: &str) -> &str {
    if let Some(rest) = uri.strip_prefix("https://") {
        return rest;
    }
    let last = uri.char_indices().next_back().map_or(0, |(at, _)| at);
    &uri[uri.find('/').unwrap_or(last)..]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::DEFAULT_IMAGE;
    use super::*;
    use crate::load::spec_value;

    fn project(
        spec: &Value,
        job: Option<&Value>,
        can_build: CanBuild,
    ) -> Result<Project, RefuseProject> {
        let spec = spec_value("spec", spec).unwrap().value;
        let job = job.map(|job| JobDocument::from_value(job).unwrap());
        Project::of(&spec, job.as_ref(), can_build)
    }

    fn artifact(key: &str, value: &Value) -> Value {
        let mut source =
            json!({"artifact": "wandb-artifact://_id/QQ", "entrypoint": ["a", "b.py"]});
        source[key] = value.clone();
        json!({"source_type": "artifact", "source": source, "runtime": "3.10"})
    }

    fn plain_artifact() -> Value {
        artifact("notebook", &json!(false))
    }

    #[test]
    fn code_without_a_builder_runs_in_the_queues_image_or_the_default() {
        let job = json!({"job": "e/p/j:v1"});
        let plain = project(&job, Some(&plain_artifact()), CanBuild::No).unwrap();
        assert_eq!(plain.image_name, DEFAULT_IMAGE);
        let mut queue = job.clone();
        queue["resource_args"] = json!({"local-container": {"builder": {"base_image": "b:1"}}});
        let named = project(&queue, Some(&plain_artifact()), CanBuild::No).unwrap();
        assert!(matches!(named.next, Next::BaseImage { installs: true, .. }));
        assert_eq!(named.image_name, "b:1");
        let own = artifact("base_image", &json!("own:1"));
        let own = project(&job, Some(&own), CanBuild::Yes).unwrap();
        assert!(matches!(
            own.next,
            Next::BaseImage {
                installs: false,
                ..
            }
        ));
    }

    #[test]
    fn a_process_runs_the_overriding_command_with_its_arguments() {
        let overrides = json!({"entry_point": ["sh", "x.sh"], "args": ["'q'"]});
        let spec = json!({"job": "e/p/j:v1", "resource": "local-process", "overrides": overrides});
        let next = project(&spec, Some(&plain_artifact()), CanBuild::Yes)
            .unwrap()
            .next;
        assert_eq!(
            next,
            Next::Process {
                command: ["sh", "x.sh", "'q'"].map(str::to_owned).into()
            }
        );
    }

    #[test]
    fn code_says_itself_what_runs_as_a_process_too() {
        for resource in ["local-process", "local-container"] {
            let spec = json!({"uri": "/srv/code", "resource": resource});
            let project = project(&spec, None, CanBuild::Yes).unwrap();
            assert_eq!(project.source, ProjectSource::Code);
        }
    }

    #[test]
    fn only_a_schedulers_arguments_lose_their_quotes() {
        let overrides = json!({"entry_point": ["wandb", "scheduler", "s"], "args": ["--queue", "'q'", "\"p\"", "'"]});
        let spec = json!({"uri": "placeholder-uri-scheduler", "resource": "local-process", "overrides": overrides});
        let next = project(&spec, None, CanBuild::Yes).unwrap().next;
        let command = ["wandb", "scheduler", "s", "--queue", "q", "p", "'"].map(str::to_owned);
        assert_eq!(
            next,
            Next::Process {
                command: command.into()
            }
        );
    }

    #[test]
    fn what_cannot_run_is_refused() {
        let placeholder = "placeholder-uri-scheduler";
        let process = "local-process";
        for (spec, word) in [
            (
                json!({"uri": placeholder, "resource": process}),
                "entry point",
            ),
            (
                json!({"uri": placeholder, "resource": process, "overrides": {"entry_point": ["rm", "-rf", "/"]}}),
                "no sweep scheduler",
            ),
            (
                json!({"uri": placeholder, "overrides": {"entry_point": ["wandb", "scheduler", "x"]}}),
                "`local-process` only",
            ),
            (json!({"job": "e/p/j:v1"}), "is not there"),
            (
                json!({"uri": "/x", "resource_args": {"local-container": {"builder": 3}}}),
                "`builder` block",
            ),
        ] {
            let error = project(&spec, None, CanBuild::Yes).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn images_are_named_after_what_they_are_made_of() {
        let name = |uri: &str| safe_name(after_host(uri));
        assert_eq!(name("https://github.com/Acme/x"), "github.com__acme__x");
        assert_eq!(name("placeholder-uri-scheduler"), "r");
    }
}
