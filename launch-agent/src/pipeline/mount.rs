//! Code that is mounted into an image: nothing builds images here, or the job names one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use launch_builder::Error;
use launch_builder::context::ContextOptions;
use launch_builder::plan::{self, BuildSpec, Mounted};
use launch_builder::source::SourceTree;
use launch_config::id::RunKey;
use launch_config::job::{CanBuild, JobSource, PATCH};
use launch_config::outcome::{Reason, Stage};
use launch_config::source::{GitRemote, Source};
use launch_config::spec::{Resource, WorkingDir};
use launch_config::wandb_ref::ArtifactRef;
use launch_runner::run::{CodeMount, CodeSource};

use super::fetch::Asked;
use super::prepare::{Planned, check_early, describe, stop, with_events, working_copy};
use super::{Stop, Task};
use crate::choose;
use crate::settings::variable;

/// The claim of a volume that code is shared by with pods, and where it is mounted here.
const CLAIM: &str = "WANDB_LAUNCH_CODE_PVC_NAME";
const CLAIM_PATH: &str = "WANDB_LAUNCH_CODE_PVC_MOUNT_PATH";

/// The permissions of a directory for pods.
const OPEN: u32 = 0o755;

/// Plans for code that is mounted: a working copy of this machine's for a container of its
/// engine; a pod fetches the code itself, or has it from a volume it shares with us.
pub(super) async fn plan(
    task: &Task<'_>,
    asked: &Asked<'_>,
    tree: &SourceTree,
    build: &BuildSpec,
    key: &RunKey,
) -> Result<(Planned, String), Stop> {
    let refused = |error: Error| stop(Reason::Refused, Stage::Plan, &error);
    let spec = asked.spec;
    let project = asked.project(CanBuild::No)?;
    let image = spec.base_image.as_ref().or(project.base_image.as_ref());
    let Some(image) = image.cloned() else {
        return Err(refused(Error::NothingToBuildWith(tree.origin().to_owned())));
    };
    let mut mounted = plan::mounted(tree, build, image).map_err(refused)?;
    let choice = choose::for_mounted(spec);
    check_early(task, &choice).await?;
    let (code, how) = if choice.resource == Resource::Kubernetes {
        in_cluster(task, asked, tree, &mut mounted).await?
    } else {
        let (directory, known) = working_copy(task, tree, key).await?;
        let code = CodeMount::new(CodeSource::Directory(directory));
        let code = code.with_working_dir(spec.overrides.working_dir.clone());
        (code, describe(&known))
    };
    let result = format!("{how}, mounted into `{}`", mounted.image);
    let planned = Planned::Mounted {
        mounted: Box::new(mounted),
        code,
        choice,
    };
    Ok((planned, result))
}

async fn in_cluster(
    task: &Task<'_>,
    asked: &Asked<'_>,
    tree: &SourceTree,
    mounted: &mut Mounted,
) -> Result<(CodeMount, String), Stop> {
    // Whoever names an image for a job says that it has everything.
    let named = asked.job.as_ref().and_then(|job| job.base_image.as_ref());
    let installs = named.is_none();
    let plain = mounted.entry_point.command.clone();
    if let Some((claim, volume)) = claim(variable) {
        if !installs {
            mounted.command = plain;
        }
        let (directory, how) = on_volume(task, tree, &volume).await?;
        let code = CodeMount::new(CodeSource::Claim { claim, directory });
        let dir = asked.spec.overrides.working_dir.clone();
        return Ok((code.with_working_dir(dir), how));
    }
    let source = from_pod(task, asked, tree).await?;
    warn_of_what_stays(task, asked, tree)?;
    let how = format!("{}, fetched by the pod", tree.origin());
    // What is fetched there is installed there.
    mounted.command = plain;
    let code = CodeMount::new(source).with_working_dir(working_dir(asked)?);
    if !installs {
        return Ok((code, how));
    }
    let job = asked.spec.job.as_ref().filter(|_| asked.job.is_some());
    Ok((code.with_install(job.map(ToString::to_string)), how))
}

/// Both variables together mean a shared volume.
fn claim(env: impl Fn(&str) -> Option<String>) -> Option<(String, PathBuf)> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    Some((set(CLAIM)?, PathBuf::from(set(CLAIM_PATH)?)))
}

/// Puts the code on a volume, in a directory after its content: what is there already is
/// what is meant, whoever put it there.
async fn on_volume(
    task: &Task<'_>,
    tree: &SourceTree,
    volume: &Path,
) -> Result<(String, String), Stop> {
    let contexts = &task.app.contexts;
    let copied = with_events(task.progress, Stage::Plan, async |events| {
        let (origin, root) = (tree.origin(), tree.root());
        let options = ContextOptions::new();
        let known = contexts.hash(origin, root, options, events.clone()).await?;
        let directory = known.context.digest.to_string().replace(':', "-");
        let to = volume.join(&directory);
        let options = ContextOptions::new();
        contexts
            .copy(origin, root, options, (volume, &to), events)
            .await?;
        // The pod may act for anybody.
        if fs_err::metadata(&to)?.permissions().mode() & 0o777 != OPEN {
            fs_err::set_permissions(&to, Permissions::from_mode(OPEN))?;
        }
        Ok::<_, Error>((directory, describe(&known)))
    });
    copied
        .await
        .map_err(|error| stop(Reason::AgentFailed, Stage::Plan, &error))
}

