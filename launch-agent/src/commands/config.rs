//! `config`: check and show the agent's configuration.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use launch_config::load;
use serde_json::json;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::printer::Printer;
use crate::settings::{Settings, read_file, variable};

/// Check or show the agent's configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say everything that is wrong with a file
    Check {
        /// The file [default: ~/.config/wandb/launch-config.yaml]
        #[arg(short = 'c', long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print what is in force
    Show {
        /// The file [default: ~/.config/wandb/launch-config.yaml]
        #[arg(short = 'c', long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

impl Config {
    pub(crate) fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        match self {
            Self::Check { config } => check(config.as_deref(), printer),
            Self::Show { config } => show(config.as_deref(), global, printer),
        }
    }
}

fn check(given: Option<&Path>, printer: &Printer) -> Result<Exit, Failure> {
    let checked = read_file(given, variable);
    let (file, warnings) = match checked {
        Ok((file, checked)) => (file, checked.warnings),
        Err(failure) if printer.is_json() => {
            printer.answer(
                &json!({"ok": false, "problems": failure.chain}),
                String::new,
            )?;
            return Ok(Exit::Usage);
        }
        Err(failure) => return Err(failure),
    };
    let name = file.map_or("no file: built-in values".to_owned(), |file| {
        file.display().to_string()
    });
    let lines = warnings.to_string();
    let answer = json!({"ok": true, "file": name, "warnings": lines.lines().collect::<Vec<_>>()});
    printer.answer(&answer, || {
        if lines.is_empty() {
            format!("{name}: ok")
        } else {
            format!("{lines}\n{name}: ok, with warnings")
        }
    })?;
    Ok(Exit::Done)
}

fn show(given: Option<&Path>, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
    let settings = Settings::resolve(global, given)?;
    let mut config = settings.config.clone();
    config.queues = settings.queues();
    config.max_jobs = Some(config.max_jobs.unwrap_or(1));
    let answer = json!({
        "file": settings.file,
        "state_dir": settings.state.path(),
        "config": config,
    });
    printer.answer(&answer, || load::to_yaml(&answer))?;
    Ok(Exit::Done)
}
