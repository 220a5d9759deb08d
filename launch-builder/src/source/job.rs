//! The directory of a W&B job: fetched, patched, completed and converted, step by step.
//!
//! What a job's code brings decides nothing about where these steps read and write: a link
//! in the place of a file that is written is replaced, one that leads out is refused.

use std::path::Path;
use std::sync::Arc;

use launch_config::job::{
    FROZEN_REQUIREMENTS, JobDocument, JobSource, PATCH, Step, notebook, patch,
};
use launch_config::source::{GitReference, GitRemote};

use super::artifact::{self, ArtifactStore};
use super::scratch::Scratch;
use super::{FetchOptions, Fetched, SourceTree, blocking, git};
use crate::confine;
use crate::error::Error;
use crate::event::Events;

/// Files that are read whole to be changed are no longer than this: notebooks carry their
/// pictures.
const LONGEST: u64 = 256 << 20;

/// What lies beside a job's document in its artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobFiles {
    /// `requirements.frozen.txt`: the packages of the run the job was made from.
    pub requirements: Option<String>,
    /// `diff.patch`: what was not committed then.
    pub patch: Option<String>,
}

impl JobFiles {
    /// A document alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the frozen requirements.
    #[must_use]
    pub fn with_requirements(mut self, text: impl Into<String>) -> Self {
        self.requirements = Some(text.into());
        self
    }

    /// Adds the patch.
    #[must_use]
    pub fn with_patch(mut self, text: impl Into<String>) -> Self {
        self.patch = Some(text.into());
        self
    }
}

/// Fetches the source of a job and makes its directory of it; an image is answered as such.
///
/// # Errors
/// Those of [`fetch`](super::fetch) and [`artifact::fetch`]; [`Error::Patch`] if the patch
/// does not fit, [`Error::Path`] for a file that is not there or leads out.
pub async fn fetch_job(
    job: &JobDocument,
    files: &JobFiles,
    store: Arc<dyn ArtifactStore>,
    options: &FetchOptions,
    events: &Events,
) -> Result<Fetched, Error> {
    let tree = match &job.source {
        JobSource::Image(image) => return Ok(Fetched::Image(image.clone())),
        JobSource::Repo { remote, commit } => repository(remote, commit, options, events).await?,
        JobSource::Artifact(artifact) => empty(artifact.to_string(), options).await?,
        other => {
            let text = format!("the job's source is of a kind that cannot be fetched: {other:?}");
            return Err(Error::Plan(text));
        }
    };
    for step in job.steps() {
        let root = tree.root.clone();
        match step {
            Step::Patch => {
                let Some(text) = files.patch.clone() else {
                    continue;
                };
                blocking(move || apply(&root, &text)).await?;
            }
            Step::FrozenRequirements => {
                let Some(text) = files.requirements.clone() else {
                    continue;
                };
                let write = move || write(&root, Path::new(FROZEN_REQUIREMENTS), &text);
                blocking(write).await?;
            }
            Step::Download(artifact) => {
                let store = Arc::clone(&store);
                artifact::fetch_into(store, artifact, &root, options, events).await?;
            }
            Step::Convert { notebook, script } => {
                let notebook = notebook.to_owned();
                blocking(move || convert(&root, &notebook, &script)).await?;
            }
            // It is what the tree began with.
            _ => {}
        }
    }
    Ok(Fetched::Tree(tree))
}

async fn repository(
    remote: &GitRemote,
    commit: &GitReference,
    options: &FetchOptions,
    events: &Events,
) -> Result<SourceTree, Error> {
    let wanted = git::Wanted {
        remote,
        reference: Some(commit.as_str()),
        subdirectory: None,
    };
    git::fetch(wanted, options, events).await
}

async fn empty(origin: String, options: &FetchOptions) -> Result<SourceTree, Error> {
    let scratch = Scratch::new(options.scratch.clone()).await?;
    let checkout = scratch.checkout().to_owned();
    Ok(SourceTree {
        root: blocking(move || Ok(checkout.canonicalize()?)).await?,
        origin,
        revision: None,
        _scratch: Some(scratch.keep()),
    })
}

fn write(root: &Path, path: &Path, text: &str) -> Result<(), Error> {
    confine::place(root, path, |file| {
        std::io::Write::write_all(file, text.as_bytes())
    })
}

