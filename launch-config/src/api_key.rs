//! The key of W&B, by which an agent and its jobs are known to a server.

use std::fmt;
use std::str::FromStr;

use crate::secret::Secret;

/// The shortest key there is, in characters, without a prefix.
pub const SHORTEST: usize = 40;

/// Why a text is not a key. The text itself is a secret, and not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseApiKeyError {
    /// There is nothing.
    #[error("the API key is empty")]
    Empty,
    /// Too few characters.
    #[error("the API key has {0} characters, and one has at least {SHORTEST}")]
    Short(usize),
    /// A character that no key has.
    #[error("the API key holds {0:?}, which no key does")]
    Character(char),
}

impl ParseApiKeyError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "copy the whole key from the server's page `/authorize`"
    }
}

/// A key: at least 40 letters, digits and underscores, behind an optional prefix that ends
/// with a dash (`local-…`); or a JSON Web Token. Prints as `***`.
///
/// ```
/// use launch_config::api_key::ApiKey;
///
/// let key: ApiKey = format!("local-{}", "a".repeat(40)).parse()?;
/// assert_eq!(format!("{key} {key:?}"), "*** ***");
/// # Ok::<(), launch_config::api_key::ParseApiKeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiKey(Secret);

impl ApiKey {
    /// The key, to be sent.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ApiKey {
    type Err = ParseApiKeyError;

    fn from_str(text: &str) -> Result<Self, ParseApiKeyError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ParseApiKeyError::Empty);
        }
        if is_token(text) {
            return Ok(Self(Secret::new(text)));
        }
        let bare = text.rsplit_once('-').map_or(text, |(_, bare)| bare);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(odd) = bare.chars().find(|c| !is_word(*c)) {
            return Err(ParseApiKeyError::Character(odd));
        }
        match bare.len() {
            length if length < SHORTEST => Err(ParseApiKeyError::Short(length)),
            _ => Ok(Self(Secret::new(text))),
        }
    }
}

/// Three parts of base64url, as RFC 7515 (compact serialization) has them.
fn is_token(text: &str) -> bool {
    let is_part = |part: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_=".contains(c);
        !part.is_empty() && part.chars().all(fine)
    };
    text.split('.').count() == 3 && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_a_form() {
        let key = "0123456789abcdef0123456789abcdef01234567";
        for text in [
            key.to_owned(),
            format!(" {key}\n"),
            format!("team-a-{key}_x"),
        ] {
            assert!(text.parse::<ApiKey>().is_ok(), "{text}");
        }
        assert!("eyJh.eyJz.c2ln-x_".parse::<ApiKey>().is_ok());
        let wrong = |text: &str| text.parse::<ApiKey>().unwrap_err();
        assert_eq!(wrong(" "), ParseApiKeyError::Empty);
        assert_eq!(wrong(&key[1..]), ParseApiKeyError::Short(39));
        assert_eq!(wrong(&format!("{key} x")), ParseApiKeyError::Character(' '));
        assert_eq!(wrong("a.b"), ParseApiKeyError::Character('.'));
    }
}
