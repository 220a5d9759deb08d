//! Credentials of a git URL, kept off command lines, logs and `.git/config`.
//!
//! git gets the URL without them. It asks a credential helper, which is a shell function
//! in a `-c` option: the function's text is public, the values are in its environment, which
//! only the same user can read. The helper answers for the URL's own host and port alone.

use launch_config::secret::{Secret, mask};
use launch_config::source::GitRemote;
use url::Url;

const USER_VARIABLE: &str = "LAUNCH_GIT_USERNAME";
const PASSWORD_VARIABLE: &str = "LAUNCH_GIT_PASSWORD";
const HELPER: &str = "!f() { test \"$1\" = get && \
    printf 'username=%s\\npassword=%s\\n' \"$LAUNCH_GIT_USERNAME\" \"$LAUNCH_GIT_PASSWORD\"; }; f";

/// A remote, taken apart into what may be seen and what may not.
#[derive(Debug)]
pub(super) struct Login {
    /// The remote without credentials.
    pub(super) url: String,
    /// `scheme://host:port`, if the URL had credentials for it.
    scope: Option<String>,
    user: Secret,
    password: Option<Secret>,
    /// What to hide in git's words: the credentials as given and as decoded.
    hidden: Vec<Secret>,
}

impl Login {
    /// `Err` says what is wrong with the credentials, without showing them.
    pub(super) fn of(remote: &GitRemote) -> Result<Self, &'static str> {
        match remote {
            GitRemote::Scp(text) => Ok(Self::none(text.clone())),
            GitRemote::Url(url) => Self::of_url(url.expose()),
        }
    }

    fn none(url: String) -> Self {
        Self {
            url,
            scope: None,
            user: Secret::new(""),
            password: None,
            hidden: Vec::new(),
        }
    }

    fn of_url(url: &Url) -> Result<Self, &'static str> {
        if url.query().is_some() || url.fragment().is_some() {
            // git would ask for `…?token=x/info/refs`; and a query is where tokens are put.
            return Err("the URL has a query or a fragment, which git cannot use");
        }
        let mut bare = url.clone();
        // These fail only for URLs without a host, which are no remotes.
        let _ = bare.set_password(None);
        if url.scheme() == "ssh" {
            // The user is a login name; ssh takes no password from a URL.
            let hidden = url.password().map(Secret::new).into_iter().collect();
            return Ok(Self {
                hidden,
                ..Self::none(bare.into())
            });
        }
        let _ = bare.set_username("");
        if url.username().is_empty() && url.password().is_none() {
            return Ok(Self::none(bare.into()));
        }
        let user = Secret::new(decode(url.username())?);
        let password = url.password().map(decode).transpose()?.map(Secret::new);
        let given = [Some(url.username()), url.password()]
            .into_iter()
            .flatten()
            .map(Secret::new);
        let hidden = given
            .chain([user.clone()])
            .chain(password.clone())
            .collect();
        let scope = Some(bare[..url::Position::BeforePath].to_owned());
        Ok(Self {
            url: bare.into(),
            scope,
            user,
            password,
            hidden,
        })
    }

    /// Settings for git's command line: nothing of them is secret.
    pub(super) fn settings(&self) -> Vec<String> {
        let Some(scope) = &self.scope else {
            return Vec::new();
        };
        let key = format!("credential.{scope}.helper");
        // With a password, the user's own helpers are not asked: an empty value drops them.
        // With a name alone they go first, as theirs may be its password; a token needs none.
        let reset = self.password.is_some().then(|| format!("{key}="));
        reset
            .into_iter()
            .chain([format!("{key}={HELPER}")])
            .collect()
    }

    /// What git's environment has to carry.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let Some(scope) = &self.scope else {
            return Vec::new();
        };
        let password = self.password.as_ref().map_or("", Secret::expose);
        let mut variables = vec![
            (USER_VARIABLE.to_owned(), self.user.expose().to_owned()),
            (PASSWORD_VARIABLE.to_owned(), password.to_owned()),
        ];
        if self.password.is_none() {
            // So that the user's helpers are asked for this name's password.
            variables.extend(setting(format!("credential.{scope}.username"), &self.user));
        }
        variables
    }

    /// git's words without the credentials, nor those of any other URL in them.
    pub(super) fn mask(&self, text: &str) -> String {
        hide_userinfo(&mask(text, &self.hidden))
    }
}

