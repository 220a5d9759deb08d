//! Jobs, attempts, and the names derived from them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest id a queue may give a job, in bytes.
pub const MAX_ID: usize = 128;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text is empty.
    #[error("an empty {what}")]
    Empty {
        /// The kind of id that was expected.
        what: &'static str,
    },
    /// The text is longer than [`MAX_ID`].
    #[error("{what} of {len} bytes is longer than {MAX_ID}")]
    TooLong {
        /// The kind of id that was expected.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// The text holds a character that no id has.
    #[error("{what} `{text}` holds {found:?}")]
    Character {
        /// The kind of id that was expected.
        what: &'static str,
        /// The text as given.
        text: String,
        /// The first offending character.
        found: char,
    },
}

fn check(what: &'static str, text: &str, extra: &str) -> Result<(), ParseIdError> {
    if text.is_empty() {
        return Err(ParseIdError::Empty { what });
    }
    if text.len() > MAX_ID {
        return Err(ParseIdError::TooLong {
            what,
            len: text.len(),
        });
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || extra.contains(*c));
    match text.chars().find(odd) {
        Some(found) => Err(ParseIdError::Character {
            what,
            text: text.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check($what, text, $extra).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                check($what, &text, $extra).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// One job of a queue, for as long as the queue remembers it.
    ///
    /// Backends choose the spelling: ours are short words, W&B's are base64.
    JobId,
    "job id",
    "-_=+/.:"
);
id!(
    /// The name of a queue.
    QueueName,
    "queue name",
    "-_. "
);
id!(
    /// Who holds a lease: one agent process on one host.
    WorkerName,
    "worker name",
    "-_.@:"
);

/// One attempt at a job: what a run is named after.
///
/// A lease that is taken over after a crash keeps its attempt, so the next holder
/// finds the run that exists already. Only a requeue starts a new attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunKey {
    /// The job.
    pub job: JobId,
    /// How often the job was put back before; the first attempt is 0.
    pub attempt: u32,
}

impl RunKey {
    /// The key of one attempt at `job`.
    pub fn new(job: JobId, attempt: u32) -> Self {
        Self { job, attempt }
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.job, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_backend_are_ids() {
        for text in ["k3x9-2p", "UnVuUXVldWVJdGVtOjE="] {
            assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_could_escape_a_name_is_refused() {
        assert!(matches!(
            "".parse::<JobId>(),
            Err(ParseIdError::Empty { .. })
        ));
        assert!(matches!(
            "a b".parse::<JobId>(),
            Err(ParseIdError::Character { found: ' ', .. })
        ));
        assert!(matches!(
            "a\n".parse::<QueueName>(),
            Err(ParseIdError::Character { .. })
        ));
        let long = "x".repeat(MAX_ID + 1);
        assert!(matches!(
            long.parse::<WorkerName>(),
            Err(ParseIdError::TooLong { .. })
        ));
    }

    #[test]
    fn an_invalid_id_does_not_deserialize() {
        assert!(serde_json::from_str::<JobId>("\"\"").is_err());
    }
}
