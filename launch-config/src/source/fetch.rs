//! The git commands that bring a remote to a directory, as data.

use super::{GitReference, GitRemote};

/// Settings without which a repository could name a transport that reads local files or
/// starts a program.
const HARDENED: [&str; 4] = [
    "-c",
    "protocol.file.allow=never",
    "-c",
    "protocol.ext.allow=never",
];
/// The branches tried, in this order, when none is asked for.
const DEFAULT_BRANCHES: [&str; 2] = ["main", "master"];

/// Neither of the branches tried by default is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the remote has neither a branch `main` nor `master`, and no reference was given")]
pub struct NoBranch;

/// How a place that has nothing but git fetches a remote: a container that prepares
/// another one's source, or a script.
///
/// The commands are arguments after `git`, for whoever runs them; what they answer decides
/// how it goes on. All branches are fetched with their history.
///
/// ```
/// use launch_config::source::{GitFetch, GitRemote};
///
/// let remote: GitRemote = "https://host.example/team/iris".parse()?;
/// let fetch = GitFetch::new(&remote, None);
/// assert_eq!(fetch.prepare("/work")[0], ["init", "/work"]);
/// let chosen = fetch.choose(|branch| branch == "master")?;
/// assert_eq!(fetch.checkout(chosen), ["checkout", "-B", "master", "origin/master"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GitFetch<'a> {
    remote: &'a GitRemote,
    reference: Option<&'a GitReference>,
}

/// What to check out, as [`GitFetch::choose`] found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen<'a> {
    name: &'a str,
    is_branch: bool,
}

impl<'a> Chosen<'a> {
    /// The reference, or the default branch that was found.
    pub fn name(&self) -> &'a str {
        self.name
    }
}

impl<'a> GitFetch<'a> {
    /// The fetch of `remote` at `reference`, or at its `main` or `master`.
    pub fn new(remote: &'a GitRemote, reference: Option<&'a GitReference>) -> Self {
        Self { remote, reference }
    }

    /// Makes a repository in `directory` and fetches into it.
    pub fn prepare(&self, directory: &str) -> [Vec<String>; 3] {
        let remote = self.remote.expose();
        [
            words(&["init", directory]),
            words(&["remote", "add", "origin", "--", remote]),
            hardened(&["fetch", "origin"]),
        ]
    }

    /// The command that succeeds if the remote has this branch.
    pub fn probe(branch: &str) -> Vec<String> {
        let full = format!("refs/remotes/origin/{branch}");
        words(&["show-ref", "--verify", "--quiet", &full])
    }

    /// Decides what to check out; `has_branch` runs [`GitFetch::probe`].
    ///
    /// A reference that is no branch of the remote is taken as it is: a tag or a commit.
    ///
    /// # Errors
    /// [`NoBranch`] if no reference was asked for and there is no default branch.
    pub fn choose(&self, mut has_branch: impl FnMut(&str) -> bool) -> Result<Chosen<'a>, NoBranch> {
        if let Some(reference) = self.reference {
            let (name, is_branch) = (reference.as_str(), has_branch(reference.as_str()));
            return Ok(Chosen { name, is_branch });
        }
        let found = DEFAULT_BRANCHES.into_iter().find(|name| has_branch(name));
        let chosen = |name| Chosen {
            name,
            is_branch: true,
        };
        found.map(chosen).ok_or(NoBranch)
    }

    /// Checks out what was chosen, as a local branch of its name.
    pub fn checkout(&self, chosen: Chosen<'_>) -> Vec<String> {
        let target = if chosen.is_branch {
            format!("origin/{}", chosen.name)
        } else {
            chosen.name.to_owned()
        };
        words(&["checkout", "-B", chosen.name, &target])
    }

    /// Says which commit is checked out, then fetches the submodules.
    pub fn finish(&self) -> [Vec<String>; 2] {
        let submodules = ["submodule", "update", "--init", "--recursive"];
        [words(&["rev-parse", "HEAD"]), hardened(&submodules)]
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn hardened(arguments: &[&str]) -> Vec<String> {
    words(&[&HARDENED, arguments].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_checked_out_by_its_name_and_a_branch_from_the_remote() {
        let remote: GitRemote = "git@h:x".parse().unwrap();
        let reference: GitReference = "v1".parse().unwrap();
        let fetch = GitFetch::new(&remote, Some(&reference));
        let checkout = |has| fetch.checkout(fetch.choose(|_| has).unwrap());
        assert_eq!(checkout(false), ["checkout", "-B", "v1", "v1"]);
        assert_eq!(checkout(true), ["checkout", "-B", "v1", "origin/v1"]);
        assert_eq!(
            GitFetch::new(&remote, None).choose(|_| false),
            Err(NoBranch)
        );
    }

    #[test]
    fn whatever_talks_to_the_remote_is_hardened() {
        let remote: GitRemote = "https://h/x".parse().unwrap();
        let fetch = GitFetch::new(&remote, None);
        for command in [&fetch.prepare("d")[2], &fetch.finish()[1]] {
            assert_eq!(command[..4], HARDENED);
        }
    }
}
