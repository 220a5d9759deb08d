//! How a job's directory comes to be.

use super::notebook::script_name;
use super::{JobDocument, JobSource};
use crate::source::{GitReference, GitRemote};
use crate::wandb_ref::ArtifactRef;

/// A step on the way to a job's directory. What comes later goes over what was there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step<'a> {
    /// Fetch the repository at its commit.
    Fetch(&'a GitRemote, &'a GitReference),
    /// Apply [`PATCH`](super::PATCH), if the job has one.
    Patch,
    /// Copy [`FROZEN_REQUIREMENTS`](super::FROZEN_REQUIREMENTS) to the root, if the job
    /// has them.
    FrozenRequirements,
    /// Download the artifact of files.
    Download(&'a ArtifactRef),
    /// Make a script of a notebook, beside it.
    Convert {
        /// The notebook, below the root.
        notebook: &'a str,
        /// The script.
        script: String,
    },
}

impl JobDocument {
    /// How its directory comes to be, in order; nothing for an image.
    pub fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = match &self.source {
            JobSource::Repo { remote, commit } => vec![
                Step::Fetch(remote, commit),
                Step::Patch,
                Step::FrozenRequirements,
            ],
            JobSource::Artifact(artifact) => {
                vec![Step::FrozenRequirements, Step::Download(artifact)]
            }
            JobSource::Image(_) => Vec::new(),
        };
        steps.extend(self.notebook.as_deref().map(|notebook| Step::Convert {
            notebook,
            script: script_name(notebook),
        }));
        steps
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notebook_is_fetched_patched_and_converted() {
        let git = json!({"remote": "https://h/r", "commit": "main"});
        let entry = ["python3", "nb/a.ipynb"];
        let job = JobDocument::from_value(&json!({
            "source_type": "repo",
            "source": {"git": git, "entrypoint": entry, "notebook": true},
        }))
        .unwrap();
        assert_eq!(job.entry_point.as_ref().unwrap().job_file(), "nb/a.py");
        let steps = job.steps();
        assert!(matches!(
            steps[..3],
            [Step::Fetch(..), Step::Patch, Step::FrozenRequirements]
        ));
        let script = "nb/a.py".to_owned();
        assert_eq!(
            steps[3],
            Step::Convert {
                notebook: "nb/a.ipynb",
                script
            }
        );
    }
}
