//! The command line: what can be said, and how an answer becomes an exit code.
//!
//! Flags that `wandb launch` and `wandb launch-agent` have keep their names.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::{Global, LogFormat};
use crate::masking;
use crate::printer::Printer;
use crate::telemetry::{self, Traces};

const AFTER: &str = "Exit codes: 0 done, 1 the job failed, 2 usage or configuration, \
                     3 the agent or its surroundings failed";

/// Take a machine-learning job from a queue to a finished run.
#[derive(Debug, Parser)]
#[command(name = "launch-agent", version, after_help = AFTER, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Enqueue one job and see it through
    Launch(Box<commands::launch::Launch>),
    /// Poll queues and run their jobs until told to stop
    Run(commands::run::Run),
    /// Show what the running agents of this machine are at
    Status(commands::status::Status),
    /// Enqueue one job and print its id
    Submit(Box<commands::submit::Submit>),
    /// Make queues and look into them
    #[command(subcommand)]
    Queue(commands::queue::Queue),
    /// Hash or pack a build context
    #[command(subcommand)]
    Context(commands::context::Context),
    /// Build the image of a source
    Build(Box<commands::build::Build>),
    /// Check or show the agent's configuration
    #[command(subcommand)]
    Config(commands::config::Config),
    /// Say what is configured, what answers, and how to get what is missing
    Doctor(commands::doctor::Doctor),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// Runs the program: the whole of `main`.
pub fn main() -> ExitCode {
    let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
    masking::environment(std::env::vars_os().map(|(name, value)| (text(name), text(value))));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Nobody is left to tell if even this cannot be printed.
            let _ = error.print();
            return exit.into();
        }
    };
    let (is_agent, more, run) = match &cli.command {
        Command::Run(run) => (true, run.verbose_too, Some(run)),
        _ => (false, 0, None),
    };
    // The file is read for it only where no flag says it.
    let of_file = || run.and_then(commands::run::Run::log_format);
    let format = cli.global.log_format.or_else(of_file);
    let format = format.unwrap_or(LogFormat::Text);
    let traces = telemetry::init(&cli.global, format, is_agent, more);
    let printer = Printer::new(&cli.global);
    match execute(cli, &printer, traces) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

fn execute(cli: Cli, printer: &Printer, traces: Traces) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::doing("cannot start the runtime", &error))?;
    traces.run_on(runtime.handle());
    let exit = runtime.block_on(Box::pin(dispatch(cli, printer)));
    runtime.block_on(traces.end());
    // A blocking read that nobody waits for must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    exit
}

async fn dispatch(cli: Cli, printer: &Printer) -> Result<Exit, Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Launch(command) => command.run(global, printer).await,
        Command::Run(command) => command.run(global).await,
        Command::Status(command) => command.run(global, printer).await,
        Command::Submit(command) => command.run(global, printer).await,
        Command::Queue(command) => command.run(global, printer).await,
        Command::Context(command) => command.run(printer).await,
        Command::Build(command) => Box::pin(command.run(global, printer)).await,
        Command::Config(command) => command.run(global, printer),
        Command::Doctor(command) => Box::pin(command.run(global, printer)).await,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "launch-agent", &mut text);
            printer.bytes(&text)
        }
        Command::Man => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text)?;
            printer.bytes(&text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
