//! `config`: check and show the agent's configuration.

mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use launch_config::agent::variables::Variables;
use launch_config::agent::{Flags, Resolved, schema};
use launch_config::load::{self, Problem, Report};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::printer::Printer;
use crate::settings::{self, variable};

/// Check or show the agent's configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Say everything that is wrong with a file and with the environment
    Check(Check),
    /// Print every value in force and where it came from
    Show {
        /// The file [default: ~/.config/wandb/launch-config.yaml]
        #[arg(short = 'c', long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the JSON Schema of the file, for editors
    Schema,
}

/// What is checked.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file [default: ~/.config/wandb/launch-config.yaml]
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the agent file inside these values of the Helm chart instead
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    helm: Option<PathBuf>,
    /// Count warnings as errors
    #[arg(long)]
    strict: bool,
}

impl Config {
    pub(crate) fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        match self {
            Self::Check(check) => check.run(printer),
            Self::Show { config } => show::run(config.as_deref(), global, printer),
            Self::Schema => {
                let schema = schema::agent_file();
                let text = serde_json::to_string_pretty(&schema);
                printer.answer(&schema, || text.unwrap_or_default())?;
                Ok(Exit::Done)
            }
        }
    }
}

/// What was found in one document.
struct Finding {
    origin: String,
    report: Option<Report>,
}

impl Check {
    fn run(self, printer: &Printer) -> Result<Exit, Failure> {
        let findings = match &self.helm {
            Some(values) => vec![helm(values)?],
            None => vec![file(self.config.as_deref())?, environment()],
        };
        let reports = || {
            findings
                .iter()
                .filter_map(|finding| finding.report.as_ref())
        };
        let bad =
            |report: &Report| report.has_errors() || self.strict && !report.problems.is_empty();
        let exit = if reports().any(bad) {
            Exit::Usage
        } else {
            Exit::Done
        };
        if printer.is_json() {
            let problems: Vec<Value> = reports().flat_map(problems).collect();
            let answer = json!({
                "ok": exit == Exit::Done,
                "file": findings[0].origin,
                "problems": problems,
            });
            printer.answer(&answer, String::new)?;
            return Ok(exit);
        }
        let told: Vec<String> = reports().map(ToString::to_string).collect();
        let told = told.join("\n");
        if exit != Exit::Done {
            return Err(Failure::usage(told));
        }
        let name = &findings[0].origin;
        let answer = if told.is_empty() {
            format!("{name}: ok")
        } else {
            format!("{told}\n{name}: ok, with warnings")
        };
        printer.answer(&Value::Null, || answer)?;
        Ok(Exit::Done)
    }
}

fn problems(report: &Report) -> impl Iterator<Item = Value> {
    report.problems.iter().map(|problem: &Problem| {
        let mut value = serde_json::to_value(problem).unwrap_or_default();
        let own = problem.origin.as_ref().map(ToString::to_string);
        value["origin"] = json!(own.as_ref().unwrap_or(&report.origin));
        value
    })
}

/// The file, laid under the environment as the agent would.
fn file(given: Option<&Path>) -> Result<Finding, Failure> {
    let named = |file: Option<&Path>| match file {
        Some(file) => file.display().to_string(),
        None => "no file: built-in values".to_owned(),
    };
    match settings::read(given, &Flags::new(), variable) {
        Ok(read) => Ok(Finding {
            origin: named(read.file.as_deref()),
            report: together(&read.checked.value, read.checked.warnings),
        }),
        Err(settings::ReadError::Invalid(report)) => Ok(Finding {
            origin: report.origin.clone(),
            report: Some(report),
        }),
        Err(settings::ReadError::Unreadable(error)) => Err(error.into()),
    }
}

/// What an agent would start with: beside the warnings, what makes no sense together.
fn together(resolved: &Resolved, mut warnings: Report) -> Option<Report> {
    if let Err(wrong) = resolved.setup() {
        warnings.problems.extend(wrong.problems);
    }
    kept(warnings)
}

fn environment() -> Finding {
    Finding {
        origin: "environment".to_owned(),
        report: Variables::read(variable).err(),
    }
}

fn helm(values: &Path) -> Result<Finding, Failure> {
    let text = load::read_text(values)?;
    let origin = values.display().to_string();
    let report = match load::helm_values(&origin, &text) {
        Ok(checked) => kept(checked.warnings),
        Err(report) => Some(report),
    };
    Ok(Finding { origin, report })
}

fn kept(report: Report) -> Option<Report> {
    (!report.problems.is_empty()).then_some(report)
}
