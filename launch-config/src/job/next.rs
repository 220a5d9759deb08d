//! What an agent does next with a spec and its job.

use super::EntryPoint;
use super::project::{Parts, ProjectSource, RefuseProject};
use crate::image::ImageRef;
use crate::spec::{BuilderArgs, Resource, RunSpec};

/// The image code runs in when nothing builds images and nobody names one.
pub const DEFAULT_IMAGE: &str = "python:3.12-slim";
/// Whether there is a builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanBuild {
    /// There is one.
    Yes,
    /// There is none (`builder.type: noop`, or no Docker): code is mounted in an image.
    No,
}

/// What an agent does next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Run an image as it is.
    UseImage(ImageRef),
    /// Run an image with the code mounted at [`CODE_MOUNT`](crate::spec::CODE_MOUNT).
    BaseImage {
        /// The image.
        image: ImageRef,
        /// Whether the job's packages are installed at its start: nobody chose the image
        /// for this job.
        installs: bool,
    },
    /// Build an image, unless there is one for the same source.
    Build {
        /// What the image starts, if the job says so.
        entry_point: Option<EntryPoint>,
    },
    /// Start a process on the agent's machine.
    Process {
        /// The program and all its arguments; nothing where the code says itself what runs.
        command: Vec<String>,
    },
}

/// What decides beside spec and job.
pub(super) struct Found<'a> {
    pub(super) spec: &'a RunSpec,
    pub(super) resource: Resource,
    pub(super) builder: &'a BuilderArgs,
    pub(super) can_build: CanBuild,
}

pub(super) type Decision = (Next, Option<ImageRef>);

impl Found<'_> {
    /// What comes next, and the image code is mounted in.
    pub(super) fn next(
        &self,
        parts: &Parts,
        given: Option<&EntryPoint>,
        base_image: Option<ImageRef>,
    ) -> Result<Decision, RefuseProject> {
        if self.resource == Resource::LocalProcess {
            return Ok((self.process(parts, given)?, base_image));
        }
        if let Some(image) = &parts.image {
            return Ok((Next::UseImage(image.clone()), base_image));
        }
        if parts.source == ProjectSource::Scheduler {
            return Err(RefuseProject::SchedulerPlace(self.resource));
        }
        if parts.source == ProjectSource::Job && given.or(parts.entry_point.as_ref()).is_none() {
            return Err(RefuseProject::NoEntryPoint);
        }
        Ok(self.of_code(parts, base_image))
    }

    /// The job's own image, else a built one, else the queue's or the default.
    fn of_code(&self, parts: &Parts, base_image: Option<ImageRef>) -> Decision {
        let installs = base_image.is_none();
        if installs && self.can_build == CanBuild::Yes {
            let entry_point = parts.entry_point.clone();
            return (Next::Build { entry_point }, None);
        }
        let image = base_image.or_else(|| self.builder.base_image.clone());
        let image = image.unwrap_or_else(default_image);
        let mounted = image.clone();
        (Next::BaseImage { image, installs }, Some(mounted))
    }

    fn process(&self, parts: &Parts, given: Option<&EntryPoint>) -> Result<Next, RefuseProject> {
        if let Some(image) = &parts.image {
            return Err(RefuseProject::ImageAsProcess(image.clone()));
        }
        let entry = given.or(parts.entry_point.as_ref());
        let Some(entry) = entry else {
            // As with an image of it, code that nobody named a command for is looked into.
            return match parts.source {
                ProjectSource::Code => Ok(Next::Process {
                    command: Vec::new(),
                }),
                _ => Err(RefuseProject::NoEntryPoint),
            };
        };
        let scheduler = parts.source == ProjectSource::Scheduler;
        if scheduler && !self.spec.starts_scheduler() {
            return Err(RefuseProject::NotAScheduler(entry.clone()));
        }
        let args = self.spec.overrides.args.iter();
        let args = args.map(|arg| if scheduler { unquoted(arg) } else { arg });
        let words = entry.words().iter().map(String::as_str);
        let command = words.chain(args.map(AsRef::as_ref)).map(str::to_owned);
        Ok(Next::Process {
            command: command.collect(),
        })
    }
}

/// Clients write a scheduler's arguments as Python shows texts; the program wants the text.
fn unquoted(arg: &str) -> &str {
    let inner = |quote| arg.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"')).unwrap_or(arg)
}

fn default_image() -> ImageRef {
    DEFAULT_IMAGE
        .parse()
        .expect("the default image is a reference")
}