/// Changes the files a patch names, and leaves it beside them, as the Python agent does.
fn apply(root: &Path, text: &str) -> Result<(), Error> {
    const WHAT: &str = "file to patch";
    write(root, Path::new(PATCH), text)?;
    for change in patch::parse(text).map_err(Error::Patch)? {
        let old = change.old().map(Path::new);
        let there = old.or(change.new_path().map(Path::new));
        let there = there
            .map(|path| confine::find(root, path, WHAT))
            .transpose()?
            .flatten();
        let before = match (old, there) {
            (Some(path), Some(_)) => Some(confine::read_long(root, path, WHAT, LONGEST)?),
            (None, Some(_)) => Some(String::new()),
            (_, None) => None,
        };
        let after = change.apply(before.as_deref()).map_err(Error::Patch)?;
        if let (Some(path), Some(text)) = (change.new_path(), &after) {
            write(root, Path::new(path), text)?;
        }
        if let Some(path) = old.filter(|path| change.new_path().map(Path::new) != Some(path)) {
            // What the checks found is a file of the tree; the name itself is removed.
            fs_err::remove_file(root.join(path))?;
        }
    }
    Ok(())
}

fn convert(root: &Path, from: &str, to: &str) -> Result<(), Error> {
    const WHAT: &str = "notebook";
    let refuse = || Error::Path {
        what: WHAT,
        path: from.into(),
        why: "is not a notebook",
    };
    let text = confine::read_long(root, Path::new(from), WHAT, LONGEST)?;
    let read = serde_json::from_str(&text).map_err(|_| refuse())?;
    let script = notebook::to_script(&read).map_err(|_| refuse())?;
    write(root, Path::new(to), &script)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;

    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap().join("job");
        fs_err::create_dir(&root).unwrap();
        fs_err::write(scratch.path().join("secret"), "key\n").unwrap();
        fs_err::write(root.join("train.py"), "print(1)\n").unwrap();
        (scratch, root)
    }

    fn change(name: &str) -> String {
        format!("--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-key\n+stolen\n")
    }

    #[test]
    fn a_patch_changes_makes_and_removes_files() {
        let (_scratch, root) = tree();
        fs_err::write(root.join("run.sh"), "a\n").unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        fs_err::set_permissions(root.join("run.sh"), mode).unwrap();
        fs_err::write(root.join("old.py"), "x\n").unwrap();
        let text = "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1 @@\n-a\n+b\n\
                    --- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
                    --- /dev/null\n+++ b/new/x.py\n@@ -0,0 +1 @@\n+y\n";
        apply(&root, text).unwrap();
        assert_eq!(fs_err::read_to_string(root.join("run.sh")).unwrap(), "b\n");
        let mode = fs_err::metadata(root.join("run.sh"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755, "a program stays one");
        assert_eq!(
            fs_err::read_to_string(root.join("new/x.py")).unwrap(),
            "y\n"
        );
        assert!(!root.join("old.py").exists());
        assert!(root.join(PATCH).is_file());
    }

    #[test]
    fn a_patch_reads_and_writes_nothing_outside() {
        let (scratch, root) = tree();
        symlink("../secret", root.join("link")).unwrap();
        symlink("..", root.join("up")).unwrap();
        for name in ["link", "up/secret", "../secret"] {
            assert!(apply(&root, &change(name)).is_err(), "{name}");
        }
        let new = "--- /dev/null\n+++ b/up/planted\n@@ -0,0 +1 @@\n+y\n";
        assert!(matches!(apply(&root, new), Err(Error::Path { .. })));
        let secret = fs_err::read_to_string(scratch.path().join("secret")).unwrap();
        assert_eq!(secret, "key\n");
        assert!(!scratch.path().join("planted").exists());
    }

    #[test]
    fn planted_links_in_the_places_of_our_files_are_replaced() {
        let (scratch, root) = tree();
        for name in [PATCH, FROZEN_REQUIREMENTS, "nb.py"] {
            symlink("../secret", root.join(name)).unwrap();
        }
        fs_err::write(root.join("nb.ipynb"), "{\"cells\": []}").unwrap();
        apply(&root, "").unwrap();
        write(&root, Path::new(FROZEN_REQUIREMENTS), "six\n").unwrap();
        convert(&root, "nb.ipynb", "nb.py").unwrap();
        let secret = fs_err::read_to_string(scratch.path().join("secret")).unwrap();
        assert_eq!(secret, "key\n");
        assert!(!root.join(FROZEN_REQUIREMENTS).is_symlink());
    }

    #[test]
    fn a_notebook_is_a_file_of_the_source() {
        let (_scratch, root) = tree();
        symlink("../secret", root.join("out.ipynb")).unwrap();
        for name in ["out.ipynb", "none.ipynb", "train.py", "../secret"] {
            assert!(
                matches!(convert(&root, name, "x.py"), Err(Error::Path { .. })),
                "{name}"
            );
        }
    }
}
