//! The W&B job that a spec names: its document, and the code that names.

use std::sync::Arc;

use launch_builder::source::{FetchOptions, Fetched, JobFiles, artifact, fetch_job};
use launch_config::job::{DOCUMENT, FROZEN_REQUIREMENTS, JobDocument, PATCH};
use launch_config::outcome::{Reason, Stage};
use launch_config::wandb_ref::{ArtifactRef, JobRef};

use super::prepare::{stop, with_events};
use super::{Stop, Task};
use crate::server::Server;

/// The kind of artifacts that are jobs.
const KIND: &str = "job";
/// No document, list of packages or patch is longer than this.
const LONGEST: u64 = 64 << 20;

/// Fetches a job, and what it names.
pub(super) async fn fetch(task: &Task<'_>, name: &JobRef) -> Result<(JobDocument, Fetched), Stop> {
    let Some(server) = &task.app.server else {
        let message = format!("`{name}` is a job of W&B, and no server of W&B is configured");
        return Err(Stop::new(Reason::Refused, Stage::Fetch, message)
            .with_hint(Some("set WANDB_API_KEY, or `backend: {type: wandb}`")));
    };
    let reference = ArtifactRef::Name(name.clone());
    is_job(&**server, &reference).await?;
    let options = FetchOptions::new()
        .with_scratch(task.scratch(Stage::Fetch)?)
        .with_cache(task.app.settings.state.artifacts());
    let store = server.artifacts();
    let failed = |error| stop(Reason::SourceFailed, Stage::Fetch, &error);
    with_events(task.progress, Stage::Fetch, async |events| {
        let files = artifact::fetch(Arc::clone(&store), &reference, &options, &events);
        let files = files.await.map_err(failed)?;
        let (document, beside) = read(files.root(), name)?;
        let fetched = fetch_job(&document, &beside, Arc::clone(&store), &options, &events).await;
        Ok((document, fetched.map_err(failed)?))
    })
    .await
}

/// Another artifact might hold anything.
async fn is_job(server: &dyn Server, reference: &ArtifactRef) -> Result<(), Stop> {
    let kind = server.kind_of(reference).await;
    let kind = kind.map_err(|error| Stop::error(Reason::SourceFailed, Stage::Fetch, &error))?;
    let problem = match kind.as_deref() {
        Some(KIND) => return Ok(()),
        Some(other) => format!("`{reference}` is an artifact of type `{other}`, and no job"),
        None => format!("there is no job `{reference}` (was it deleted?)"),
    };
    Err(Stop::new(Reason::SourceFailed, Stage::Fetch, problem))
}

/// The document and what lies beside it; the files are those of the manifest, and whole.
fn read(root: &std::path::Path, name: &JobRef) -> Result<(JobDocument, JobFiles), Stop> {
    let refuse = |message: String| Stop::new(Reason::Refused, Stage::Fetch, message);
    let text = |file: &str| {
        let path = root.join(file);
        match fs_err::metadata(&path) {
            Ok(about) if about.len() > LONGEST => Err(refuse(format!("`{file}` is too long"))),
            Ok(_) => fs_err::read_to_string(&path)
                .map(Some)
                .map_err(|error| refuse(error.to_string())),
            Err(_) => Ok(None),
        }
    };
    let document = text(DOCUMENT)?;
    let document = document.ok_or_else(|| refuse(format!("job `{name}` has no `{DOCUMENT}`")))?;
    let document = JobDocument::from_text(&document);
    let document = document.map_err(|error| Stop::error(Reason::Refused, Stage::Fetch, &error))?;
    let mut files = JobFiles::new();
    files.requirements = text(FROZEN_REQUIREMENTS)?;
    files.patch = text(PATCH)?;
    Ok((document, files))
}
