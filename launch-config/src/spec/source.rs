//! Which of a spec's fields says where its code or image is.

use std::path::PathBuf;

use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;
use crate::source::{GitReference, GitRemote, ParseRemoteError, Source};

/// The address by which W&B marks a sweep scheduler.
pub(super) const SCHEDULER: &str = "placeholder-uri-scheduler";
const GIT: &[&str] = &["repo", "version", "subdirectory"];

/// What of a spec can name its source.
pub(super) struct Named<'a> {
    pub(super) top: &'a Fields<'a>,
    pub(super) docker: &'a Fields<'a>,
    pub(super) has_job: bool,
}

impl Named<'_> {
    /// An image beats a W&B job, a job a URI, a URI a repository: the first two as in the
    /// Python agent, which knows no others.
    pub(super) fn read(&self, problems: &mut Problems) -> Option<Source> {
        let git = Fields::open(self.top.get("git"), "git", GIT, Unknown::Warning, problems);
        let image = image(self.docker, "docker_image", problems);
        if let Some(image) = image.or_else(|| image_of(self.top, problems)) {
            return Some(Source::Image(image));
        }
        if self.has_job {
            return None;
        }
        let uri = filled(self.top, "uri", problems);
        match uri {
            Some(uri) if uri == SCHEDULER => Some(Source::Scheduler),
            Some(uri) if looks_like_path(&uri) => Some(Source::Directory(PathBuf::from(uri))),
            Some(uri) => repository(self.top, "uri", &uri, &git, problems),
            None => {
                let repo = filled(&git, "repo", problems)?;
                repository(&git, "repo", &repo, &git, problems)
            }
        }
    }
}

/// A text that is not empty: clients send empty ones for what is not set.
pub(super) fn filled(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    fields
        .text(key, problems)
        .filter(|text| !text.trim().is_empty())
}

fn image(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<ImageRef> {
    filled(fields, key, problems)?;
    fields.parsed(key, problems)
}

fn image_of(top: &Fields<'_>, problems: &mut Problems) -> Option<ImageRef> {
    image(top, "image_uri", problems)
}

/// A path starts with `/` or `.`: everything else has to be a remote.
fn looks_like_path(text: &str) -> bool {
    text.starts_with(['/', '.'])
}

fn repository(
    fields: &Fields<'_>,
    key: &str,
    text: &str,
    git: &Fields<'_>,
    problems: &mut Problems,
) -> Option<Source> {
    let reference = filled(git, "version", problems)
        .and_then(|_| git.parsed::<GitReference>("version", problems));
    let subdirectory = filled(git, "subdirectory", problems).map(PathBuf::from);
    match text.parse::<GitRemote>() {
        Ok(remote) => Some(Source::Git {
            remote,
            reference: reference.map(|reference| reference.to_string()),
            subdirectory,
        }),
        Err(error) => {
            let hint = ParseRemoteError::hint(&error).map(str::to_owned);
            problems.error(&fields.at(key), error.to_string(), hint);
            None
        }
    }
}
