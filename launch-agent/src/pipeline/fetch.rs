//! Fetch what a spec names.

use launch_builder::plan::BuildSpec;
use launch_builder::source::{FetchOptions, Fetched, SourceTree};
use launch_config::image::ImageRef;
use launch_config::job::{CanBuild, JobDocument, JobSource, Project};
use launch_config::outcome::{Reason, Stage};
use launch_config::source::Source;
use launch_config::spec::RunSpec;

use super::prepare::{stop, with_events};
use super::{Stop, Task, job};

/// A spec, and the document of the W&B job it names.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) spec: &'a RunSpec,
    pub(super) job: Option<JobDocument>,
}

impl<'a> Asked<'a> {
    pub(super) fn project(&self, can_build: CanBuild) -> Result<Project, Stop> {
        let project = Project::of(self.spec, self.job.as_ref(), can_build);
        project.map_err(|error| Stop::error(Reason::Refused, Stage::Plan, &error))
    }

    pub(super) fn build(&self, project: &Project, platform: Option<&str>) -> BuildSpec {
        let mut build = BuildSpec::of(self.spec, project);
        build.platform = platform.map(str::to_owned);
        build
    }

    /// The command somebody gave: now, else when the job was recorded.
    pub(super) fn command(&self) -> Vec<String> {
        let given = &self.spec.overrides.entry_point;
        let recorded = self.job.as_ref().and_then(|job| job.entry_point.clone());
        match recorded {
            Some(entry) if given.is_empty() => entry.into_words(),
            _ => given.clone(),
        }
    }

    /// What the image of this source is called where no registry gives a name.
    pub(super) fn origin(&self, tree: &'a SourceTree) -> String {
        match &self.spec.job {
            Some(job) if self.job.is_some() => job.path(),
            _ => tree.origin().to_owned(),
        }
    }

    /// The image the job is, if it is one.
    pub(super) fn image(&self) -> Option<ImageRef> {
        match &self.job.as_ref()?.source {
            JobSource::Image(image) => Some(image.clone()),
            _ => None,
        }
    }
}

/// What was fetched.
#[derive(Debug)]
pub(super) enum Got {
    /// Code or an image.
    Source(Fetched),
    /// A sweep scheduler: a command, and no code.
    Nothing,
}

/// Gets the source of a job.
pub(super) async fn fetch<'a>(
    task: &Task<'_>,
    spec: &'a RunSpec,
) -> Result<(Asked<'a>, Got), Stop> {
    let work = async {
        let (job, got, result) = match (spec.source(), &spec.job) {
            (Some(Source::Scheduler), _) => (None, Got::Nothing, "a sweep scheduler".to_owned()),
            (Some(source), _) => {
                let fetched = fetch_source(task, source).await?;
                let result = told(&fetched, source);
                (None, Got::Source(fetched), result)
            }
            (None, Some(name)) => {
                let (document, fetched) = job::fetch(task, name).await?;
                (
                    Some(document),
                    Got::Source(fetched),
                    format!("job `{name}`"),
                )
            }
            (None, None) => {
                let message = "the run spec names no source";
                return Err(Stop::new(Reason::Refused, Stage::Fetch, message));
            }
        };
        Ok(((Asked { spec, job }, got), result))
    };
    task.progress.stage(Stage::Fetch, work).await
}

async fn fetch_source(task: &Task<'_>, source: &Source) -> Result<Fetched, Stop> {
    let options = FetchOptions::new().with_scratch(task.scratch(Stage::Fetch)?);
    let fetched = with_events(task.progress, Stage::Fetch, async |events| {
        launch_builder::source::fetch(source, &options, &events).await
    });
    let fetched = fetched.await;
    fetched.map_err(|error| stop(Reason::SourceFailed, Stage::Fetch, &error))
}

fn told(fetched: &Fetched, source: &Source) -> String {
    match fetched {
        Fetched::Tree(tree) => match tree.revision() {
            Some(commit) => format!("{} at {commit}", tree.origin()),
            None => tree.origin().to_owned(),
        },
        _ => source.to_string(),
    }
}
