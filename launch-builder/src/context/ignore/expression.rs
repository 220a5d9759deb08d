//! The regular expressions Docker's matcher makes of patterns, and nothing more of them.
//!
//! Docker turns a pattern with wildcards into the text of a Go regular expression and lets
//! the engine read it; what `[` starts is therefore read by the rules of Go's `regexp`, not
//! of `filepath.Match`. The same text is read here. //!
//! Alternatives, repetitions and Unicode tables (`|`, `{2}`, `\p`, `\Q`) are no expressions
//! here: Docker's own documentation has none, its code lets them through unseen.

/// Unicode scalar values, as inclusive ranges.
pub(super) type Ranges = Vec<(u32, u32)>;

const HIGHEST: u32 = 0x0010_FFFF;

/// One step through a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// This character.
    Character(char),
    /// One of these.
    One(Ranges),
    /// Any number of these.
    Many(Ranges),
    /// `(.*/)?`: nothing, or anything up to some slash.
    Directories,
    /// `^`, which Docker leaves unescaped.
    Start,
    /// `\z`.
    End,
    /// `\b`, or `\B` if false.
    WordBoundary(bool),
}

/// The steps of an expression; `None` if it is none.
pub(super) fn read(text: &str) -> Option<Vec<Step>> {
    let mut reader = Reader { rest: text };
    let mut steps = Vec::new();
    while let Some(step) = reader.step()? {
        steps.push(step);
    }
    Some(steps)
}

fn complement(mut ranges: Ranges) -> Ranges {
    ranges.sort_unstable();
    let mut next = 0;
    let mut gaps = Vec::new();
    for (low, high) in ranges {
        if low > next {
            gaps.push((next, low - 1));
        }
        next = next.max(high + 1);
    }
    if next <= HIGHEST {
        gaps.push((next, HIGHEST));
    }
    gaps
}

fn set(members: &[(char, char)]) -> Ranges {
    members
        .iter()
        .map(|(low, high)| (u32::from(*low), u32::from(*high)))
        .collect()
}

