//! Patterns with wildcards, matched against a path.
//!
//! The walk goes over sets of states, so its time is at most the length of the path times
//! that of the pattern, whoever wrote the pattern.

use super::expression::{self, Ranges, Step};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    steps: Vec<Step>,
    /// What every match ends with: most paths fail here, without a walk.
    tail: String,
}

impl Glob {
    /// Compiles the text Docker hands to Go, without the outer `^` and `$`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let steps = expression::read(text)?;
        let from = steps
            .iter()
            .rposition(|step| !is_plain(step))
            .map_or(0, |at| at + 1);
        let tail = steps[from..].iter().filter_map(plain).collect();
        Some(Self { steps, tail })
    }

    /// Whether the whole path matches; `characters` are those of `path`.
    pub(super) fn matches(&self, path: &[u8], characters: &[char]) -> bool {
        if !path.ends_with(self.tail.as_bytes()) {
            return false;
        }
        let mut walk = Walk::new(&self.steps);
        walk.arrive(Place::At(0));
        for (at, &character) in characters.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| characters[before]);
            walk.open(before, Some(character));
            walk.consume(character);
            if walk.reached.is_empty() {
                return false;
            }
        }
        walk.open(characters.last().copied(), None);
        walk.places.contains(&Place::At(self.steps.len()))
    }
}

fn plain(step: &Step) -> Option<char> {
    match step {
        Step::Character(character) => Some(*character),
        _ => None,
    }
}

/// Bytes that are not UTF-8 match U+FFFD, so that one cannot be looked for as bytes.
fn is_plain(step: &Step) -> bool {
    plain(step).is_some_and(|character| character != char::REPLACEMENT_CHARACTER)
}

/// Before a step, or inside `(.*/)?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    At(usize),
    Within(usize),
}

struct Walk<'a> {
    steps: &'a [Step],
    /// Where the next character finds us, empty matches included.
    places: Vec<Place>,
    /// Where the last character left us.
    reached: Vec<Place>,
    /// For each place, whether it is in `places`.
    seen: Vec<bool>,
}

impl<'a> Walk<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let seen = vec![false; 2 * (steps.len() + 1)];
        Self {
            steps,
            places: Vec::new(),
            reached: Vec::new(),
            seen,
        }
    }

    fn arrive(&mut self, place: Place) {
        self.reached.push(place);
    }

    /// Follows what matches the empty text between two characters.
    fn open(&mut self, before: Option<char>, after: Option<char>) {
        self.places.clear();
        self.seen.fill(false);
        while let Some(place) = self.reached.pop() {
            let index = match place {
                Place::At(at) => 2 * at,
                Place::Within(at) => 2 * at + 1,
            };
            if std::mem::replace(&mut self.seen[index], true) {
                continue;
            }
            self.places.push(place);
            let Place::At(at) = place else { continue };
            match self.steps.get(at) {
                Some(Step::Many(_)) => self.arrive(Place::At(at + 1)),
                Some(Step::Directories) => {
                    self.arrive(Place::At(at + 1));
                    self.arrive(Place::Within(at));
                }
                Some(step) if is_empty_match(step, before, after) => {
                    self.arrive(Place::At(at + 1));
                }
                _ => {}
            }
        }
    }

    fn consume(&mut self, character: char) {
        for index in 0..self.places.len() {
            match self.places[index] {
                Place::At(at) => match self.steps.get(at) {
                    Some(Step::Character(wanted)) if *wanted == character => {
                        self.arrive(Place::At(at + 1));
                    }
                    Some(Step::One(ranges)) if contains(ranges, character) => {
                        self.arrive(Place::At(at + 1));
                    }
                    Some(Step::Many(ranges)) if contains(ranges, character) => {
                        self.arrive(Place::At(at));
                    }
                    _ => {}
                },
                Place::Within(at) => {
                    // Go's `.` is anything but a new line.
                    if character != '\n' {
                        self.arrive(Place::Within(at));
                    }
                    if character == '/' {
                        self.arrive(Place::At(at + 1));
                    }
                }
            }
        }
    }
}

fn is_empty_match(step: &Step, before: Option<char>, after: Option<char>) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    match step {
        Step::Start => before.is_none(),
        Step::End => after.is_none(),
        Step::WordBoundary(wanted) => (is_word(before) != is_word(after)) == *wanted,
        _ => false,
    }
}

fn contains(ranges: &Ranges, character: char) -> bool {
    let value = u32::from(character);
    ranges
        .iter()
        .any(|(low, high)| (*low..=*high).contains(&value))
}
