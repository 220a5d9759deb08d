//! Counts what stands between brackets before the parser reads it.
//!
//! `saphyr-parser` gives the first event of a bracket when it has read to its end, since
//! the whole bracket might be a key. Until then no limit applies: a mebibyte of `[a, a, …`
//! costs it a hundred megabytes. A comma, a colon or an opening bracket is at least one value, so
//! counting them is enough to refuse such a text early, and needs one pass and no memory.
//!
//! Only what decides whether a character is one of them is looked at: quotes, comments,
//! and texts that start with `|` or `>`. Where this reads a text otherwise than the
//! parser, the parser decides: nothing here refuses less than [`MAX_NODES`] commas.

use super::{MAX_DEPTH, MAX_NODES, Place, problem};
use crate::load::Problem;

/// Refuses more values between brackets, or more brackets, than a document may have.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    let mut scan = Scan::default();
    for (index, line) in text.lines().enumerate() {
        if !scan.is_block_text(line) {
            scan.line(index + 1, line)?;
        }
    }
    Ok(())
}

/// What is between the start of the text and here.
#[derive(Default)]
struct Scan {
    /// The quote that is open.
    quote: Option<char>,
    /// Brackets that are open.
    depth: usize,
    /// Values in brackets so far.
    values: usize,
    /// The indentation of the line whose `|` or `>` goes on below it.
    block: Option<usize>,
}

impl Scan {
    /// Whether the line belongs to a text started with `|` or `>` above it.
    fn is_block_text(&mut self, line: &str) -> bool {
        let Some(indentation) = self.block else {
            return false;
        };
        let inside = line.trim().is_empty() || indentation_of(line) > indentation;
        if !inside {
            self.block = None;
        }
        inside
    }

    fn line(&mut self, number: usize, line: &str) -> Result<(), Problem> {
        let mut word = Word::default();
        // Whether a value or a key may start at the next character.
        let mut fresh = true;
        let mut escaped = false;
        let mut chars = line.chars().enumerate().peekable();
        while let Some((column, c)) = chars.next() {
            if let Some(quote) = self.quote {
                let closes = c == quote && !escaped;
                escaped = quote == '"' && c == '\\' && !escaped;
                if closes {
                    self.quote = None;
                    // A quote written twice goes on.
                    fresh = true;
                }
                continue;
            }
            match c {
                '#' if word.is_empty() => break,
                '"' | '\'' if fresh => self.quote = Some(c),
                '[' | '{' if fresh || self.depth > 0 => self.open(number, column)?,
                ']' | '}' => self.depth = self.depth.saturating_sub(1),
                ',' if self.depth > 0 => self.count(number, column)?,
                ':' if self.depth > 0 && ends_key(chars.peek()) => self.count(number, column)?,
                _ => {}
            }
            if c.is_whitespace() {
                fresh = std::mem::take(&mut word).is_followed_by_value(fresh);
            } else {
                word.push(c);
                fresh = self.depth > 0 && matches!(c, '[' | '{' | ',' | ':');
            }
        }
        if self.depth == 0 && self.quote.is_none() && is_block_header(line) {
            self.block = Some(indentation_of(line));
        }
        Ok(())
    }

    fn open(&mut self, line: usize, column: usize) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("mappings and lists are nested more than {MAX_DEPTH} deep");
            return Err(problem(Some(place(line, column)), message));
        }
        self.count(line, column)
    }

    fn count(&mut self, line: usize, column: usize) -> Result<(), Problem> {
        self.values += 1;
        if self.values > MAX_NODES {
            let message = format!("the document has more than {MAX_NODES} values");
            return Err(problem(Some(place(line, column)), message));
        }
        Ok(())
    }
}

/// Whether a colon makes a key of what is before it: behind it is a blank, or nothing.
fn ends_key(next: Option<&(usize, char)>) -> bool {
    next.is_none_or(|(_, c)| c.is_whitespace())
}

fn place(line: usize, column: usize) -> Place {
    let column = column + 1;
    Place { line, column }
}

fn indentation_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// What stands between two blanks, as far as it matters.
#[derive(Default)]
struct Word {
    ends: Option<(char, char)>,
    is_long: bool,
}

impl Word {
    fn push(&mut self, c: char) {
        self.is_long = self.ends.is_some();
        self.ends = Some((self.ends.map_or(c, |(first, _)| first), c));
    }

    fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Whether a value may start behind it: behind `key:`, `-`, `?`, an anchor, a tag; and
    /// behind no word, if one could before.
    fn is_followed_by_value(&self, before: bool) -> bool {
        match self.ends {
            None => before,
            Some((_, ':') | ('&' | '!', _)) => true,
            Some((first, _)) => !self.is_long && matches!(first, '-' | '?' | '[' | '{' | ','),
        }
    }
}

/// Whether the text of a value starts below this line: it ends with `|`, `>-`, `|2+`.
fn is_block_header(line: &str) -> bool {
    let code = line.find(" #").map_or(line, |comment| &line[..comment]);
    let last = code.split_whitespace().last().unwrap_or_default();
    let mut marks = last.chars();
    matches!(marks.next(), Some('|' | '>'))
        && last.len() <= 3
        && marks.all(|c| c.is_ascii_digit() || matches!(c, '+' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeated(before: &str, piece: &str, after: &str) -> String {
        format!("{before}{}{after}", piece.repeat(MAX_NODES + 1))
    }

    #[test]
    fn values_in_brackets_are_counted() {
        for text in [
            repeated("[", "a, ", "b]"),
            repeated("[", "a:\n", "]"),
            repeated("a: {b: [", "1,", "2]}"),
            repeated("- [", "\n  x,", "\n  y]"),
            repeated("a: &a !!seq [", "{},", "{}]"),
            repeated("{\"a\": \"it's [\", \"b\": [", "\"x, y\",", "\"\"]}"),
        ] {
            let refused = check(&text).unwrap_err();
            assert!(
                refused.message.contains("more than 10000 values"),
                "{refused:?}"
            );
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert!(check(&deep).unwrap_err().message.contains("deep"));
    }

    #[test]
    fn commas_in_texts_are_not() {
        for text in [
            repeated("a: ", "x, ", ""),
            repeated("a: see [here\nb: ", "x, ", ""),
            repeated("a: '[", "x, ", "'"),
            repeated("a: [\"", "x, ", "\"]"),
            repeated("a: ['it''s ", "x, ", "']"),
            repeated("a: \"\\\"[", "x, ", "\""),
            repeated("a: | # [\n  [", "x, ", "\nb: 1"),
            repeated("- a: >-\n    {", "\n    x, ", "\n- b"),
            repeated("# [", "x, ", "\na: 1"),
            repeated("a: 1 # [", "x, ", ""),
            repeated("a: []\nb: {}\nc: ", "x, ", ""),
        ] {
            assert!(check(&text).is_ok(), "{}", &text[..20]);
        }
    }
}
