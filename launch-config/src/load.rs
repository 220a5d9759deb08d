//! From files and text to checked values, with every problem in one report.
//!
//! This is the only module that touches YAML. Users name `serde_yaml`; the original
//! is archived, so the dependency under that name is its maintained continuation.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::agent::AgentConfig;
use crate::fields::Problems;
use crate::spec::RunSpec;

/// Files larger than this are refused before they are parsed, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

/// Whether a problem makes the document unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// One problem of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The key path: `builder.type`, `queues[1]`; empty for the whole document.
    pub path: String,
    /// The line, from 1, if known.
    pub line: Option<usize>,
    /// The column, from 1, if known.
    pub column: Option<usize>,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether it makes the document unusable.
    pub severity: Severity,
}

/// All problems of one document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Report {
    /// The file, or what else the text came from.
    pub origin: String,
    /// The lines of the document, for quoting.
    text: String,
    /// The problems, in the order of the document.
    pub problems: Vec<Problem>,
}

impl Report {
    fn new(origin: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        for problem in problems.iter_mut().filter(|problem| problem.line.is_none()) {
            (problem.line, problem.column) = locate(text, &problem.path).unzip();
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        Self {
            origin: origin.to_owned(),
            text: text.to_owned(),
            problems,
        }
    }

    /// Whether a problem makes the document unusable.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            self.show(problem, f)?;
        }
        Ok(())
    }
}

impl Report {
    fn show(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let (Some(line), Some(column)) = (problem.line, problem.column) {
            write!(f, ":{line}:{column}")?;
        }
        let word = if problem.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        write!(f, ": {word}: ")?;
        if !problem.path.is_empty() {
            write!(f, "`{}`: ", problem.path)?;
        }
        f.write_str(&problem.message)?;
        if let (Some(line), Some(column)) = (problem.line, problem.column) {
            self.quote(line, column, f)?;
        }
        problem
            .hint
            .as_ref()
            .map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }

    fn quote(&self, line: usize, column: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.text.lines().nth(line - 1) else {
            return Ok(());
        };
        let shown: String = text.chars().take(120).collect();
        write!(f, "\n  {line:>4} | {shown}")?;
        if column <= 120 {
            write!(f, "\n       | {:>column$}", "^")?;
        }
        Ok(())
    }
}

/// Where the key path stands in the text: each key is looked for below the one before.
fn locate(text: &str, path: &str) -> Option<(usize, usize)> {
    let mut found = None;
    let mut lines = text.lines().enumerate();
    for key in path.split('.').filter(|key| !key.is_empty()) {
        let key = key.split('[').next().unwrap_or(key);
        found = lines.find_map(|(index, line)| {
            let trimmed = line
                .trim_start()
                .trim_start_matches("- ")
                .trim_start_matches(['{', ' ']);
            let plain = trimmed.trim_start_matches(['"', '\'']);
            let rest = plain.strip_prefix(key)?.trim_start_matches(['"', '\'']);
            rest.trim_start()
                .starts_with(':')
                .then(|| (index + 1, line.len() - trimmed.len() + 1))
        });
        found?;
    }
    found
}

/// A value with the warnings that came with it.
#[derive(Debug, Clone)]
pub struct Checked<T> {
    /// The value.
    pub value: T,
    /// What is odd but usable.
    pub warnings: Report,
}

/// Why a file could not be read as configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the configuration")]
    Io(#[from] std::io::Error),
    /// The file is too large to be configuration.
    #[error("`{}` has {size} bytes; a configuration has at most {MAX_FILE}", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The content has problems.
    #[error("{0}")]
    Invalid(Report),
}

/// Reads a file as text, refusing what is too large.
///
/// # Errors
/// [`LoadError::Io`], also for text that is not UTF-8; [`LoadError::TooLarge`].
pub fn read_text(path: &Path) -> Result<String, LoadError> {
    let size = fs_err::metadata(path)?.len();
    if size > MAX_FILE {
        return Err(LoadError::TooLarge {
            path: path.to_owned(),
            size,
        });
    }
    Ok(fs_err::read_to_string(path)?)
}

/// Reads the agent file.
///
/// # Errors
/// [`LoadError`], with every problem of the file in [`LoadError::Invalid`].
pub fn agent_file(path: &Path) -> Result<Checked<AgentConfig>, LoadError> {
    agent_text(&path.display().to_string(), &read_text(path)?).map_err(LoadError::Invalid)
}

