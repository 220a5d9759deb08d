//! Reads a mapping key by key and keeps every problem, so that one report shows all.

use serde_json::{Map, Value};

use crate::load::{Problem, ProblemKind};

/// Problems found so far, shared by all mappings of one document.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// A value that cannot be used.
    pub(crate) fn error(&mut self, path: &str, message: String, hint: Option<String>) {
        let problem = Problem::new(ProblemKind::Value, path, message);
        self.0.push(Problem { hint, ..problem });
    }
}

/// What an unknown key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    Error,
    Warning,
}

/// One mapping of a document, at a path.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    map: Option<&'a Map<String, Value>>,
    path: String,
    known: &'static [&'static str],
}

/// A value as error messages name it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

impl<'a> Fields<'a> {
    /// Opens `value` as a mapping and reports keys that are not `known`.
    ///
    /// `null` is an empty mapping, as in the Python agent.
    pub(crate) fn open(
        value: Option<&'a Value>,
        path: &str,
        known: &'static [&'static str],
        unknown: Unknown,
        problems: &mut Problems,
    ) -> Self {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                let message = format!("expected a mapping, found {}", shown(other));
                let problem = Problem::new(ProblemKind::Type, path, message);
                let hint = match other {
                    Value::String(text) if known.contains(&"type") => {
                        Some(format!("write `{path}: {{type: {text}}}`"))
                    }
                    _ => None,
                };
                problems.push(Problem { hint, ..problem });
                None
            }
        };
        let fields = Self {
            map,
            path: path.to_owned(),
            known,
        };
        fields.report_unknown(unknown, problems);
        fields
    }

    /// The known keys that say something.
    pub(crate) fn given(&self) -> impl Iterator<Item = &'static str> {
        let known = self.known.iter().copied();
        known.filter(|key| self.get(key).is_some())
    }

    fn report_unknown(&self, unknown: Unknown, problems: &mut Problems) {
        let keys = self.map.into_iter().flat_map(Map::keys);
        for key in keys.filter(|key| !self.known.contains(&key.as_str())) {
            let hint = match nearest(key, self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys here are {}", listed(self.known)),
            };
            let message = format!("unknown key `{key}`");
            let make = match unknown {
                Unknown::Error => Problem::new,
                Unknown::Warning => Problem::warning,
            };
            let problem = make(ProblemKind::UnknownKey, &self.at(key), message);
            problems.push(problem.with_hint(hint));
        }
    }

    /// The path of one of its keys.
    pub(crate) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key, `null` counting as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        debug_assert!(self.known.contains(&key), "`{key}` is not listed as known");
        self.map?.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str, found: &Value, problems: &mut Problems) {
        problems.push(self.mistyped(key, expected, found));
    }

    fn mistyped(&self, key: &str, expected: &str, found: &Value) -> Problem {
        let message = format!("expected {expected}, found {}", shown(found));
        Problem::new(ProblemKind::Type, &self.at(key), message)
    }

    /// A text.
    pub(crate) fn text(&self, key: &str, problems: &mut Problems) -> Option<String> {
        match self.get(key)? {
            Value::String(text) => Some(text.clone()),
            other => {
                self.wrong(key, "a text", other, problems);
                None
            }
        }
    }

    /// A text that parses to `T`.
    pub(crate) fn parsed<T>(&self, key: &str, problems: &mut Problems) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(key, problems)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                problems.error(&self.at(key), error.to_string(), None);
                None
            }
        }
    }

    /// Whether the key is there, even with nothing in it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(key))
    }

    /// A whole number. As in the Python agent's schema, a text of digits counts, a number
    /// like `2.0`, and a boolean as 0 or 1.
    pub(crate) fn integer(&self, key: &str, problems: &mut Problems) -> Option<i64> {
        let value = self.get(key)?;
        let number = match value {
            Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => digits(text),
            Value::Bool(flag) => Some(i64::from(*flag)),
            _ => None,
        };
        if number.is_none() {
            let mut problem = self.mistyped(key, "a whole number", value);
            let float = value.as_str().and_then(|text| text.parse::<f64>().ok());
            if let Some(number) = float.and_then(whole) {
                problem = problem.with_hint(format!(
                    "without a point, YAML 1.1 takes it for a text: write {number}"
                ));
            }
            problems.push(problem);
        }
        number
    }

    /// A whole number that is not below the least one.
    pub(crate) fn at_least<T: TryFrom<i64>>(
        &self,
        least: i64,
        key: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        let given = self.integer(key, problems)?;
        let number = T::try_from(given).ok().filter(|_| given >= least);
        if number.is_none() {
            let message = format!("expected {least} or more, found {given}");
            problems.push(Problem::new(ProblemKind::Value, &self.at(key), message));
        }
        number
    }

    /// A boolean, or a word or number that the Python agent's schema takes for one. It
    /// means what it says: there, the text `"false"` turns secure mode on.
    pub(crate) fn flag(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.get(key)?;
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
            Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
            Value::String(text) => match text.to_lowercase().as_str() {
                "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
                "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        };
        if flag.is_none() {
            self.wrong(key, "true or false", value, problems);
        }
        flag
    }

    /// A list of texts, and of nothing else.
    pub(crate) fn words(&self, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
        let Some(Value::Array(items)) = self.get(key) else {
            return self.texts(key, problems);
        };
        for (index, item) in items.iter().enumerate() {
            if !item.is_string() {
                self.wrong(&format!("{key}[{index}]"), "a text", item, problems);
            }
        }
        Some(
            items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
        )
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<String>> {
        let value = self.get(key)?;
        let Value::Array(items) = value else {
            self.wrong(key, "a list of texts", value, problems);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text.clone()),
                Value::Number(number) => texts.push(number.to_string()),
                other => self.wrong(&format!("{key}[{index}]"), "a text", other, problems),
            }
        }
        Some(texts)
    }

    /// A mapping, as it is.
    pub(crate) fn mapping(
        &self,
        key: &str,
        problems: &mut Problems,
    ) -> Option<&'a Map<String, Value>> {
        match self.get(key)? {
            Value::Object(map) => Some(map),
            other => {
                self.wrong(key, "a mapping", other, problems);
                None
            }
        }
    }

    /// One word of a list.
    pub(crate) fn one_of(
        &self,
        key: &str,
        words: &'static [&'static str],
        problems: &mut Problems,
    ) -> Option<&'static str> {
        let text = self.text(key, problems)?;
        let word = words.iter().copied().find(|word| *word == text);
        if word.is_none() {
            let hint = nearest(&text, words).map(|near| format!("did you mean `{near}`?"));
            let message = format!("expected one of {}, found `{text}`", words.join(", "));
            let problem = Problem::new(ProblemKind::Value, &self.at(key), message);
            problems.push(Problem { hint, ..problem });
        }
        word
    }
}

