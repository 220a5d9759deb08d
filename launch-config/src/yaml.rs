//! YAML as the Python agent reads it, with the place of every key and value.
//!
//! The agent file is shared with the Python agent, which reads it with `PyYAML`'s
//! `safe_load`: YAML 1.1, where `on` is a boolean, `0777` is 511, `12:30` is 750 and
//! `1e3` is a text. `serde_yaml`, which users know, stood here before. It is archived;
//! neither its continuations nor any other crate resolves plain scalars by those rules,
//! and none of them says where a value stood. So the syntax is `saphyr-parser`'s, and
//! the rest is here:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`flow`] | what is between brackets counted, before the parser reads it |
//! | [`compose`] | events to a tree, within the limits below |
//! | [`scalar`] | what a plain scalar means |
//! | [`build`] | the tree to a JSON value: aliases, merges, keys |
//! | [`spans`] | where each key path stands |
//! | [`emit`] | a JSON value to YAML that every reader reads alike |
//!
//! Where `PyYAML` loses something silently or hands on what JSON cannot say, the text is
//! refused: duplicate keys, keys that are not texts, `.inf` and `.nan`, several
//! documents, integers beyond 64 bits. Timestamps stay the text they were written as,
//! and so do a lone `=` and a `<<` that is no key, over which `PyYAML` stumbles.

mod build;
mod compose;
mod emit;
mod flow;
mod scalar;
mod spans;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::load::{MAX_FILE, Problem, ProblemKind};

pub(crate) use emit::to_yaml;
pub(crate) use spans::{Place, Spans};

/// Nodes of one document, each alias counting as what it stands for.
const MAX_NODES: usize = 10_000;

/// Mappings and lists inside each other, aliases expanded.
const MAX_DEPTH: usize = 64;

/// Bytes of all scalars, each alias counting as what it stands for: an alias to a long
/// text costs a few bytes in the file and the whole text in memory.
const MAX_TEXT: usize = 2 << 20;

/// A text, read.
#[derive(Debug)]
pub(crate) struct Document {
    /// What it says; an empty text says `null`.
    pub(crate) value: Value,
    /// Where it says so.
    pub(crate) spans: Spans,
}

/// Reads one YAML document.
///
/// # Errors
/// The first problem, with its place.
pub(crate) fn parse(text: &str) -> Result<Document, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    check_size(text)?;
    check_characters(text)?;
    flow::check(text)?;
    compose::document(text)?.map_or_else(|| Ok(Document::default()), |root| build::document(&root))
}

impl Default for Document {
    fn default() -> Self {
        let (value, spans) = (Value::Null, Spans::default());
        Self { value, spans }
    }
}

/// Refuses text that is too large to be configuration.
pub(crate) fn check_size(text: &str) -> Result<(), Problem> {
    if text.len() as u64 <= MAX_FILE {
        return Ok(());
    }
    let size = text.len();
    let message = format!("the text has {size} bytes; a configuration has at most {MAX_FILE}");
    Err(problem(None, message))
}

/// What YAML 1.1 calls printable; a NUL byte is the usual offender.
fn check_characters(text: &str) -> Result<(), Problem> {
    let allowed = |c: char| {
        matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}')
            || (c >= '\u{a0}' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
    };
    let Some((offset, found)) = text.char_indices().find(|(_, c)| !allowed(*c)) else {
        return Ok(());
    };
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let place = Place {
        line: before.matches('\n').count() + 1,
        column: before[start..].chars().count() + 1,
    };
    let code = u32::from(found);
    let message = format!("the character U+{code:04X} does not belong in YAML text");
    let hint = "write it as an escape in a double-quoted text, such as \"\\0\"";
    Err(hinted(problem(Some(place), message), hint))
}

fn problem(place: Option<Place>, message: impl Into<String>) -> Problem {
    Problem::new(ProblemKind::Syntax, "", message).at(place)
}

fn hinted(problem: Problem, hint: impl Into<String>) -> Problem {
    problem.with_hint(hint)
}
