//! Git references: branches, tags and commits by the names git lets them have.

use std::fmt;
use std::str::FromStr;

/// Why a text cannot be a branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReferenceError {
    /// It starts like an option of git.
    #[error("git reference `{0}` starts with a dash")]
    Option(String),
    /// git allows no such name.
    #[error("git reference {0:?} is not a name git allows")]
    Name(String),
}

/// A branch, a tag or a commit.
///
/// Holds what `git check-ref-format` allows for branches, so expressions such as
/// `HEAD~1` are not references: they mean another commit on each machine.
///
/// ```
/// use launch_config::source::GitReference;
///
/// let reference: GitReference = "feature/x".parse()?;
/// assert_eq!(reference.as_str(), "feature/x");
/// assert!("a..b".parse::<GitReference>().is_err());
/// # Ok::<(), launch_config::source::ParseReferenceError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GitReference(String);

impl GitReference {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GitReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GitReference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with('-') {
            return Err(ParseReferenceError::Option(text.to_owned()));
        }
        let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        let component = |part: &str| {
            let ends = [".", ".lock"].iter().any(|end| part.ends_with(end));
            !part.is_empty() && !part.starts_with('.') && !ends
        };
        let joined = ["..", "@{"].iter().any(|pair| text.contains(pair));
        if joined || text == "@" || text.contains(odd) || !text.split('/').all(component) {
            return Err(ParseReferenceError::Name(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn branches_tags_and_commits_are_references() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for text in ["main", "feature/x", "v1.2", "refs/pull/7/head", commit, "é"] {
            assert_eq!(text.parse::<GitReference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn options_and_expressions_are_not() {
        for text in [
            "", "-x", "--orphan", "HEAD~1", "a..b", "a b", "a@{1}", "@", "v1^{}", "a:b", "*", "a/",
            "/a", "a//b", ".a", "a/.b", "a.", "a.lock", "a\nb", "a\\b",
        ] {
            assert!(text.parse::<GitReference>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_and_display_agree(text in "[a-z./@{~-]{0,12}|.{0,12}") {
            if let Ok(reference) = text.parse::<GitReference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
