//! Git remotes: the transports git may use, and nothing it could take for an option.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use crate::secret::{MASK, RedactedUrl};

/// Why a text is not a git remote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRemoteError {
    /// It, or its host, user or path, starts like an option of a program.
    #[error("git remote `{0}` starts with a dash where git would take it for an option")]
    Option(String),
    /// Its transport is not one we let git use.
    #[error("git remote `{0}` is neither https, ssh nor `user@host:path`")]
    Transport(String),
    /// It is http to another machine.
    #[error("git remote `{0}` is plain http, which is for this machine only")]
    Plain(String),
    /// It is not a URL.
    #[error("git remote `{0}` is not a valid URL")]
    Url(String),
    /// It holds a line break or another control character.
    #[error("git remote {0:?} holds a control character")]
    Control(String),
}

impl ParseRemoteError {
    /// What to do, if there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Plain(_) => Some("use https, or ssh"),
            Self::Transport(_) => Some("a directory starts with `/` or `.`"),
            _ => None,
        }
    }
}

/// A git remote: an https or ssh URL, http to this machine, or `user@host:path`.
///
/// `file:`, `git:`, `ext::` and local paths are refused, so that a queue cannot make
/// the agent read its own disk or start a helper program. URLs are kept in their normal
/// form (scheme and host in small letters): git does not know `HTTPS:`.
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
        if text.contains(char::is_control) {
            return Err(ParseRemoteError::Control(redact(text)));
        }
        match text.split_once("://") {
            // `https:///x` would be read as the host `x`, which nobody meant.
            Some((_, rest)) if rest.starts_with(['/', '\\']) => {
                Err(ParseRemoteError::Url(redact(text)))
            }
            Some((scheme, _)) if !scheme.contains(['@', '/']) => of_url(text),
            _ => of_scp(text),
        }
    }
}

fn of_url(text: &str) -> Result<GitRemote, ParseRemoteError> {
    let url = Url::parse(text).map_err(|_| ParseRemoteError::Url(redact(text)))?;
    let known = matches!(url.scheme(), "https" | "http" | "ssh") && url.has_host();
    let url = RedactedUrl::new(url);
    if !known {
        return Err(ParseRemoteError::Transport(url.to_string()));
    }
    let inner = url.expose();
    let dashed = |part: &str| part.starts_with('-');
    if inner.host_str().is_some_and(dashed) || dashed(inner.username()) {
        return Err(ParseRemoteError::Option(url.to_string()));
    }
    if inner.scheme() == "http" && !is_this_machine(inner) {
        return Err(ParseRemoteError::Plain(url.to_string()));
    }
    Ok(GitRemote::Url(url))
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `user@host:path`: the user may hold `+`, the host only what a host name has.
fn of_scp(text: &str) -> Result<GitRemote, ParseRemoteError> {
    let refused = || ParseRemoteError::Transport(redact(text));
    let (login, path) = text.split_once(':').ok_or_else(refused)?;
    let (user, host) = login.split_once('@').ok_or_else(refused)?;
    let word = |part: &str, extra: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
        !part.is_empty() && part.chars().all(fine)
    };
    if !word(user, "-_.+") || !word(host, "-_.") || path.is_empty() {
        return Err(refused());
    }
    if host.starts_with('-') || path.starts_with('-') {
        return Err(ParseRemoteError::Option(redact(text)));
    }
    Ok(GitRemote::Scp(text.to_owned()))
}

/// Hides what stands before an `@`, where a credential would be.
fn redact(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("{MASK}@{rest}"),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn remotes_of_every_forge_are_remotes() {
        for (text, name) in [
            ("https://host/a/repo.git", "repo"),
            ("HTTPS://host/a/b/", "b"),
            ("ssh://git@host:2222/srv/x.git", "x"),
            ("git@host:team/x.git", "x"),
            ("me.name+x@host-1.example:repo", "repo"),
            (" git@host:x", "x"),
            ("http://localhost:3000/a/x.git", "x"),
            ("http://127.0.0.1:80/x", "x"),
            ("http://[::1]/x", "x"),
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
            "git+ssh://git@h/p",
            "/srv/x",
            "../x",
            "ssh://-oProxyCommand=id/x",
            "ssh://-l@host/x",
            "a@-b:c",
            "a@b:-c",
            "a b@c:d",
            "git@[::1]:x",
            "javascript:git@host:x",
            "http://host/x",
            "http://localhost.example/x",
            "https:///x",
            "https://h/a\nb",
            "",
        ] {
            assert!(text.parse::<GitRemote>().is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_in_a_remote_never_print() {
        let remote: GitRemote = "https://x:planted@host/r".parse().unwrap();
        assert!(!format!("{remote} {remote:?}").contains("planted"));
        for text in ["ftp://x:planted@host/r", "http://x:planted@host/r"] {
            let error = text.parse::<GitRemote>().unwrap_err();
            assert!(!error.to_string().contains("planted"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_accepted_is_no_option(text in ".{0,40}") {
            for text in [text.clone(), format!("https://{text}"), format!("u@h:{text}")] {
                if let Ok(remote) = text.parse::<GitRemote>() {
                    prop_assert!(!remote.expose().starts_with('-'));
                    prop_assert!(!remote.expose().contains(char::is_control));
                }
            }
        }

        #[test]
        fn what_git_takes_parses_to_itself(
            text in "(https|ssh)://([a-z]{1,4}@)?[a-z]{1,6}(:[1-9][0-9]{2})?(/[a-z.]{1,6}){1,3}|[a-z+]{1,4}@[a-z.]{1,6}:[a-z/]{1,8}"
        ) {
            if let Ok(remote) = text.parse::<GitRemote>() {
                let again: GitRemote = remote.expose().parse().unwrap();
                prop_assert_eq!(again, remote);
            }
        }
    }
}
