//! Which files of a tree are left out: `.dockerignore`, with Docker's own semantics.
//!
//! What the rules mean is written in the parent module. A file is read as Docker reads it,
//! in two halves: [`clean_line`] is what its client does to a line, [`parse_rule`] what its
//! matcher does to the result; both clean, and the differences show (`./!a` takes back `a`).
//! Paths are then asked from the root downwards, each with what held for the directory
//! above it, as BuildKit asks.

mod expression;
mod glob;
mod pattern;

use std::io;
use std::path::Path;

use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

use self::pattern::{Name, Pattern, decode};
use crate::error::Error;

/// Where every context begins.
const BUILT_IN: &[u8] = b"**/.git";

/// Go's line scanner, which Docker reads the file with, takes no longer lines.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// Rules in force, in their order.
#[derive(Debug, Clone)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    takes_back: bool,
}

/// Which rules matched a directory: those match all below it.
#[derive(Debug, Clone, Default)]
pub(super) struct Inherited(Box<[bool]>);

/// What the rules say of one path, with buffers to use again.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    matched: Vec<bool>,
    characters: Vec<char>,
}

impl Verdict {
    /// What holds for all below the path asked about last.
    pub(super) fn inherited(&self) -> Inherited {
        Inherited(self.matched.as_slice().into())
    }
}

impl Default for Rules {
    fn default() -> Self {
        let pattern = Pattern::parse(BUILT_IN).expect("the built-in rule is a pattern");
        Self(vec![Rule {
            pattern,
            takes_back: false,
        }])
    }
}

impl Rules {
    /// The rules of an ignore file, after the built-in one.
    pub(super) fn parse(text: &[u8], file: &Path) -> Result<Self, Error> {
        let mut rules = Self::default();
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        for (index, line) in text.split(|b| *b == b'\n').enumerate() {
            let wrong = || Error::Ignore {
                file: file.to_owned(),
                line: index + 1,
                rule: decode(trim(line)).take(200).collect(),
            };
            if line.len() > LONGEST_LINE {
                return Err(wrong());
            }
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let Some(line) = clean_line(line) else {
                continue;
            };
            rules
                .0
                .extend(parse_rule(&line).map_err(|NoPattern| wrong())?);
        }
        Ok(rules)
    }

    /// Whether a path is left out, given what holds for its directory.
    pub(super) fn leave_out(&self, path: &[u8], above: &Inherited, verdict: &mut Verdict) -> bool {
        let name = Name::new(path, std::mem::take(&mut verdict.characters));
        verdict.matched.clear();
        let mut is_out = false;
        for (index, rule) in self.0.iter().enumerate() {
            let inherited = above.0.get(index).copied().unwrap_or(false);
            let matched = inherited || (rule.takes_back == is_out && rule.pattern.matches(&name));
            verdict.matched.push(matched);
            if matched {
                is_out = !rule.takes_back;
            }
        }
        verdict.characters = name.into_buffer();
        is_out
    }

    /// Whether something below a directory that is left out might come back.
    pub(super) fn reach_below(&self, directory: &[u8]) -> bool {
        self.0
            .iter()
            .any(|rule| rule.takes_back && rule.pattern.reaches_below(directory))
    }

    /// A digest of the rules in force: one line each, cleaned, `!` first if it takes back.
    pub(super) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        for rule in &self.0 {
            hash.update(if rule.takes_back { &b"!"[..] } else { b"" });
            hash.update(rule.pattern.as_bytes());
            hash.update(b"\n");
        }
        Digest::from_sha256(hash.finalize().into())
    }
}

/// Reads an ignore file. One that is longer than 1 MiB is refused.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    const LONGEST: u64 = 1 << 20;
    let metadata = fs_err::metadata(file)?;
    let is_fine = metadata.is_file() && metadata.len() <= LONGEST;
    if !is_fine {
        let why = "is not a regular file of at most 1 MiB";
        return Err(Error::Path {
            what: "ignore file",
            path: file.to_owned(),
            why,
        });
    }
    let mut text = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(fs_err::File::open(file)?, LONGEST),
        &mut text,
    )?;
    Ok(text)
}

struct NoPattern;

/// The first half of Docker's reading: a line of the file to the text of a rule.
fn clean_line(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(b"#") {
        return None;
    }
    let line = trim(line);
    let takes_back = line.first()? == &b'!';
    let text = if takes_back { trim(&line[1..]) } else { line };
    let mut text = if text.is_empty() {
        Vec::new()
    } else {
        clean_path(text)
    };
    if text.len() > 1 && text[0] == b'/' {
        text.remove(0);
    }
    if takes_back {
        text.insert(0, b'!');
    }
    Some(text)
}

/// The second half: the text of a rule to a rule. `None` is nothing but blanks.
fn parse_rule(text: &[u8]) -> Result<Option<Rule>, NoPattern> {
    let text = trim(text);
    if text.is_empty() {
        return Ok(None);
    }
    let text = clean_path(text);
    let (text, takes_back) = match text.strip_prefix(b"!") {
        Some([]) => return Err(NoPattern),
        Some(rest) => (rest, true),
        None => (text.as_slice(), false),
    };
    let pattern = Pattern::parse(text).ok_or(NoPattern)?;
    Ok(Some(Rule {
        pattern,
        takes_back,
    }))
}

/// Without blanks at the ends, Unicode's included.
fn trim(text: &[u8]) -> &[u8] {
    let width = |c: &char| c.len_utf8();
    let is_blank = |c: &char| c.is_whitespace();
    let start: usize = decode(text).take_while(is_blank).map(|c| width(&c)).sum();
    let text = &text[start..];
    // A blank is valid UTF-8, so its bytes are its encoding; what is invalid ends the search.
    let characters: Vec<char> = decode(text).collect();
    let end: usize = characters
        .iter()
        .rev()
        .take_while(|c| is_blank(c))
        .map(width)
        .sum();
    &text[..text.len() - end]
}

/// Go's `filepath.Clean`: the shortest path that is the same by its text alone.
fn clean_path(path: &[u8]) -> Vec<u8> {
    let is_rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let mut cleaned = if is_rooted { b"/".to_vec() } else { Vec::new() };
    cleaned.extend(parts.join(&b'/'));
    if cleaned.is_empty() {
        b".".to_vec()
    } else {
        cleaned
    }
}

#[cfg(test)]
mod tests;