/// One setting through the environment, after those that are there already.
fn setting(key: String, value: &Secret) -> [(String, String); 3] {
    let count = std::env::var("GIT_CONFIG_COUNT")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0u32);
    [
        ("GIT_CONFIG_COUNT".to_owned(), (count + 1).to_string()),
        (format!("GIT_CONFIG_KEY_{count}"), key),
        (
            format!("GIT_CONFIG_VALUE_{count}"),
            value.expose().to_owned(),
        ),
    ]
}

/// Percent-decodes, and refuses what would be two lines to git's credential protocol.
fn decode(text: &str) -> Result<String, &'static str> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let value = escaped.and_then(|hex| std::str::from_utf8(hex).ok());
        let value = value.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        decoded.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    if decoded.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        return Err("the credentials of the URL contain a line break");
    }
    String::from_utf8(decoded).map_err(|_| "the credentials of the URL are not UTF-8")
}

/// Hides `user:password@` of every URL but ssh ones, whose user is a login name.
fn hide_userinfo(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || c == '\'');
        let authority = &after[..end.unwrap_or(after.len())];
        let host = authority.rfind('@').filter(|_| !before.ends_with("ssh://"));
        if let Some(host) = host {
            shown.push_str(launch_config::secret::MASK);
            rest = &after[host..];
        } else {
            rest = after;
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(text: &str) -> Login {
        Login::of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn what_git_is_shown_has_no_credentials() {
        let login = login("https://bob:p%40ss%2Fword@host:8443/r.git");
        assert_eq!(login.url, "https://host:8443/r.git");
        let shown = format!("{:?} {} {login:?}", login.settings(), login.url);
        assert!(!shown.contains("bob") && !shown.contains("ss/word") && !shown.contains("ss%2F"));
        let environment = login.environment();
        assert!(environment.contains(&(PASSWORD_VARIABLE.to_owned(), "p@ss/word".to_owned())));
        assert!(login.settings()[0].starts_with("credential.https://host:8443.helper="));
    }

    #[test]
    fn a_name_alone_leaves_the_users_helpers_in() {
        let login = login("https://ghp_token@host/r.git");
        assert_eq!(
            (login.url.as_str(), login.settings().len()),
            ("https://host/r.git", 1)
        );
        let names: Vec<_> = login
            .environment()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert!(names.contains(&"GIT_CONFIG_COUNT".to_owned()), "{names:?}");
    }

    #[test]
    fn ssh_keeps_its_login_name() {
        assert_eq!(login("ssh://git:pw@host/r").url, "ssh://git@host/r");
        assert_eq!(login("git@host:r").url, "git@host:r");
        assert!(login("git@host:r").settings().is_empty());
    }

    #[test]
    fn a_line_break_in_a_credential_is_refused() {
        let remote = "https://u:a%0Ahost=evil@host/r".parse().unwrap();
        assert!(Login::of(&remote).is_err());
    }

    #[test]
    fn a_query_never_reaches_a_command_line() {
        let remote = "https://host/r.git?private_token=s3cret".parse().unwrap();
        assert!(!Login::of(&remote).unwrap_err().contains("s3cret"));
    }

    #[test]
    fn words_of_git_are_masked() {
        let login = login("https://bobby:hunter22@host/r");
        let said =
            "bad hunter22 at https://bobby:hunter22@host/r and 'http://x:y@h/s' ssh://git@h/";
        let masked = login.mask(said);
        assert_eq!(
            masked,
            "bad *** at https://***@host/r and 'http://***@h/s' ssh://git@h/"
        );
    }
}
