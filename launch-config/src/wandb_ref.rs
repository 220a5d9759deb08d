//! W&B references: addresses of the web application, job names, artifact references.
//!
//! [`WandbUrl`] is an address as a person copies it from a browser: anything below a W&B
//! host. What is meant by it is strict: [`RunPath`], [`JobRef`] and [`ArtifactRef`] hold no
//! empty part and display as W&B spells them.
//!
//! ```
//! use launch_config::wandb_ref::{JobRef, WandbUrl};
//!
//! let url: WandbUrl = "https://wandb.ai/acme/vision/artifacts/job/train/v3".parse()?;
//! assert_eq!(url.job().unwrap().to_string(), "acme/vision/train:v3");
//!
//! let job: JobRef = "acme/vision/train:latest".parse()?;
//! assert_eq!((job.name(), job.alias()), ("train", "latest"));
//! # Ok::<(), launch_config::wandb_ref::ParseWandbError>(())
//! ```

mod artifact;
mod url;

use std::fmt;

pub use artifact::{ArtifactRef, JobRef};
pub use url::{Kind, WandbUrl};

/// Why a text is not the W&B reference it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseWandbError {
    /// It is no address of a W&B page.
    #[error("`{0}` is no W&B address: it starts neither with `https://`, `http://` nor `/`")]
    Url(String),
    /// The host of an address is malformed.
    #[error("address `{0}` has an invalid host")]
    Host(String),
    /// It does not name a run.
    #[error("`{0}` does not name a run (`/entity/project/runs/id`)")]
    Run(String),
    /// It is no job name.
    #[error("`{0}` is no job (`entity/project/name:alias`)")]
    Job(String),
    /// It is no artifact reference.
    #[error(
        "`{0}` is no artifact (`wandb-artifact://_id/ID` or `wandb-artifact://entity/project/name:alias`)"
    )]
    Artifact(String),
}

/// A run: `entity/project/runs/id`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunPath {
    entity: String,
    project: String,
    run: String,
}

impl RunPath {
    /// The user or team.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }
}

impl fmt::Display for RunPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/{}/runs/{}", self.entity, self.project, self.run)
    }
}