/// Where a pod fetches the code itself.
async fn from_pod(
    task: &Task<'_>,
    asked: &Asked<'_>,
    tree: &SourceTree,
) -> Result<CodeSource, Stop> {
    let job = asked.job.as_ref().map(|job| &job.source);
    match (job, asked.spec.source()) {
        (Some(JobSource::Repo { remote, commit }), _) => {
            commit_of(remote, tree.revision().unwrap_or(commit.as_str()))
        }
        (Some(JobSource::Artifact(artifact)), _) => {
            let name = name_of(task, artifact).await?;
            Ok(CodeSource::Artifact(name))
        }
        (_, Some(Source::Git { remote, .. })) => {
            commit_of(remote, tree.revision().unwrap_or_default())
        }
        _ => {
            let message = format!("a pod cannot fetch `{}` itself", tree.origin());
            Err(unreachable(message))
        }
    }
}

fn commit_of(remote: &GitRemote, commit: &str) -> Result<CodeSource, Stop> {
    if has_credentials(remote) {
        let message = format!("the pod's manifest would show the credentials of `{remote}`");
        return Err(unreachable(message));
    }
    Ok(CodeSource::Git {
        remote: remote.expose().to_owned(),
        commit: Some(commit.to_owned()).filter(|commit| !commit.is_empty()),
    })
}

/// The name a program of W&B finds the artifact by.
async fn name_of(task: &Task<'_>, artifact: &ArtifactRef) -> Result<String, Stop> {
    let missing = || format!("the server does not name artifact `{artifact}`");
    let name = match &task.app.server {
        Some(server) => server.name_of(artifact).await,
        None => Ok(None),
    };
    let name = name.map_err(|error| Stop::error(Reason::SourceFailed, Stage::Plan, &error))?;
    name.ok_or_else(|| Stop::new(Reason::SourceFailed, Stage::Plan, missing()))
}

/// Whoever may read pods reads their manifests.
fn has_credentials(remote: &GitRemote) -> bool {
    let GitRemote::Url(url) = remote else {
        return false;
    };
    let url = url.expose();
    url.password().is_some() || (url.scheme() != "ssh" && !url.username().is_empty())
}

fn unreachable(message: impl Into<String>) -> Stop {
    let hint = format!(
        "build an image (`builder.type`), or share a volume with the pods ({CLAIM}, {CLAIM_PATH})"
    );
    Stop::new(Reason::Refused, Stage::Plan, message).with_hint(Some(&hint))
}

/// What is done to the code here is not done where a pod fetches it.
fn warn_of_what_stays(task: &Task<'_>, asked: &Asked<'_>, tree: &SourceTree) -> Result<(), Stop> {
    if asked.job.as_ref().is_some_and(|job| job.notebook.is_some()) {
        let message = "the job is a notebook, and a pod fetches it as it is";
        return Err(unreachable(message));
    }
    let is_patched = matches!(
        asked.job.as_ref().map(|job| &job.source),
        Some(JobSource::Repo { .. })
    ) && tree.root().join(PATCH).exists();
    if is_patched {
        let text = format!("the pod fetches the commit alone: `{PATCH}` of the job is left out");
        task.progress.warn(Stage::Plan, &text);
    }
    Ok(())
}

/// Below the whole repository, which is what a pod fetches.
fn working_dir(asked: &Asked<'_>) -> Result<WorkingDir, Stop> {
    let own = &asked.spec.overrides.working_dir;
    let Some(Source::Git {
        subdirectory: Some(below),
        ..
    }) = asked.spec.source()
    else {
        return Ok(own.clone());
    };
    let joined = format!("{}/{own}", below.display()).parse();
    joined.map_err(|error| Stop::error(Reason::Refused, Stage::Plan, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_seen_in_a_remote() {
        for (remote, has) in [
            ("https://h/r.git", false),
            ("https://token@h/r.git", true),
            ("https://u:p@h/r.git", true),
            ("ssh://git@h/r.git", false),
            ("git@h:r.git", false),
        ] {
            assert_eq!(has_credentials(&remote.parse().unwrap()), has, "{remote}");
        }
    }

    #[test]
    fn a_volume_is_shared_where_both_sides_of_it_are_named() {
        let both = [(CLAIM, "code"), (CLAIM_PATH, "/code")];
        let of = |pairs: &[(&str, &str)]| {
            claim(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(of(&both), Some(("code".to_owned(), "/code".into())));
        assert_eq!(of(&both[..1]), None);
        assert_eq!(of(&[(CLAIM, "code"), (CLAIM_PATH, "")]), None);
    }
}