/// A value as error messages show it: short ones as they are.
fn shown(value: &Value) -> String {
    let kind = kind(value);
    match value {
        Value::String(text) if text.is_empty() => "an empty text".to_owned(),
        Value::String(text) if text.chars().count() <= 40 => format!("{kind}, `{text}`"),
        Value::Bool(_) | Value::Number(_) => format!("{kind}, `{value}`"),
        _ => kind.to_owned(),
    }
}

/// A whole number in a text, as the Python agent's schema reads it: blanks around it, a
/// sign, single underscores between digits and zeros behind a point do not matter.
pub(crate) fn digits(text: &str) -> Option<i64> {
    let text = text.trim();
    let text = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.chars().all(|c| c == '0') => whole,
        _ => text,
    };
    let (sign, bare) = match text.strip_prefix(['-', '+']) {
        Some(bare) => (&text[..1], bare),
        None => ("", text),
    };
    let is_group = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    let digits = bare
        .split('_')
        .all(is_group)
        .then(|| bare.replace('_', ""))?;
    format!("{sign}{digits}").parse().ok()
}

/// Words in a sentence, each in backticks.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// A float that is a whole number, as one.
fn whole(float: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked")]
    let number = (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64);
    number
}

/// The known word closest to `word`, if it is close enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let word = plain(word);
    known
        .iter()
        .map(|candidate| (distance(&word, &plain(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace) between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        let known = ["build-context-store", "builder", "queues"];
        assert_eq!(
            nearest("build_context_store", &known),
            Some("build-context-store")
        );
        assert_eq!(nearest("quees", &known), Some("queues"));
        assert_eq!(nearest("environment", &known), None);
    }
}
