//! What is wrong with a document: every problem, each with its place.

use std::fmt;

use serde::Serialize;

use crate::agent::Origin;
use crate::yaml::{Place, Spans};

/// Lines longer than this are cut where they are quoted, in characters.
const QUOTED: usize = 120;

/// Whether a problem makes the document unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It does not.
    Warning,
}

/// What sort of problem it is, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text is not YAML or JSON, or not as configuration uses it.
    Syntax,
    /// The key is not known.
    UnknownKey,
    /// The value has another type than expected.
    Type,
    /// The value is of the right type, and cannot be used.
    Value,
    /// A key that is needed is missing.
    Missing,
    /// Keys do not fit each other.
    Conflict,
    /// The address is of a registry that is not known, so that no login is made for it.
    UnknownRegistry,
    /// The name is reserved for what this version does not do.
    NotYet,
    /// The value is never used.
    Unused,
}

/// One problem of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The key path: `builder.type`, `queues[1]`; empty for the whole document.
    pub path: String,
    /// Where the value came from, if not from the document: a variable or a flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
    /// The line, from 1, if known.
    pub line: Option<usize>,
    /// The column, from 1, if known.
    pub column: Option<usize>,
    /// What sort of problem it is.
    pub kind: ProblemKind,
    /// What is wrong and what was expected.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether it makes the document unusable.
    pub severity: Severity,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            origin: None,
            line: None,
            column: None,
            kind,
            message: message.into(),
            hint: None,
            severity: Severity::Error,
        }
    }

    pub(crate) fn warning(kind: ProblemKind, path: &str, message: impl Into<String>) -> Self {
        let severity = Severity::Warning;
        Self {
            severity,
            ..Self::new(kind, path, message)
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn at(mut self, place: Option<Place>) -> Self {
        self.line = place.map(|place| place.line);
        self.column = place.map(|place| place.column);
        self
    }

    /// The same, seen from one level up: of the entry `step`, `[2]` or a key.
    pub(crate) fn below(mut self, step: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{step}{dot}{}", self.path);
        self
    }

    /// Where a problem stands: an unknown key at the key, anything else at the value, and
    /// what is missing at the key it should stand under.
    fn locate(&self, spans: &Spans) -> Option<Place> {
        let path = self.path.as_str();
        if self.kind == ProblemKind::UnknownKey {
            return spans.key(path);
        }
        spans.value(path).or_else(|| spans.above(path))
    }
}

/// All problems of one document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Report {
    /// The file, or what else the text came from.
    pub origin: String,
    /// The lines of the document, for quoting.
    text: String,
    /// The problems, in the order of the document; those of variables and flags first.
    pub problems: Vec<Problem>,
}

impl Report {
    /// `spans` places the problems that know no more than their path.
    pub(crate) fn new(origin: &str, text: &str, mut problems: Vec<Problem>, spans: &Spans) -> Self {
        let unplaced = |problem: &&mut Problem| problem.line.is_none() && problem.origin.is_none();
        for problem in problems.iter_mut().filter(unplaced) {
            let place = problem.locate(spans);
            problem.line = place.map(|place| place.line);
            problem.column = place.map(|place| place.column);
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

    fn show(&self, problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &problem.origin {
            Some(origin) => write!(f, "{origin}")?,
            None => f.write_str(&self.origin)?,
        }
        let place = problem.line.zip(problem.column);
        if let Some((line, column)) = place {
            write!(f, ":{line}:{column}")?;
        }
        let word = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {word}: ")?;
        // A problem of the text is where it is; the path would only repeat it.
        if !problem.path.is_empty() && problem.kind != ProblemKind::Syntax {
            write!(f, "`{}`: ", problem.path)?;
        }
        f.write_str(&problem.message)?;
        if let Some((line, column)) = place {
            self.quote(line, column, f)?;
        }
        let hint = problem.hint.as_ref();
        hint.map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }

    fn quote(&self, line: usize, column: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.text.lines().nth(line - 1) else {
            return Ok(());
        };
        // One column a character: tabs would shift the caret, and control characters
        // are not for terminals.
        let visible = |c: char| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            c => c,
        };
        let shown: String = text.chars().take(QUOTED).map(visible).collect();
        write!(f, "\n  {line:>4} | {shown}")?;
        if column <= QUOTED {
            write!(f, "\n       | {:>column$}", "^")?;
        }
        Ok(())
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
