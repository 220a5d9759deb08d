//! Jobs: `wandb-job.json`, and what becomes of one together with a run spec.
//!
//! A job is an artifact that says where its code is and how it starts. [`JobDocument`]
//! reads it; [`JobDocument::steps`] says how its directory comes to be; [`Project::of`]
//! puts it together with the run spec and says what comes [`Next`]: run an image, mount the
//! code in one, build one, start a process, or refuse.
//!
//! ```
//! use launch_config::job::{CanBuild, JobDocument, Next, Project};
//! use launch_config::load::spec_value;
//! use serde_json::json;
//!
//! let job = JobDocument::from_value(&json!({
//!     "source_type": "artifact",
//!     "source": {"artifact": "wandb-artifact://_id/QXJ0", "entrypoint": ["python", "train.py"]},
//!     "runtime": "3.10",
//! }))?;
//! let spec = spec_value("spec", &json!({"job": "acme/vision/train:v3"}))?.value;
//! let project = Project::of(&spec, Some(&job), CanBuild::Yes)?;
//! assert!(matches!(project.next, Next::Build { .. }));
//! assert_eq!(project.image_name, "acme__vision__train");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod document;
mod entry;
mod next;
pub mod notebook;
pub mod patch;
mod project;
mod step;

pub use document::{JobDocument, JobError, JobSource, ServicePolicy};
pub use entry::{EntryPoint, ParseEntryPointError};
pub use next::{CanBuild, DEFAULT_IMAGE, Next};
pub use project::{DEFAULT_USER_ID, Project, ProjectSource, RefuseProject};
pub use step::Step;

/// The document of a job, in its artifact.
pub const DOCUMENT: &str = "wandb-job.json";
/// The packages of the run a job was made from, in its artifact.
pub const FROZEN_REQUIREMENTS: &str = "requirements.frozen.txt";
/// What was not committed when a job was made from a repository, in its artifact.
pub const PATCH: &str = "diff.patch";
