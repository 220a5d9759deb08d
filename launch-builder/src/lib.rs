//! From a source tree to an image, the same one every time.
//!
//! A job names a [`Source`](config::source::Source): a directory, a git repository, an image.
//! This crate makes an image of it, in steps that each hand a value to the next:
//!
//! 1. [`source::fetch`] brings the code here: a directory as it is, a repository at one exact
//!    commit. [`source::artifact`] does for files by digest, [`source::fetch_job`] for a W&B
//!    job, patch and notebook included.
//! 2. [`plan::plan`] decides which Dockerfile, which files, which python, which command; it is
//!    a pure function, and its answer prints.
//! 3. [`context::hash`] reads the files once. Their digest and the plan make the
//!    [tag](plan::Plan::tag): whoever has an image under it need not build.
//! 4. A [`Builder`] builds it, and leaves it where [`Delivery`] says.
//!
//! ```
//! use launch_builder::context;
//! use launch_builder::event::{Event, Events};
//! use launch_builder::plan::{BuildSpec, plan};
//! use launch_builder::source::SourceTree;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let project = tempfile::tempdir()?;
//! # let project = project.path();
//! fs_err::write(project.join("train.py"), "print('hello')\n")?;
//! fs_err::write(project.join("requirements.txt"), "numpy\n")?;
//!
//! let events = Events::new(|event| {
//!     if let Event::Warning(text) = event {
//!         eprintln!("{text}");
//!     }
//! });
//! let plan = plan(&SourceTree::open(project)?, &BuildSpec::new().with_python_version("3.12"))?;
//! let options = plan.context_options();
//! let hashed = context::hash(&plan.context, &options, &events)?;
//! println!("{plan}tag          {}", plan.tag(hashed.digest));
//!
//! let mut archive = Vec::new();
//! let packed = context::pack(&plan.context, &options, &mut archive, &events)?;
//! assert_eq!(packed.digest, hashed.digest);
//! assert!(plan.dockerfile.text.starts_with("FROM python:3.12-slim\n"));
//! # Ok(())
//! # }
//! ```
//!
//! With an engine at hand, `docker::DockerBuilder::connect()?.build(request, &events)` does
//! the rest; a [`BuildRequest`] is the plan, the image's name with its tag, and the delivery.
//!
//! # What a source cannot do
//!
//! A job is somebody else's code. Before its build runs, nothing of it is executed: git runs
//! no hooks and uses no transport but https, http and ssh; every path a job names, and every
//! symlink on its way, stays inside its source ([`Error::Path`]); a link it planted in the
//! place of a file that is written here is replaced, not followed. What it logs passes through
//! [`event`]s, which nobody has to print.
//!
//! # Features
//!
//! | feature | default | what it brings |
//! | --- | --- | --- |
//! | `docker` | yes | `docker::DockerBuilder`: builds with a Docker Engine, by BuildKit where it can |
//! | `kaniko` | no | `kaniko::KanikoBuilder`: builds in a Kubernetes cluster |
//! | `conformance` | no | `conformance`: the suite every builder passes |
//!
//! # Another builder
//!
//! Implement [`Builder`]: two methods. Take the context as [`plan::Plan::context_options`]
//! says, which is what the tag was made from; the Dockerfile is in it as
//! [`plan::DOCKERFILE_NAME`], and in a form with cache mounts, where that makes a difference,
//! as [`plan::BUILDKIT_DOCKERFILE_NAME`]. Refuse a context whose digest is not [`BuildRequest::context`].
//! Then let the suite of the feature `conformance` try it.

pub mod context;
pub mod error;
pub mod event;
pub mod noop;
pub mod plan;
pub mod source;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "docker")]
pub mod docker;
#[cfg(feature = "kaniko")]
pub mod kaniko;

mod clock;
mod confine;
mod dockerfile;
#[cfg(any(feature = "docker", feature = "kaniko"))]
mod log;

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::path::PathBuf;

use async_trait::async_trait;
pub use launch_config as config;
use launch_config::image::{Digest, ImageRef, PinnedImage};
use launch_config::secret::Secret;

pub use crate::error::Error;
use crate::event::Events;
use crate::plan::Plan;

/// Something that turns a plan into an image.
///
/// # Contract
///
/// - **Content decides**: the tag of a plan is the digest of all that makes its image, so an
///   image that is there under the tag is the image, and is answered without building.
/// - A builder puts the image only where [`Delivery`] tells it.
/// - Dropping the future stops the build on the backend too, and leaves nothing half-made
///   under the tag.
#[async_trait]
pub trait Builder: Debug + Display + Send + Sync + 'static {
    /// Asks the backend whether it would build now. Cheap; for start-up and `doctor`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with what is missing.
    async fn check(&self) -> Result<(), Error>;

    /// Builds the image of a plan, or finds it.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Build`] with the end of the log,
    /// [`Error::NothingToBuildWith`].
    async fn build(&self, request: BuildRequest, events: &Events) -> Result<BuiltImage, Error>;
}

/// An image to build.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BuildRequest {
    /// What to build, and from what.
    pub plan: Plan,
    /// The name and tag of the image.
    pub image: ImageRef,
    /// Where it is to be.
    pub delivery: Delivery,
    /// The digest the image's name was made from: a context that has another by the time it
    /// is packed is refused.
    pub context: Option<Digest>,
    /// What steps may mount (`RUN --mount=type=secret,id=…`), by id. It is in no layer and
    /// has no part in the tag.
    pub secrets: BTreeMap<String, Secret>,
    /// What the build is named after with a backend that names builds: the run's id.
    pub id: Option<String>,
}

impl BuildRequest {
    /// The image of `plan`, named `image`, left with the builder's backend.
    pub fn new(plan: Plan, image: ImageRef) -> Self {
        Self {
            plan,
            image,
            delivery: Delivery::Local,
            context: None,
            secrets: BTreeMap::new(),
            id: None,
        }
    }

    /// Gives steps a secret to mount.
    #[must_use]
    pub fn with_secret(mut self, id: impl Into<String>, value: Secret) -> Self {
        self.secrets.insert(id.into(), value);
        self
    }

    /// Says for which run the image is built.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Says what the context was when the image was named after it.
    #[must_use]
    pub fn with_context(mut self, digest: Digest) -> Self {
        self.context = Some(digest);
        self
    }

    /// Says where the image is to be.
    #[must_use]
    pub fn with_delivery(mut self, delivery: Delivery) -> Self {
        self.delivery = delivery;
        self
    }
}

/// Where a built image is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// With the backend that built it: a Docker Engine keeps it under its tag.
    Local,
    /// In a new OCI image layout in this directory, to be pushed by whoever asked.
    Layout(PathBuf),
    /// In its registry, pushed by the builder under the image's name.
    Registry,
}

/// Where a built image is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuiltImage {
    /// With the backend that built it.
    Local {
        /// Its name and tag there.
        image: ImageRef,
        /// The engine's id of it.
        id: Digest,
        /// It was there already.
        reused: bool,
    },
    /// An OCI image layout on disk.
    Layout(PathBuf),
    /// In its registry, pushed by the builder itself.
    Pushed(PinnedImage),
    /// The same, and the backend did not tell its digest: the registry knows it.
    Tagged(ImageRef),
}
