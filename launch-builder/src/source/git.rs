//! A git source at one exact commit, through the `git` program.
//!
//! The reference is resolved first (`ls-remote`), then exactly that commit is fetched,
//! shallow where the server lets us. What a repository brings decides nothing about what
//! runs here: no hooks, no file-system monitor, no transport but https, http and ssh.

mod command;
mod credentials;
mod lines;
mod reference;
mod said;

use std::path::{Path, PathBuf};

use launch_config::source::GitRemote;

use self::command::Git;
use self::reference::Target;
use super::scratch::Scratch;
use super::{FetchOptions, SourceTree, blocking};
use crate::confine;
use crate::error::Error;
use crate::event::Events;

/// Where heads and tags go when everything has to be fetched.
const EVERYTHING: [&str; 2] = [
    "+refs/heads/*:refs/remotes/origin/*",
    "+refs/tags/*:refs/tags/*",
];

/// What of which repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) remote: &'a GitRemote,
    pub(super) reference: Option<&'a str>,
    pub(super) subdirectory: Option<&'a Path>,
}

/// Fetches it, within the time of the options.
pub(super) async fn fetch(
    wanted: Wanted<'_>,
    options: &FetchOptions,
    events: &Events,
) -> Result<SourceTree, Error> {
    match tokio::time::timeout(options.timeout, check_out(wanted, options, events)).await {
        Ok(result) => result,
        Err(_) => Err(Error::Git {
            remote: wanted.remote.clone().into(),
            action: "fetch",
            said: format!("gave up after {} s", options.timeout.as_secs_f32()),
        }),
    }
}

async fn check_out(
    wanted: Wanted<'_>,
    options: &FetchOptions,
    events: &Events,
) -> Result<SourceTree, Error> {
    let scratch = Scratch::new(options.scratch.clone()).await?;
    let git = Git::new(wanted.remote, options, scratch.checkout(), events).await?;
    let target = reference::resolve(&git, wanted.reference).await?;
    prepare(&git, &target).await?;
    let commit = fetch_commit(&git, target).await?;
    git.run(
        "check out",
        &["checkout", "--quiet", "--force", "--detach", &commit],
    )
    .await?;
    fetch_submodules(&git).await?;
    tracing::debug!(remote = %wanted.remote, %commit, "checked out");
    let root = project(scratch.checkout(), wanted.subdirectory).await?;
    Ok(SourceTree {
        root,
        origin: wanted.remote.to_string(),
        revision: Some(commit),
        _scratch: Some(scratch.keep()),
    })
}

/// An empty repository that knows where it comes from.
async fn prepare(git: &Git<'_>, target: &Target) -> Result<(), Error> {
    const ACTION: &str = "prepare a copy of";
    let format = if target.is_sha256() { "sha256" } else { "sha1" };
    let format = format!("--object-format={format}");
    git.run(ACTION, &["init", "--quiet", "--template=", &format])
        .await?;
    // Submodules with relative URLs are resolved against this one; it has no credentials.
    git.run(ACTION, &["config", "remote.origin.url", git.url()])
        .await?;
    Ok(())
}

/// Brings the commit's objects here and answers its full id.
async fn fetch_commit(git: &Git<'_>, target: Target) -> Result<String, Error> {
    if let Some(commit) = target.commit() {
        if fetch_shallow(git, commit).await? {
            return verify(git, commit, &target).await;
        }
        tracing::debug!(%commit, "the server does not serve a bare commit");
    }
    if let Some(name) = target.name()
        && fetch_shallow(git, name).await?
    {
        return verify(git, "FETCH_HEAD", &target).await;
    }
    let fetch = ["fetch", "--progress", "--no-tags", "--", git.url()];
    git.run("fetch", &[&fetch[..], &EVERYTHING].concat())
        .await?;
    verify(git, target.asked(), &target).await
}

/// `false` if the server does not serve this object or name, or nothing shallow at all.
async fn fetch_shallow(git: &Git<'_>, what: &str) -> Result<bool, Error> {
    let arguments = [
        "fetch",
        "--progress",
        "--no-tags",
        "--depth=1",
        "--",
        git.url(),
        what,
    ];
    let output = git.output("fetch", &arguments).await?;
    if output.succeeded() {
        return Ok(true);
    }
    if output.refuses_object() {
        Ok(false)
    } else {
        Err(git.failure("fetch", &output))
    }
}

async fn verify(git: &Git<'_>, revision: &str, target: &Target) -> Result<String, Error> {
    let peeled = format!("{revision}^{{commit}}");
    let arguments = [
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &peeled,
    ];
    let output = git.output("read", &arguments).await?;
    let commit = output.stdout().trim();
    if output.succeeded() && !commit.is_empty() {
        return Ok(commit.to_owned());
    }
    Err(Error::NoSuchReference {
        remote: git.remote().clone().into(),
        reference: target.asked().to_owned(),
    })
}

/// Submodules, with the transports of the parent; a full fetch where a shallow one cannot
/// reach the recorded commit.
async fn fetch_submodules(git: &Git<'_>) -> Result<(), Error> {
    const UPDATE: [&str; 4] = ["submodule", "update", "--init", "--recursive"];
    const ACTION: &str = "fetch a submodule of";
    if git
        .directory()
        .join(".gitmodules")
        .symlink_metadata()
        .is_err()
    {
        return Ok(());
    }
    let shallow = [&UPDATE[..], &["--depth=1"]].concat();
    let output = git.output(ACTION, &shallow).await?;
    if output.succeeded() {
        return Ok(());
    }
    if !output.refuses_object() {
        return Err(git.failure(ACTION, &output));
    }
    git.run(
        ACTION,
        &["submodule", "--quiet", "deinit", "--force", "--all"],
    )
    .await?;
    let modules = git.directory().join(".git/modules");
    blocking(move || Ok(fs_err::remove_dir_all(modules)?)).await?;
    git.run(ACTION, &UPDATE).await.map(drop)
}

/// The project below the checkout.
async fn project(checkout: &Path, subdirectory: Option<&Path>) -> Result<PathBuf, Error> {
    let checkout = checkout.to_owned();
    let subdirectory = subdirectory.map(Path::to_owned);
    blocking(move || {
        let root = checkout.canonicalize()?;
        let Some(subdirectory) = subdirectory else {
            return Ok(root);
        };
        let real = confine::inside(&root, &subdirectory, "subdirectory")?;
        let why = "is not a directory";
        let refusal = || Error::Path {
            what: "subdirectory",
            path: subdirectory.clone(),
            why,
        };
        real.is_dir().then_some(real).ok_or_else(refusal)
    })
    .await
}
