//! Which Dockerfile, which files, which interpreter, which command: decided in one place.
//!
//! [`plan`] reads a few files of a source and decides; it asks no network and no backend,
//! and the same source and spec give the same plan. What it decided, and why, prints:
//!
//! ```
//! use launch_builder::plan::{BuildSpec, plan};
//! use launch_builder::source::SourceTree;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let project = tempfile::tempdir()?;
//! fs_err::write(project.path().join("train.py"), "print('hello')")?;
//! let plan = plan(&SourceTree::open(project.path())?, &BuildSpec::new())?;
//! assert_eq!(plan.entry_command().unwrap(), ["python", "-u", "train.py"]);
//! assert!(plan.to_string().contains("python       3.12 (default)"));
//! # Ok(())
//! # }
//! ```

mod decide;
mod display;
mod entry_point;
mod mounted;
mod python;
mod requirements;
mod spec;
mod tag;

use std::collections::BTreeMap;
use std::path::{Component, PathBuf};

use launch_config::image::Digest;
use serde::Serialize;

use crate::context::ContextOptions;

pub use self::decide::{entry_point, plan};
pub use self::entry_point::{EntryPoint, EntryPointOrigin};
pub use self::mounted::{Mounted, mounted};
pub use self::python::{Python, PythonOrigin};
pub use self::requirements::{Requirements, RequirementsKind};
pub use self::spec::{BuildSpec, DEFAULT_USER_ID};

/// The version of the rules that turn a source into an image. It is part of every tag, so
/// that new rules never meet an image of old ones.
pub const RECIPE_VERSION: u32 = 2;

pub(crate) const IGNORE_FILE: &str = ".dockerignore";

/// The name of the Dockerfile in a packed context, beside all that a project may bring.
pub const DOCKERFILE_NAME: &str = ".launch.Dockerfile";

/// The name of its form for `BuildKit` there, if [`Dockerfile::buildkit`] has one. Both are
/// packed, and both make the same image: so that a plan has one tag, whoever builds it.
pub const BUILDKIT_DOCKERFILE_NAME: &str = ".launch.Dockerfile.buildkit";

/// What to build, and from what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// Where the source came from, for people.
    pub source: String,
    /// The source's commit, if it has one.
    pub revision: Option<String>,
    /// The directory whose files are the build context.
    pub context: PathBuf,
    /// The Dockerfile.
    pub dockerfile: Dockerfile,
    /// The images its `FROM` lines name, in order, each once.
    pub bases: Vec<Base>,
    /// The interpreter of a generated Dockerfile that brings its own.
    pub python: Option<Python>,
    /// What a generated Dockerfile installs.
    pub requirements: Option<Requirements>,
    /// What the image runs; `None` leaves that to the user's Dockerfile.
    pub entry_point: Option<EntryPoint>,
    /// The command a W&B job was recorded with, as it is in the image.
    pub job_entry_point: Option<EntryPoint>,
    /// The working directory in a generated image.
    pub work_dir: Option<String>,
    /// The user id of a generated image.
    pub user_id: Option<u32>,
    /// `os/architecture[/variant]`; the backend's own if not given.
    pub platform: Option<String>,
    /// Values for the Dockerfile's `ARG`s. They end in the image's history: no secrets here.
    pub build_args: BTreeMap<String, String>,
    /// What a person should know about these decisions.
    pub notes: Vec<String>,
    /// The rules in force, for a backend that reads them again.
    #[serde(skip)]
    ignore: decide::Ignore,
}

/// A Dockerfile and why it is this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Dockerfile {
    /// Its text, which every builder understands.
    pub text: String,
    /// The same for `BuildKit`, if it was generated; see [`BUILDKIT_DOCKERFILE_NAME`].
    pub buildkit: Option<String>,
    /// Where it came from.
    pub origin: DockerfileOrigin,
}

impl Dockerfile {
    fn of_source(text: String, origin: DockerfileOrigin) -> Self {
        Self {
            text,
            buildkit: None,
            origin,
        }
    }
}

/// Where a Dockerfile came from. The paths are relative to the source's project directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DockerfileOrigin {
    /// The spec named it.
    Spec(PathBuf),
    /// It is the `Dockerfile.wandb` beside the entry point.
    BesideEntryPoint(PathBuf),
    /// The source brings none; it was generated.
    Generated,
}

/// An image a Dockerfile builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Base {
    /// As written, `ARG`s filled in.
    pub reference: String,
    /// What the reference stood for, if somebody looked: see [`Plan::with_base_digest`].
    pub digest: Option<Digest>,
}

impl Plan {
    /// The command for a runner; `None` if the image knows its own.
    pub fn entry_command(&self) -> Option<&[String]> {
        self.entry_point
            .as_ref()
            .map(|entry| entry.command.as_slice())
    }

    /// How the context is to be hashed and packed: by the ignore rules that go with the
    /// Dockerfile, and with the Dockerfile added as [`DOCKERFILE_NAME`].
    ///
    /// The archive's `.dockerignore` is ours as well: the same rules, and more that hide
    /// the added files from `COPY`, as every builder reads it once more.
    ///
    /// # Panics
    /// Never: the names are valid.
    pub fn context_options(&self) -> ContextOptions {
        let options = match (&self.dockerfile.origin, &self.ignore.file) {
            (_, Some(file)) => ContextOptions::new().with_ignore_file(file),
            _ => self.ignoring(),
        };
        let rules = &self.ignore.rules;
        let ignore = format!("{rules}\n{DOCKERFILE_NAME}*\n{IGNORE_FILE}\n");
        let added = [
            (DOCKERFILE_NAME, Some(&self.dockerfile.text)),
            (BUILDKIT_DOCKERFILE_NAME, self.dockerfile.buildkit.as_ref()),
            (IGNORE_FILE, Some(&ignore)),
        ];
        added.into_iter().fold(options, |options, (name, text)| {
            let Some(text) = text else { return options };
            let added = options.with_file(name, text.as_str());
            added.expect("the names are relative")
        })
    }

    fn ignoring(&self) -> ContextOptions {
        match &self.dockerfile.origin {
            DockerfileOrigin::Spec(path) => {
                let is_inside = path.components().all(|part| part != Component::ParentDir);
                let options = ContextOptions::new();
                if is_inside {
                    options.with_dockerfile(path)
                } else {
                    options
                }
            }
            DockerfileOrigin::BesideEntryPoint(path) => {
                let name = path.file_name().expect("a Dockerfile has a name");
                ContextOptions::new().with_dockerfile(name)
            }
            DockerfileOrigin::Generated => ContextOptions::new(),
        }
    }

    /// The text of the ignore file in force; empty if there is none.
    #[cfg(feature = "docker")]
    pub(crate) fn ignore_rules(&self) -> &str {
        &self.ignore.rules
    }

    fn with_ignore(mut self, ignore: decide::Ignore) -> Self {
        self.ignore = ignore;
        self
    }

    /// Notes what a base image's reference stands for now, so that the tag changes when the
    /// reference moves.
    #[must_use]
    pub fn with_base_digest(mut self, reference: &str, digest: Digest) -> Self {
        for base in self
            .bases
            .iter_mut()
            .filter(|base| base.reference == reference)
        {
            base.digest = Some(digest);
        }
        self
    }

    /// The tag of the plan's image: 64 hex digits over all that makes it.
    ///
    /// That is the version of the rules, the digest of the context (see
    /// [`crate::context`]), the Dockerfile, the platform, the build arguments, and the base
    /// images by reference, and by digest where it is known.
    pub fn tag(&self, context: Digest) -> String {
        tag::tag(self, context)
    }
}
