//! Where a job's code or image is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::image::ImageRef;
use crate::secret::RedactedUrl;

/// Why a text is not a git remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRemoteError {
    /// It starts like an option of git.
    #[error("git remote `{0}` starts with a dash")]
    Option(String),
    /// Its transport is not one we let git use.
    #[error("git remote `{0}` is neither https, http, ssh nor `user@host:path`")]
    Transport(String),
    /// It is not a URL.
    #[error("git remote `{0}` is not a valid URL")]
    Url(String),
}

/// A git remote: an https, http or ssh URL, or `user@host:path`.
///
/// `file:`, `git:`, `ext::` and local paths are refused, so that a queue cannot make
/// the agent read its own disk or start a helper program.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum GitRemote {
    /// An https, http or ssh URL.
    Url(RedactedUrl),
    /// `user@host:path`, as ssh spells it.
    Scp(String),
}

impl GitRemote {
    /// The remote as git takes it, credentials included.
    pub fn expose(&self) -> &str {
        match self {
            Self::Url(url) => url.expose().as_str(),
            Self::Scp(text) => text,
        }
    }

    /// The last path component without `.git`: a name for directories and images.
    pub fn short_name(&self) -> &str {
        let text = self.expose().split(['?', '#']).next().unwrap_or_default();
        let last = text
            .trim_end_matches('/')
            .rsplit(['/', ':'])
            .next()
            .unwrap_or_default();
        last.strip_suffix(".git").unwrap_or(last)
    }
}

impl FromStr for GitRemote {
    type Err = ParseRemoteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.starts_with('-') {
            return Err(ParseRemoteError::Option(text.to_owned()));
        }
        if text.contains("://") {
            let url = Url::parse(text).map_err(|_| ParseRemoteError::Url(redact(text)))?;
            let known = matches!(url.scheme(), "https" | "http" | "ssh") && url.has_host();
            let dashed = url.host_str().is_some_and(|host| host.starts_with('-'));
            if !known || dashed {
                return Err(ParseRemoteError::Transport(
                    RedactedUrl::new(url).to_string(),
                ));
            }
            return Ok(Self::Url(RedactedUrl::new(url)));
        }
        let scp = text.split_once(':').and_then(|(login, path)| {
            let (user, host) = login.split_once('@')?;
            let word = |s: &str| {
                let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
                !s.is_empty() && !s.starts_with('-') && s.chars().all(fine)
            };
            let plain = !path.is_empty() && !path.starts_with([':', '-']);
            (word(user) && word(host) && plain).then(|| Self::Scp(text.to_owned()))
        });
        scp.ok_or_else(|| ParseRemoteError::Transport(redact(text)))
    }
}

/// Hides what stands before an `@`, where a credential would be.
fn redact(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("{}@{rest}", crate::secret::MASK),
        None => text.to_owned(),
    }
}

impl fmt::Display for GitRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Scp(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for GitRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GitRemote({self})")
    }
}

/// Where a job's code or image is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A git repository.
    Git {
        /// Where it is.
        remote: GitRemote,
        /// Branch, tag or commit; the remote's default branch if not given.
        reference: Option<String>,
        /// The directory below its root that is the project.
        subdirectory: Option<PathBuf>,
    },
    /// An image: there is no code to fetch.
    Image(ImageRef),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Git {
                remote,
                reference: Some(reference),
                ..
            } => {
                write!(f, "{remote} at {reference}")
            }
            Self::Git { remote, .. } => remote.fmt(f),
            Self::Image(image) => image.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_of_every_forge_are_remotes() {
        for (text, name) in [
            ("https://host/a/repo.git", "repo"),
            ("HTTPS://host/a/b/", "b"),
            ("ssh://git@host:2222/srv/x.git", "x"),
            ("git@host:team/x.git", "x"),
            (" git@host:x", "x"),
        ] {
            assert_eq!(
                text.parse::<GitRemote>().unwrap().short_name(),
                name,
                "{text}"
            );
        }
    }

    #[test]
    fn remotes_that_reach_elsewhere_are_refused() {
        for text in [
            "-oProxyCommand=x@h:p",
            "ext::sh -c id",
            "file:///etc",
            "git://h/p",
            "/srv/x",
            "../x",
            "ssh://-oProxyCommand=id/x",
            "a@-b:c",
            "u@h::x",
            "",
        ] {
            assert!(text.parse::<GitRemote>().is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_in_a_remote_never_print() {
        let remote: GitRemote = "https://x:planted@host/r".parse().unwrap();
        assert!(!format!("{remote} {remote:?}").contains("planted"));
        let error = "ftp://x:planted@host/r".parse::<GitRemote>().unwrap_err();
        assert!(!error.to_string().contains("planted"), "{error}");
    }
}
