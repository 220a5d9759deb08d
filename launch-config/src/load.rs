//! From files and text to checked values, with every problem in one report.
//!
//! YAML is read as the Python agent reads it (1.1, by `PyYAML`'s rules), with the place
//! of every key and value; the private module `yaml` says how, and why it stands where
//! `serde_yaml` stood. JSON is judged by JSON's rules, which are stricter.

mod helm;
mod report;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use self::helm::helm_values;
pub use self::report::{Problem, ProblemKind, Report, Severity};
use crate::agent::{AgentConfig, Layers};
use crate::fields::Problems;
use crate::spec::RunSpec;
use crate::yaml::{self, Place, Spans};

/// Files and texts larger than this are refused before they are parsed, in bytes.
pub const MAX_FILE: u64 = 1 << 20;

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
    /// The file is not text in UTF-8.
    #[error("`{}` is not UTF-8 text: byte {offset} does not belong there", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The offset of the first wrong byte, from 0.
        offset: usize,
    },
    /// The content has problems.
    #[error("{0}")]
    Invalid(Report),
}

/// Reads a file as text, refusing what is too large; it never reads more than that.
///
/// # Errors
/// [`LoadError::Io`], [`LoadError::TooLarge`], [`LoadError::NotUtf8`].
pub fn read_text(path: &Path) -> Result<String, LoadError> {
    let file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    let size = length.max(bytes.len() as u64);
    let path = path.to_owned();
    if size > MAX_FILE {
        return Err(LoadError::TooLarge { path, size });
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        LoadError::NotUtf8 { path, offset }
    })
}

/// Reads the agent file.
///
/// # Errors
/// [`LoadError`], with every problem of the file in [`LoadError::Invalid`].
pub fn agent_file(path: &Path) -> Result<Checked<AgentConfig>, LoadError> {
    agent_text(&path.display().to_string(), &read_text(path)?).map_err(LoadError::Invalid)
}

/// Reads the text of an agent file; `origin` names it in messages. [`Layers`] reads it
/// together with environment and flags.
///
/// # Errors
/// A [`Report`] of every problem.
pub fn agent_text(origin: &str, text: &str) -> Result<Checked<AgentConfig>, Report> {
    let resolved = Layers::new().with_file(origin, text).resolve()?;
    Ok(Checked {
        value: resolved.value.config,
        warnings: resolved.warnings,
    })
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
    judge(origin, "", value, &Spans::default(), RunSpec::read)
}

/// Parses YAML or JSON text to a mapping without looking at its keys.
///
/// # Errors
/// A [`Report`] with the place of the first syntax error.
pub fn mapping_text(origin: &str, text: &str) -> Result<Value, Report> {
    let (value, spans) = parse(origin, text)?;
    if value.is_object() || value.is_null() {
        return Ok(value);
    }
    let found = crate::fields::kind(&value);
    let message = format!("expected a mapping, found {found}");
    let problem = Problem::new(ProblemKind::Type, "", message);
    Err(Report::new(origin, text, vec![problem], &spans))
}

/// Shows a value as YAML, for people, and so that YAML 1.1 and 1.2 read the same value.
pub fn to_yaml(value: &Value) -> String {
    yaml::to_yaml(value)
}

/// Text that starts as JSON and does not come from a YAML file is judged as JSON, whose
/// rules are stricter: `{"a": }` is a mistake, and in YAML it is not.
pub(crate) fn parse(origin: &str, text: &str) -> Result<(Value, Spans), Report> {
    let is_yaml = [".yaml", ".yml"].iter().any(|end| origin.ends_with(end));
    let read = if !is_yaml && text.trim_start().starts_with('{') {
        json(text)
    } else {
        yaml::parse(text).map(|document| (document.value, document.spans))
    };
    read.map_err(|problem| Report::new(origin, text, vec![problem], &Spans::default()))
}

/// The places come from reading the text as YAML; what little of JSON is no YAML goes
/// without them.
fn json(text: &str) -> Result<(Value, Spans), Problem> {
    yaml::check_size(text)?;
    let value = serde_json::from_str(text).map_err(|error| json_problem(&error))?;
    let spans = yaml::parse(text).map(|document| document.spans);
    Ok((value, spans.unwrap_or_default()))
}

fn json_problem(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    // The place stands in front of the quoted line already.
    let message = message.split(" at line ").next().unwrap_or_default();
    let (line, column) = (error.line(), error.column());
    Problem::new(ProblemKind::Syntax, "", message).at(Some(Place { line, column }))
}

fn checked<T>(
    origin: &str,
    text: &str,
    read: fn(&Value, &mut Problems) -> T,
) -> Result<Checked<T>, Report> {
    let (value, spans) = parse(origin, text)?;
    judge(origin, text, &value, &spans, read)
}

fn judge<T>(
    origin: &str,
    text: &str,
    value: &Value,
    spans: &Spans,
    read: fn(&Value, &mut Problems) -> T,
) -> Result<Checked<T>, Report> {
    let mut problems = Problems::default();
    let value = read(value, &mut problems);
    let warnings = Report::new(origin, text, problems.0, spans);
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
        assert!(shown.contains(":4:11: error: `max_jobs`: expected a whole number, found a text"));
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
