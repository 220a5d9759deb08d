//! What a job says about its build.

use std::collections::BTreeMap;
use std::path::PathBuf;

use launch_config::image::ImageRef;
use launch_config::job::{EntryPoint, Project, ProjectSource};
use launch_config::spec::{Resource, RunSpec};

use crate::error::Error;

/// The user of a generated image, if the spec names none.
pub const DEFAULT_USER_ID: u32 = 1000;

/// What a job, its queue and its user say about the build. All of it is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct BuildSpec {
    /// The command and its arguments; empty lets the job decide, or else the source.
    pub entry_point: Vec<String>,
    /// The command a W&B job was recorded with, relative to the project's directory. Who
    /// gives it says that the source is such a job.
    pub job_entry_point: Vec<String>,
    /// A Dockerfile of the source, relative to the build context.
    pub dockerfile: Option<PathBuf>,
    /// The directory of the source that is the build context.
    pub build_context: Option<PathBuf>,
    /// The image a generated Dockerfile starts from; it has `python` with `pip`.
    pub base_image: Option<ImageRef>,
    /// The same for accelerators: a Debian-like image that python is installed into.
    pub accelerator_base_image: Option<ImageRef>,
    /// `3.11` or `3.11.4`; the patch release is left to the base image.
    pub python_version: Option<String>,
    /// The user id in a generated image.
    pub user_id: Option<u32>,
    /// `os/architecture[/variant]`.
    pub platform: Option<String>,
    /// Values for the Dockerfile's `ARG`s.
    pub build_args: BTreeMap<String, String>,
}

impl BuildSpec {
    /// Nothing said.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a run spec, and the project it comes to, say about the build of an image.
    ///
    /// SageMaker starts containers as root only; everywhere else a generated image has the
    /// user of the spec.
    pub fn of(spec: &RunSpec, project: &Project) -> Self {
        let is_job = project.source == ProjectSource::Job;
        let job = project.entry_point.as_ref().filter(|_| is_job);
        let named = spec.overrides.dockerfile.as_ref();
        let as_root = project.resource == Resource::Sagemaker;
        Self {
            entry_point: spec.overrides.entry_point.clone(),
            job_entry_point: job.map_or_else(Vec::new, |entry| EntryPoint::words(entry).to_vec()),
            dockerfile: named.or(project.dockerfile.as_ref()).cloned(),
            build_context: project.build_context.clone(),
            base_image: spec.base_image.clone(),
            accelerator_base_image: project.builder.accelerator.clone(),
            python_version: project.python_version.clone(),
            user_id: if as_root { Some(0) } else { spec.user_id },
            ..Self::default()
        }
    }

    /// Sets the command and its arguments.
    pub fn with_entry_point(
        mut self,
        command: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.entry_point = command.into_iter().map(Into::into).collect();
        self
    }

    /// Says with which command a W&B job was recorded.
    pub fn with_job_entry_point(
        mut self,
        command: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.job_entry_point = command.into_iter().map(Into::into).collect();
        self
    }

    /// Names a Dockerfile of the source.
    pub fn with_dockerfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.dockerfile = Some(path.into());
        self
    }

    /// Names the directory that is the build context.
    pub fn with_build_context(mut self, path: impl Into<PathBuf>) -> Self {
        self.build_context = Some(path.into());
        self
    }

    /// Starts a generated Dockerfile from this image.
    pub fn with_base_image(mut self, image: ImageRef) -> Self {
        self.base_image = Some(image);
        self
    }

    /// Starts a generated Dockerfile from this image, and installs python into it.
    pub fn with_accelerator_base_image(mut self, image: ImageRef) -> Self {
        self.accelerator_base_image = Some(image);
        self
    }

    /// Sets the version of python.
    pub fn with_python_version(mut self, version: impl Into<String>) -> Self {
        self.python_version = Some(version.into());
        self
    }

    /// Sets the user id in a generated image.
    pub fn with_user_id(mut self, id: u32) -> Self {
        self.user_id = Some(id);
        self
    }

    /// Sets the platform.
    pub fn with_platform(mut self, platform: impl Into<String>) -> Self {
        self.platform = Some(platform.into());
        self
    }

    /// Gives an `ARG` its value.
    pub fn with_build_arg(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.build_args.insert(name.into(), value.into());
        self
    }

    /// Refuses what could mean something else where it is used.
    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Plan(text));
        if let Some(platform) = self.platform.as_deref().filter(|text| !is_platform(text)) {
            return refuse(format!(
                "platform `{platform}` is not `os/architecture[/variant]`"
            ));
        }
        if let Some(name) = self.build_args.keys().find(|name| !is_variable(name)) {
            return refuse(format!("build argument `{name}` is not a name"));
        }
        Ok(())
    }
}

fn is_platform(text: &str) -> bool {
    let word = |part: &str| {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        !part.is_empty() && part.bytes().all(fine)
    };
    (2..=3).contains(&text.split('/').count()) && text.split('/').all(word)
}

fn is_variable(name: &str) -> bool {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_something_else_is_refused() {
        let spec = BuildSpec::new;
        for platform in [
            "linux",
            "linux/amd64/v8/x",
            "Linux/amd64",
            "linux/",
            "a/b c",
        ] {
            assert!(
                spec().with_platform(platform).check().is_err(),
                "{platform}"
            );
        }
        assert!(spec().with_platform("linux/arm64/v8").check().is_ok());
        for name in ["", "1A", "A B", "A=B"] {
            assert!(spec().with_build_arg(name, "").check().is_err(), "{name}");
        }
        assert!(spec().with_build_arg("_A1", "any thing").check().is_ok());
    }
}