/// Reads the text of an agent file; `origin` names it in messages.
///
/// # Errors
/// A [`Report`] of every problem.
pub fn agent_text(origin: &str, text: &str) -> Result<Checked<AgentConfig>, Report> {
    checked(origin, text, AgentConfig::read)
}

/// Reads a run spec from YAML or JSON text (JSON is YAML).
///
/// # Errors
/// A [`Report`] of every problem.
pub fn spec_text(origin: &str, text: &str) -> Result<Checked<RunSpec>, Report> {
    checked(origin, text, RunSpec::read)
}

/// Reads a run spec as a queue carries it.
///
/// # Errors
/// A [`Report`] of every problem.
pub fn spec_value(origin: &str, value: &Value) -> Result<Checked<RunSpec>, Report> {
    judge(origin, "", value, RunSpec::read)
}

/// Parses YAML or JSON text to a mapping without looking at its keys.
///
/// # Errors
/// A [`Report`] with the place of the first syntax error.
pub fn mapping_text(origin: &str, text: &str) -> Result<Value, Report> {
    let value = parse(origin, text)?;
    if value.is_object() || value.is_null() {
        return Ok(value);
    }
    let mut problems = Problems::default();
    let found = crate::fields::kind(&value);
    problems.error("", format!("expected a mapping, found {found}"), None);
    Err(Report::new(origin, text, problems.0))
}

/// Shows a value as YAML, for people.
pub fn to_yaml(value: &Value) -> String {
    // Values made of JSON can all be written; the Debug form is better than a panic.
    serde_yaml::to_string(value).unwrap_or_else(|_| format!("{value:?}"))
}

/// Text that starts as JSON and does not come from a YAML file is judged as JSON, whose
/// rules are stricter: `{"a": }` is a mistake, and in YAML it is not.
fn parse(origin: &str, text: &str) -> Result<Value, Report> {
    let is_yaml = [".yaml", ".yml"].iter().any(|end| origin.ends_with(end));
    if !is_yaml && text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            let place = Some((error.line(), error.column()));
            syntax_error(origin, text, place, &error.to_string())
        });
    }
    serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map(|at| (at.line(), at.column()));
        syntax_error(origin, text, place, &error.to_string())
    })
}

fn syntax_error(origin: &str, text: &str, place: Option<(usize, usize)>, message: &str) -> Report {
    // The place stands in front of the quoted line already.
    let message = message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .to_owned();
    let (line, column) = place.unzip();
    let (path, hint, severity) = (String::new(), None, Severity::Error);
    let problem = Problem {
        path,
        line,
        column,
        message,
        hint,
        severity,
    };
    Report::new(origin, text, vec![problem])
}

fn checked<T>(
    origin: &str,
    text: &str,
    read: fn(&Value, &mut Problems) -> T,
) -> Result<Checked<T>, Report> {
    let value = parse(origin, text)?;
    judge(origin, text, &value, read)
}

fn judge<T>(
    origin: &str,
    text: &str,
    value: &Value,
    read: fn(&Value, &mut Problems) -> T,
) -> Result<Checked<T>, Report> {
    let mut problems = Problems::default();
    let value = read(value, &mut problems);
    let warnings = Report::new(origin, text, problems.0);
    if warnings.has_errors() {
        Err(warnings)
    } else {
        Ok(Checked { value, warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_in_one_report_with_its_place() {
        let text = "queus: [a]\nbuilder:\n  typ: docker\nmax_jobs: many\n";
        let report = agent_text("launch-config.yaml", text).unwrap_err();
        let shown = report.to_string();
        assert_eq!(report.problems.len(), 3, "{shown}");
        assert!(shown.contains("launch-config.yaml:1:1: error: `queus`: unknown key `queus`"));
        assert!(shown.contains("hint: did you mean `queues`?"));
        assert!(
            shown.contains("   3 |   typ: docker\n       |   ^"),
            "{shown}"
        );
        assert!(shown.contains(":4:1: error: `max_jobs`: expected a whole number, found a text"));
    }

    #[test]
    fn a_syntax_error_is_quoted() {
        let report = spec_text("spec.json", "{\"uri\": \"a\",\n \"resource\": [}\n").unwrap_err();
        let shown = report.to_string();
        assert!(shown.starts_with("spec.json:2:"), "{shown}");
        assert!(shown.contains("2 |  \"resource\": [}"), "{shown}");
    }

    #[test]
    fn a_document_of_another_kind_is_refused() {
        assert!(agent_text("f", "just words").is_err());
        assert!(agent_text("f", "").is_ok(), "an empty file sets nothing");
    }
}
