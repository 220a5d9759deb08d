//! Which builds are BuildKit's, and what it gets.

use std::path::{Component, Path, PathBuf};

use crate::BuildRequest;
use crate::context::{self, ContextOptions};
use crate::error::Error;
use crate::event::Events;
use crate::plan::{BUILDKIT_DOCKERFILE_NAME, DOCKERFILE_NAME, DockerfileOrigin, IGNORE_FILE, Plan};
use crate::source::blocking;

/// What BuildKit reads of the archive, and what is taken out of it: it would be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Route {
    pub(in super::super) dockerfile: String,
    pub(in super::super) without: Vec<&'static str>,
}

/// A Dockerfile of the source is read where it lies. One that lies outside its context, or
/// that the rules leave out, could be copied by its added name: such a build is the classic
/// builder's, unless the Dockerfile needs BuildKit.
pub(in super::super) async fn route(request: &BuildRequest) -> Result<Option<Route>, Error> {
    let plan = &request.plan;
    let path = match &plan.dockerfile.origin {
        DockerfileOrigin::Generated => {
            let dockerfile = BUILDKIT_DOCKERFILE_NAME.to_owned();
            let without = vec![DOCKERFILE_NAME, IGNORE_FILE];
            return Ok(Some(Route {
                dockerfile,
                without,
            }));
        }
        DockerfileOrigin::Spec(path) => path.clone(),
        DockerfileOrigin::BesideEntryPoint(path) => path.file_name().unwrap_or_default().into(),
    };
    if let Some(dockerfile) = in_context(plan, &path).await? {
        let without = vec![DOCKERFILE_NAME, IGNORE_FILE];
        return Ok(Some(Route {
            dockerfile,
            without,
        }));
    }
    let text = &plan.dockerfile.text;
    let needs = !request.secrets.is_empty() || text.contains("--mount=") || text.contains("<<");
    Ok(needs.then(|| Route {
        dockerfile: DOCKERFILE_NAME.to_owned(),
        without: vec![IGNORE_FILE],
    }))
}

/// The Dockerfile's name in the packed context, if it is there: asked of a context that
/// would hold nothing else, under the same rules.
async fn in_context(plan: &Plan, path: &Path) -> Result<Option<String>, Error> {
    let mut name = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => name.push(part),
            Component::CurDir => {}
            _ => return Ok(None),
        }
    }
    let rules = plan.ignore_rules().to_owned();
    blocking(move || {
        let scratch = tempfile::tempdir()?;
        let (root, file) = (scratch.path().join("context"), scratch.path().join("rules"));
        let dockerfile = root.join(&name);
        fs_err::create_dir_all(dockerfile.parent().unwrap_or(&root))?;
        fs_err::write(&dockerfile, "")?;
        fs_err::write(&file, rules)?;
        let options = ContextOptions::new().with_ignore_file(file);
        let found = context::hash(&root, &options, &Events::silent())?;
        Ok((found.files == 1).then(|| name.display().to_string()))
    })
    .await
}
