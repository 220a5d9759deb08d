//! Entry points: a program and its first arguments.

use std::fmt;
use std::str::FromStr;

/// Why a text or a list is not an entry point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseEntryPointError {
    /// There is no program.
    #[error("an entry point without a word")]
    Empty,
    /// A quote is not closed.
    #[error("entry point `{0}` has an open quote")]
    OpenQuote(String),
}

/// A program and its first arguments; never empty.
///
/// A text is split as a POSIX shell would, without expanding anything, and displays
/// quoted so that it splits back.
///
/// ```
/// use launch_config::job::EntryPoint;
///
/// let entry: EntryPoint = "python 'my train.py'".parse()?;
/// assert_eq!(entry.words(), ["python", "my train.py"]);
/// # Ok::<(), launch_config::job::ParseEntryPointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EntryPoint(Vec<String>);

impl EntryPoint {
    /// The entry point of these words.
    ///
    /// # Errors
    /// [`ParseEntryPointError::Empty`] if there is none.
    pub fn new(words: Vec<String>) -> Result<Self, ParseEntryPointError> {
        if words.is_empty() {
            return Err(ParseEntryPointError::Empty);
        }
        Ok(Self(words))
    }

    /// The words.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// The words.
    pub fn into_words(self) -> Vec<String> {
        self.0
    }

    /// The file it starts, where a job says so: its last word.
    pub fn job_file(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The file it starts, where a submitter says so: the first word if that is a script,
    /// else the second.
    pub fn override_file(&self) -> Option<&str> {
        let first = &self.0[0];
        let script = [".py", ".sh"].iter().any(|end| first.ends_with(end));
        let file = if script { Some(first) } else { self.0.get(1) };
        file.map(String::as_str)
    }
}

impl FromStr for EntryPoint {
    type Err = ParseEntryPointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(split(text).ok_or_else(|| ParseEntryPointError::OpenQuote(text.to_owned()))?)
    }
}

/// Splits as a shell would; `None` for an open quote.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (Some(_), '\\') if !chars.peek().is_some_and(|c| "\"\\$`".contains(*c)) => {
                word.get_or_insert_default().push('\\');
            }
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

impl fmt::Display for EntryPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            let gap = if index > 0 { " " } else { "" };
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                write!(f, "{gap}{word}")?;
            } else {
                write!(f, "{gap}'{}'", word.replace('\'', "'\\''"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_split_as_a_shell_would() {
        let entry: EntryPoint = r#"python 'a b'.py --x="c \d\"" e\ f ''"#.parse().unwrap();
        assert_eq!(
            entry.words(),
            ["python", "a b.py", r#"--x=c \d""#, "e f", ""]
        );
        assert!("python 'a".parse::<EntryPoint>().is_err());
        assert!("  ".parse::<EntryPoint>().is_err());
    }

    #[test]
    fn files_are_where_the_python_agent_looks_for_them() {
        let entry = |text: &str| text.parse::<EntryPoint>().unwrap();
        assert_eq!(entry("python -m pkg.train").job_file(), "pkg.train");
        assert_eq!(entry("train.py --x").override_file(), Some("train.py"));
        assert_eq!(entry("python train.py").override_file(), Some("train.py"));
        assert_eq!(entry("true").override_file(), None);
    }

    proptest! {
        #[test]
        fn display_splits_back(words in proptest::collection::vec(".{0,8}|['\"\\\\ ]{0,4}", 1..4)) {
            let entry = EntryPoint::new(words).unwrap();
            prop_assert_eq!(entry.to_string().parse(), Ok(entry));
        }

        #[test]
        fn no_text_panics(text in ".{0,30}|[a'\" \\\\]{0,12}") {
            let _ = text.parse::<EntryPoint>();
        }
    }
}