/// `\d`, `\s`, `\w` and their complements, which are ASCII in Go.
fn perl_class(letter: char) -> Option<Ranges> {
    let ranges = match letter.to_ascii_lowercase() {
        'd' => set(&[('0', '9')]),
        's' => set(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        'w' => set(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() {
        complement(ranges)
    } else {
        ranges
    })
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let character = characters.next();
        self.rest = characters.as_str();
        character
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The next step, `Some(None)` at the end, `None` for what is no expression.
    #[expect(clippy::option_option, reason = "the end of the text is no failure")]
    fn step(&mut self) -> Option<Option<Step>> {
        if self.eat("(.*/)?") {
            return Some(Some(Step::Directories));
        }
        let any = complement(set(&[('\n', '\n')]));
        let step = match self.next() {
            None => return Some(None),
            Some('^') => Step::Start,
            Some('.') => Step::One(any),
            Some('[') => Step::One(self.class()?),
            Some('\\') => self.escaped()?,
            Some('|') => return None,
            Some('{') if self.is_repetition() => return None,
            Some(character) => Step::Character(character),
        };
        if !self.eat("*") {
            return Some(Some(step));
        }
        match step {
            Step::One(ranges) => Some(Some(Step::Many(ranges))),
            _ => None,
        }
    }

    /// `2}`, `2,}` or `2,3}` after a brace.
    fn is_repetition(&self) -> bool {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let Some((range, _)) = self.rest.split_once('}') else {
            return false;
        };
        let (low, high) = range.split_once(',').unwrap_or((range, ""));
        !low.is_empty() && digits(low) && digits(high)
    }

    fn escaped(&mut self) -> Option<Step> {
        let letter = self.peek()?;
        if let Some(ranges) = perl_class(letter) {
            self.next();
            return Some(Step::One(ranges));
        }
        let step = match letter {
            'A' => Step::Start,
            'z' => Step::End,
            'b' => Step::WordBoundary(true),
            'B' => Step::WordBoundary(false),
            _ => return self.escape().map(Step::Character),
        };
        self.next();
        Some(step)
    }

    /// The character an escape stands for; the backslash is behind us.
    fn escape(&mut self) -> Option<char> {
        let character = self.next()?;
        match character {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            'x' => {
                let high = self.next()?.to_digit(16)?;
                let low = self.next()?.to_digit(16)?;
                char::from_u32(16 * high + low)
            }
            '0'..='7' => self.octal(character),
            _ if character.is_ascii() && !character.is_ascii_alphanumeric() => Some(character),
            _ => None,
        }
    }

    /// A single digit but 0 would be a back reference, which Go has not.
    fn octal(&mut self, first: char) -> Option<char> {
        let digit = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        let mut value = digit(Some(first))?;
        if value != 0 {
            digit(self.peek())?;
        }
        for _ in 0..2 {
            let Some(next) = digit(self.peek()) else {
                break;
            };
            self.next();
            value = 8 * value + next;
        }
        char::from_u32(value)
    }

    /// A character class; the bracket is behind us.
    fn class(&mut self) -> Option<Ranges> {
        let negated = self.eat("^");
        let mut ranges = Vec::new();
        let mut is_first = true;
        while is_first || self.peek() != Some(']') {
            is_first = false;
            if self.rest.starts_with("[:") && self.rest[2..].contains(":]") {
                ranges.extend(self.named_class()?);
                continue;
            }
            if let Some(class) = self.perl_class_here() {
                ranges.extend(class);
                continue;
            }
            ranges.push(self.range()?);
        }
        self.next();
        Some(if negated { complement(ranges) } else { ranges })
    }

    fn perl_class_here(&mut self) -> Option<Ranges> {
        let letter = self.rest.strip_prefix('\\')?.chars().next()?;
        let class = perl_class(letter)?;
        self.next();
        self.next();
        Some(class)
    }

    fn range(&mut self) -> Option<(u32, u32)> {
        let low = self.class_character()?;
        if !self.rest.starts_with('-') || self.rest[1..].starts_with(']') || self.rest.len() == 1 {
            return Some((low, low));
        }
        self.next();
        let high = self.class_character()?;
        (low <= high).then_some((low, high))
    }

    fn class_character(&mut self) -> Option<u32> {
        let character = if self.eat("\\") {
            self.escape()
        } else {
            self.next()
        };
        character.map(u32::from)
    }

    /// `[:alpha:]` and the like.
    fn named_class(&mut self) -> Option<Ranges> {
        let (name, rest) = self.rest.strip_prefix("[:")?.split_once(":]")?;
        self.rest = rest;
        let (name, negated) = match name.strip_prefix('^') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let is_member: fn(&char) -> bool = match name {
            "alnum" => char::is_ascii_alphanumeric,
            "alpha" => char::is_ascii_alphabetic,
            "ascii" => char::is_ascii,
            "blank" => |c| matches!(c, '\t' | ' '),
            "cntrl" => char::is_ascii_control,
            "digit" => char::is_ascii_digit,
            "graph" => char::is_ascii_graphic,
            "lower" => char::is_ascii_lowercase,
            "print" => |c| matches!(c, ' '..='~'),
            "punct" => char::is_ascii_punctuation,
            "space" => |c| matches!(c, '\t'..='\r' | ' '),
            "upper" => char::is_ascii_uppercase,
            "word" => |c| c.is_ascii_alphanumeric() || *c == '_',
            "xdigit" => char::is_ascii_hexdigit,
            _ => return None,
        };
        let members: Ranges = ('\0'..='\x7f')
            .filter(is_member)
            .map(|c| (u32::from(c), u32::from(c)))
            .collect();
        Some(if negated {
            complement(members)
        } else {
            members
        })
    }
}
