//! From a branch, a tag, a commit or nothing to one commit of the remote.

use super::command::Git;
use crate::error::Error;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A commit given in full.
    Commit(String),
    /// A name the remote has, and the commit it is on now.
    Name { name: String, commit: String },
    /// The beginning of a commit's id: only the whole history says which.
    Beginning(String),
}

impl Target {
    pub(super) fn commit(&self) -> Option<&str> {
        match self {
            Self::Commit(commit) | Self::Name { commit, .. } => Some(commit),
            Self::Beginning(_) => None,
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Name { name, .. } => Some(name),
            Self::Commit(_) | Self::Beginning(_) => None,
        }
    }

    /// What names the commit once everything is here.
    pub(super) fn asked(&self) -> &str {
        match self {
            Self::Commit(text) | Self::Beginning(text) | Self::Name { commit: text, .. } => text,
        }
    }

    /// Whether the repository's ids are SHA-256.
    pub(super) fn is_sha256(&self) -> bool {
        self.commit().is_some_and(|commit| commit.len() == 64)
    }
}

/// Asks the remote.
pub(super) async fn resolve(git: &Git<'_>, reference: Option<&str>) -> Result<Target, Error> {
    let asked = reference.unwrap_or("HEAD");
    let absent = || Error::NoSuchReference {
        remote: git.remote().clone().into(),
        reference: asked.to_owned(),
    };
    if is_commit(asked) {
        return Ok(Target::Commit(asked.to_ascii_lowercase()));
    }
    if !is_name(asked) {
        return Err(absent());
    }
    let names = candidates(asked);
    let mut arguments = vec!["ls-remote", "--", git.url()];
    arguments.extend(names.iter().map(String::as_str));
    let listing = git.run("ask", &arguments).await?;
    if let Some(target) = choose(&listing, &names) {
        return Ok(target);
    }
    let beginning = (4..40).contains(&asked.len()) && is_hex(asked);
    beginning
        .then(|| Target::Beginning(asked.to_owned()))
        .ok_or_else(absent)
}

/// The full names a short one may mean, the most wanted first: a branch before a tag, a
/// tag's commit before the tag object.
fn candidates(asked: &str) -> Vec<String> {
    if asked == "HEAD" {
        return vec![asked.to_owned()];
    }
    let full = asked
        .starts_with("refs/")
        .then(|| vec![format!("{asked}^{{}}"), asked.to_owned()]);
    full.unwrap_or_default()
        .into_iter()
        .chain([
            format!("refs/heads/{asked}"),
            format!("refs/tags/{asked}^{{}}"),
            format!("refs/tags/{asked}"),
        ])
        .collect()
}

/// `ls-remote` matches the ends of names, so each line is compared in full.
fn choose(listing: &str, names: &[String]) -> Option<Target> {
    let lines: Vec<_> = listing
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    names.iter().find_map(|wanted| {
        let (commit, name) = lines.iter().find(|(_, name)| name == wanted)?;
        let name = name.strip_suffix("^{}").unwrap_or(name).to_owned();
        is_commit(commit).then(|| Target::Name {
            name,
            commit: (*commit).to_owned(),
        })
    })
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

/// git's rules for reference names (`git-check-ref-format`), as far as they keep a name from
/// being an option, a pattern or an expression.
fn is_name(text: &str) -> bool {
    let strange = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !text.is_empty()
        && text.len() <= 1024
        && !text.starts_with(['-', '/'])
        && !text.ends_with(['/', '.'])
        && !text.contains(strange)
        && !["..", "@{", "//"].iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn chosen(listing: &str, asked: &str) -> Option<String> {
        choose(listing, &candidates(asked)).map(|target| target.asked().to_owned())
    }

    #[test]
    fn a_branch_goes_before_a_tag() {
        let listing = format!("{B}\trefs/tags/v1\n{A}\trefs/heads/v1\n");
        assert_eq!(chosen(&listing, "v1").as_deref(), Some(A));
    }

    #[test]
    fn a_tag_object_is_not_its_commit() {
        let listing = format!("{A}\trefs/tags/v1\n{B}\trefs/tags/v1^{{}}\n");
        assert_eq!(chosen(&listing, "v1").as_deref(), Some(B));
        assert_eq!(chosen(&listing, "refs/tags/v1").as_deref(), Some(B));
    }

    #[test]
    fn the_end_of_a_name_is_not_the_name() {
        let listing = format!("{A}\trefs/remotes/x/refs/heads/main\n");
        assert_eq!(chosen(&listing, "main"), None);
    }

    #[test]
    fn names_that_git_would_take_for_something_else_are_refused() {
        for text in [
            "-x", "a b", "a..b", "a@{1}", "HEAD~1", "a:b", "*", "", "a/", "/a", "a\nb",
        ] {
            assert!(!is_name(text), "{text}");
        }
        for text in ["main", "feature/x", "v1.2", "refs/pull/3/head", "ünder"] {
            assert!(is_name(text), "{text}");
        }
    }
}
