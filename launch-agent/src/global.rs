//! The flags that every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const HEADING: &str = "For every command";

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where queue, journal and logs are kept [default: ~/.local/state/launch]
    #[arg(help_heading = HEADING, long, global = true, env = "LAUNCH_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// How answers are printed
    #[arg(help_heading = HEADING, long, global = true, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
    /// Say nothing but answers and errors
    #[arg(help_heading = HEADING, long, global = true)]
    pub(crate) quiet: bool,
    /// Say more; twice for everything. `run` takes `-v` too, as `wandb launch-agent` does;
    /// for `launch`, `-v` sets a template variable, as for `wandb launch`
    #[arg(help_heading = HEADING, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How the log is written [default: what the agent file says to `run`, else text]
    #[arg(help_heading = HEADING, long, global = true, env = "LAUNCH_LOG_FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}
