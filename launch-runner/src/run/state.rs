//! What happens to a run, and how it ends.

use bytes::Bytes;
use launch_config::outcome::Reason;
use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunState {
    /// The backend knows it and has not started it.
    Starting,
    /// Its program runs.
    Running,
    /// It was asked to stop.
    Stopping,
    /// It has ended. Final.
    Ended,
}

impl RunState {
    /// Whether a run may go from `self` to `next`. The only list of legal moves.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Starting => next != Self::Starting,
            Self::Running => matches!(next, Self::Stopping | Self::Ended),
            Self::Stopping => next == Self::Ended,
            Self::Ended => false,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunEnd {
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
    /// A sentence about it; empty on success.
    pub message: String,
}

impl RunEnd {
    /// An end with a sentence about it.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// The end of a program that left `code`, told as a shell tells it: codes above 128
    /// are signals.
    ///
    /// ```
    /// use launch_runner::run::RunEnd;
    ///
    /// assert_eq!(RunEnd::of_exit_code(3).message, "the program ended with code 3");
    /// assert_eq!(
    ///     RunEnd::of_exit_code(137).message,
    ///     "the program was ended by signal 9 (SIGKILL)"
    /// );
    /// ```
    pub fn of_exit_code(code: i32) -> Self {
        let message = match (code, signal_name(code - 128)) {
            (0, _) => String::new(),
            (_, Some(name)) => {
                format!("the program was ended by signal {} ({name})", code - 128)
            }
            (_, None) => format!("the program ended with code {code}"),
        };
        Self::new(Reason::of_exit_code(code), message)
    }

    /// The end of a run that somebody cancelled.
    pub fn cancelled() -> Self {
        Self::new(Reason::Cancelled, "the run was cancelled")
    }

    /// The end of a run of which nobody knows how it ended; `why` says what is missing.
    pub fn lost(why: impl Into<String>) -> Self {
        Self::new(Reason::Lost, why)
    }
}

/// Names of the signals that end programs. Numbers that differ between systems (above
/// 15, SIGBUS, SIGUSR) are left out: without a name, the code is told as it is.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}

/// Something that happened to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEvent {
    /// It moved to another state.
    State(RunState),
    /// Something a person should know: the image is slow to pull, memory is short.
    Warning(String),
    /// It wrote output (stdout and stderr as they came). Bytes as written: cut anywhere,
    /// and not always UTF-8.
    Log(Bytes),
    /// It ended. The last event, exactly once.
    Ended(RunEnd),
}
