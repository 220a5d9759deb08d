//! Stages of a job, and why it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::ImageRef;

/// The stages every job passes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stage {
    /// Taking the job from the queue.
    Lease,
    /// Getting the source.
    Fetch,
    /// Checking the spec, deciding what to build, hashing the context.
    Plan,
    /// Building the image.
    Build,
    /// Pushing the image.
    Push,
    /// Handing the run to its backend.
    Submit,
    /// Watching the run.
    Watch,
    /// Reporting the outcome.
    Finish,
}

impl Stage {
    /// The name used in logs, tables and stored reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Fetch => "fetch",
            Self::Plan => "plan",
            Self::Build => "build",
            Self::Push => "push",
            Self::Submit => "submit",
            Self::Watch => "watch",
            Self::Finish => "finish",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a job ended. Stable: people and scripts match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The program ended with code 0.
    Succeeded,
    /// The program ended with another code; 128 + n for signal n.
    Failed {
        /// The exit code, 1–255.
        code: i32,
    },
    /// Somebody asked for it to stop.
    Cancelled,
    /// A deadline passed.
    TimedOut,
    /// The backend took the machine away; the job may be put back.
    Preempted,
    /// The run vanished, and nobody knows how it ended.
    Lost,
    /// The spec is invalid, or asks for what policy does not allow.
    Refused,
    /// The source could not be fetched.
    SourceFailed,
    /// The image could not be built.
    BuildFailed,
    /// The image could not be pushed.
    PushFailed,
    /// The backend would not take the run.
    SubmitFailed,
    /// The agent or its surroundings failed in a way that is not the job's doing.
    AgentFailed,
}

impl Reason {
    /// The word for this reason, without its details.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
            Self::Preempted => "preempted",
            Self::Lost => "lost",
            Self::Refused => "refused",
            Self::SourceFailed => "source-failed",
            Self::BuildFailed => "build-failed",
            Self::PushFailed => "push-failed",
            Self::SubmitFailed => "submit-failed",
            Self::AgentFailed => "agent-failed",
        }
    }

    /// The reason of a program that ended with `code`.
    pub fn of_exit_code(code: i32) -> Self {
        if code == 0 {
            Self::Succeeded
        } else {
            Self::Failed { code }
        }
    }

    /// Whether this is the good end.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Succeeded)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { code } => write!(f, "failed with code {code}"),
            other => f.write_str(other.as_str()),
        }
    }
}

/// How a job ended: the one thing a queue keeps of it for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outcome {
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// The stage in which it ended.
    pub stage: Stage,
    /// A sentence a person can act on; empty on success.
    #[serde(default)]
    pub message: String,
    /// What to try next, if we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The last lines of the log, oldest first.
    #[serde(default)]
    pub log_tail: Vec<String>,
    /// The image that ran: by digest if it came from a registry, by tag if it was built
    /// where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
}

impl Outcome {
    /// An outcome with nothing to add.
    pub fn new(reason: Reason, stage: Stage) -> Self {
        Self {
            reason,
            stage,
            message: String::new(),
            hint: None,
            log_tail: Vec::new(),
            image: None,
        }
    }

    /// Says what happened.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Says what to try.
    #[must_use]
    pub fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// Adds the last lines of the log.
    #[must_use]
    pub fn with_log_tail(mut self, lines: Vec<String>) -> Self {
        self.log_tail = lines;
        self
    }

    /// Names the image that ran.
    #[must_use]
    pub fn with_image(mut self, image: Option<ImageRef>) -> Self {
        self.image = image;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_reads_back_as_written() {
        let outcome = Outcome::new(Reason::Failed { code: 3 }, Stage::Watch)
            .with_message("`train.py` ended with code 3")
            .with_log_tail(vec!["boom".into()]);
        let text = serde_json::to_string(&outcome).unwrap();
        assert!(
            text.contains(r#""reason":"failed","code":3,"stage":"watch""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Outcome>(&text).unwrap(), outcome);
    }

    #[test]
    fn exit_codes_have_reasons() {
        assert!(Reason::of_exit_code(0).is_success());
        assert_eq!(
            Reason::of_exit_code(137).to_string(),
            "failed with code 137"
        );
    }
}
