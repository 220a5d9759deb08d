//! Why a build failed: of itself, or of something around it.

use bollard::errors::Error as EngineError;

use super::engine::unavailable;
use crate::error::Error;

pub(super) enum Failed {
    /// The build itself, in the engine's words.
    Said(String),
    /// Something around it.
    Otherwise(Error),
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::DockerStreamError { error } => Self::Said(sentence(&error)),
            EngineError::DockerResponseServerError { message, .. } => {
                Self::Said(sentence(&message))
            }
            other => Self::Otherwise(unavailable(other)),
        }
    }
}

/// The last line says what is wrong; whatever comes before is output of the step.
pub(super) fn sentence(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("nothing");
    line.trim_end_matches('.').chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_an_error_is_its_sentence() {
        assert_eq!(
            sentence("a\nCOPY failed: no such file.\n\n"),
            "COPY failed: no such file"
        );
        assert_eq!(sentence(""), "nothing");
    }
}
