//! Exit codes: one table, the same for every command.
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | done |
//! | 1 | the job failed, or ended otherwise than well |
//! | 2 | usage or configuration: nothing was started |
//! | 3 | the agent or its surroundings failed |

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The job failed, or ended otherwise than well.
    JobFailed = 1,
    /// Usage or configuration: nothing was started.
    Usage = 2,
    /// The agent or its surroundings failed.
    Surroundings = 3,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
