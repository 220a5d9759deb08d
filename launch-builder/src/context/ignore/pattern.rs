//! One pattern of an ignore file: checked, compiled, matched.

use super::glob::Glob;

/// A path as patterns look at it.
#[derive(Debug)]
pub(super) struct Name<'a> {
    bytes: &'a [u8],
    characters: Vec<char>,
}

impl<'a> Name<'a> {
    /// `characters` is a buffer to use again.
    pub(super) fn new(bytes: &'a [u8], mut characters: Vec<char>) -> Self {
        characters.clear();
        if bytes.is_ascii() {
            characters.extend(bytes.iter().map(|byte| char::from(*byte)));
        } else {
            characters.extend(decode(bytes));
        }
        Self { bytes, characters }
    }

    pub(super) fn into_buffer(self) -> Vec<char> {
        self.characters
    }
}

/// A pattern without its `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Vec<u8>,
    kind: Kind,
}

/// How a pattern is compared. Docker compares bytes where it can, and the results differ
/// from those of its expressions: `**x` is any path that ends so, `**x*` is a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Exact,
    Prefix,
    Suffix,
    Glob(Glob),
}

impl Pattern {
    /// Checks and compiles a pattern; `None` for what Docker refuses.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        if !is_well_formed(text) {
            return None;
        }
        Some(Self {
            kind: compile(text)?,
            text: text.to_vec(),
        })
    }

    /// The pattern as it was written, cleaned.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn matches(&self, name: &Name<'_>) -> bool {
        let path = name.bytes;
        match &self.kind {
            Kind::Exact => path == self.text,
            Kind::Prefix => path.starts_with(&self.text[..self.text.len() - 2]),
            Kind::Suffix => {
                let suffix = &self.text[2..];
                path.ends_with(suffix) || suffix.strip_prefix(b"/").is_some_and(|s| s == path)
            }
            Kind::Glob(glob) => glob.matches(path, &name.characters),
        }
    }

    /// Whether a path below `directory` might match. Yes when in doubt.
    pub(super) fn reaches_below(&self, directory: &[u8]) -> bool {
        let mut directories = directory.split(|b| *b == b'/');
        for component in self.text.split(|b| *b == b'/') {
            // A class or `**` may match a slash: components say nothing after one.
            let crosses = component.iter().any(|b| matches!(b, b'[' | b'\\' | b'^'));
            if crosses || component.windows(2).any(|pair| pair == b"**") {
                return true;
            }
            let Some(directory) = directories.next() else {
                return true;
            };
            let is_literal = component.is_ascii() && !component.iter().any(|b| b"*?".contains(b));
            if is_literal && component != directory {
                return false;
            }
        }
        false
    }
}

/// The characters of a path as Go sees them: a byte that is not UTF-8 is U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().chain(invalid)
    })
}

/// What `filepath.Match` of Go takes for a pattern. It looks at one piece between stars
/// after the other; a star after `[` does not end a piece.
fn is_well_formed(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    while !rest.is_empty() {
        let stars = rest.iter().take_while(|b| **b == b'*').count();
        let (piece, after) = rest[stars..].split_at(piece_length(&rest[stars..]));
        if !is_piece(piece) {
            return false;
        }
        rest = after;
    }
    true
}

fn piece_length(text: &[u8]) -> usize {
    let (mut at, mut in_range) = (0, false);
    while at < text.len() {
        match text[at] {
            b'\\' if at + 1 < text.len() => at += 1,
            b'[' => in_range = true,
            b']' => in_range = false,
            b'*' if !in_range => break,
            _ => {}
        }
        at += 1;
    }
    at
}

fn is_piece(mut piece: &[u8]) -> bool {
    while let Some((first, rest)) = piece.split_first() {
        piece = match first {
            b'[' => match after_class(rest) {
                Some(rest) => rest,
                None => return false,
            },
            b'\\' if rest.is_empty() => return false,
            b'\\' => &rest[1..],
            _ => rest,
        };
    }
    true
}

fn after_class(text: &[u8]) -> Option<&[u8]> {
    let mut text = text.strip_prefix(b"^").unwrap_or(text);
    let mut is_first = true;
    loop {
        match text.strip_prefix(b"]") {
            Some(rest) if !is_first => return Some(rest),
            _ => text = after_member(text)?,
        }
        if let Some(rest) = text.strip_prefix(b"-") {
            text = after_member(rest)?;
        }
        is_first = false;
    }
}

/// One end of a range; something has to follow it.
fn after_member(text: &[u8]) -> Option<&[u8]> {
    if matches!(text.first()?, b'-' | b']') {
        return None;
    }
    let text = text.strip_prefix(b"\\").unwrap_or(text);
    let length = first_character_length(text)?;
    (text.len() > length).then(|| &text[length..])
}

fn first_character_length(text: &[u8]) -> Option<usize> {
    let chunk = text[..text.len().min(4)].utf8_chunks().next()?;
    chunk.valid().chars().next().map(char::len_utf8)
}

/// Docker's translation to the text of an expression, or to a plain comparison.
fn compile(pattern: &[u8]) -> Option<Kind> {
    let mut kind = Kind::Exact;
    let mut is_glob = false;
    let mut text = String::new();
    let mut characters = decode(pattern).peekable();
    let mut is_first = true;
    while let Some(character) = characters.next() {
        match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                characters.next_if_eq(&'/');
                let at_end = characters.peek().is_none();
                text.push_str(if at_end { ".*" } else { "(.*/)?" });
                let is_prefix = at_end && !is_glob && kind == Kind::Exact;
                kind = if is_first { Kind::Suffix } else { Kind::Prefix };
                is_glob = !(is_first || is_prefix);
            }
            '*' | '?' => {
                text.push_str(if character == '*' { "[^/]*" } else { "[^/]" });
                is_glob = true;
            }
            '\\' => {
                text.push('\\');
                text.extend(characters.next());
                is_glob = true;
            }
            // Not `|` and braces: Docker means to escape them and does not.
            '.' | '+' | '(' | ')' | '$' => text.extend(['\\', character]),
            _ => {
                is_glob |= matches!(character, '[' | ']');
                text.push(character);
            }
        }
        is_first = false;
    }
    if is_glob {
        Glob::parse(&text).map(Kind::Glob)
    } else {
        Some(kind)
    }
}
