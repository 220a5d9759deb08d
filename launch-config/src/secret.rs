//! Values that never print.

use std::fmt;

use serde::{Deserialize, Deserializer};
use url::Url;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// A secret text. `Debug` and `Display` show [`MASK`]; only [`Secret::expose`] gives it out.
///
/// It is deliberately not `Serialize`: a secret is never written by accident.
///
/// ```
/// use launch_config::secret::Secret;
///
/// let key = Secret::new("hunter2");
/// assert_eq!(format!("{key} {key:?}"), "*** ***");
/// assert_eq!(key.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from printing.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Every call is a place where the secret leaves our hands.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A URL whose password, user token and query values are masked wherever it prints.
///
/// A user name alone may be a token (`https://ghp_…@host`), so it is masked too,
/// except for ssh, where it is a login name such as `git`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedactedUrl(Url);

impl RedactedUrl {
    /// Wraps a parsed URL.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The URL itself, secrets included.
    pub fn expose(&self) -> &Url {
        &self.0
    }

    fn masked(&self) -> String {
        let mut url = self.0.clone();
        if url.password().is_some() {
            // `set_password` fails only for URLs that cannot have one.
            let _ = url.set_password(Some(MASK));
        }
        if !url.username().is_empty() && url.scheme() != "ssh" {
            let _ = url.set_username(MASK);
        }
        if url.query().is_some() {
            let keys: Vec<String> = url.query_pairs().map(|(key, _)| key.into_owned()).collect();
            url.query_pairs_mut()
                .clear()
                .extend_pairs(keys.iter().map(|key| (key, MASK)));
        }
        url.to_string()
    }
}

impl fmt::Debug for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.masked())
    }
}

impl fmt::Display for RedactedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// Replaces every occurrence of the given secrets in a text.
///
/// For text that others wrote (a build log, an error of git): secrets shorter than
/// 4 bytes are left, since masking them would shred the text.
pub fn mask<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    secrets
        .into_iter()
        .filter(|secret| secret.0.len() >= 4)
        .fold(text.to_owned(), |text, secret| {
            text.replace(&secret.0, MASK)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_print_without_their_secrets() {
        let shown = |text: &str| RedactedUrl::new(Url::parse(text).unwrap()).to_string();
        assert_eq!(
            shown("https://bob:s3cret@host/r.git"),
            "https://***:***@host/r.git"
        );
        assert_eq!(shown("https://ghp_token@host/r"), "https://***@host/r");
        assert_eq!(shown("ssh://git@host/r"), "ssh://git@host/r");
        assert_eq!(
            shown("https://host/p?sig=abc&x=1"),
            "https://host/p?sig=***&x=***"
        );
    }

    #[test]
    fn debug_is_as_silent_as_display() {
        let url = RedactedUrl::new(Url::parse("https://u:planted@h/").unwrap());
        assert!(!format!("{url:?} {:?}", Secret::new("planted")).contains("planted"));
    }

    #[test]
    fn foreign_text_is_masked() {
        let secret = Secret::new("tok-12345");
        assert_eq!(mask("auth tok-12345 failed", [&secret]), "auth *** failed");
    }
}
