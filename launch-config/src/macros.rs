//! Macros in resource args: `${run_id}` and what else a queue's configuration may name.
//!
//! `${word}` stands for a fact of the run, or for an environment variable of the agent that
//! its administrator allowed by name: nothing else of the agent's environment can be read
//! through a queue. Only texts are touched, never keys; what a macro stands for is not read
//! for macros again; a word nobody knows stays as it is written.
//!
//! ```
//! use launch_config::macros::Macros;
//! use serde_json::json;
//!
//! let macros = Macros::new("k3x9")
//!     .with_project("acme", "Vision")
//!     .allow([("NODE_POOL".to_owned(), "gpu-a".to_owned())]);
//! let args = json!({"name": "train-${run_id}", "pool": "${NODE_POOL}", "${run_id}": "${HOME}"});
//! let filled = macros.fill(&args);
//! assert_eq!(filled["name"], "train-k3x9");
//! assert_eq!(filled["pool"], "gpu-a");
//! assert_eq!(filled["${run_id}"], "${HOME}");
//! ```

use std::collections::BTreeMap;

use serde_json::Value;

use crate::image::ImageRef;
use crate::spec::RunSpec;

/// What a fact that is not known reads as: Python's word for nothing.
const NOTHING: &str = "None";

/// The macros of one run.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Macros {
    words: BTreeMap<String, String>,
    allowed: BTreeMap<String, String>,
}

impl std::fmt::Debug for Macros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Allowed variables may hold secrets.
        f.debug_struct("Macros")
            .field("words", &self.words)
            .field("allowed", &self.allowed.keys().collect::<Vec<_>>())
            .finish()
    }
}

impl Macros {
    /// The macros of the run with this id; every other fact reads `None` until it is given.
    pub fn new(run_id: impl Into<String>) -> Self {
        let unknown = [
            "project_name",
            "entity_name",
            "run_name",
            "image_uri",
            "author",
        ];
        let mut words: BTreeMap<String, String> = unknown
            .map(|word| (word.to_owned(), NOTHING.to_owned()))
            .into();
        words.insert("run_id".to_owned(), run_id.into());
        let allowed = BTreeMap::new();
        Self { words, allowed }
    }

    /// The macros of a spec; `run_id` counts where the spec has none.
    pub fn of(spec: &RunSpec, run_id: &str, image: Option<&ImageRef>) -> Self {
        let run_id = spec.run_id.as_deref().unwrap_or(run_id);
        let facts = [
            ("project_name", spec.project.clone()),
            ("entity_name", spec.entity.clone()),
            ("run_name", spec.name.clone()),
            ("author", spec.author.clone()),
            ("image_uri", image.map(ImageRef::to_string)),
        ];
        let known = facts.into_iter();
        known.fold(Self::new(run_id), |macros, (word, value)| match value {
            Some(value) => macros.set(word, value),
            None => macros,
        })
    }

    fn set(mut self, word: &str, value: String) -> Self {
        self.words.insert(word.to_owned(), value);
        self
    }

    /// Says whose the run is; `${project_name}` is in small letters.
    #[must_use]
    pub fn with_project(self, entity: &str, project: &str) -> Self {
        self.set("entity_name", entity.to_owned())
            .set("project_name", project.to_lowercase())
    }

    /// Says which image runs.
    #[must_use]
    pub fn with_image(self, image: &ImageRef) -> Self {
        self.set("image_uri", image.to_string())
    }

    /// Adds environment variables that queues may read, over facts of the same name.
    ///
    /// The Python agent allows its whole environment, its API key with it; whoever wants
    /// that passes all of it here.
    #[must_use]
    pub fn allow(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.allowed.extend(variables);
        self
    }

    fn value(&self, word: &str) -> Option<&str> {
        let value = self.allowed.get(word).or_else(|| self.words.get(word));
        value.map(String::as_str)
    }

    /// The value with the macros of its texts filled in.
    pub fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill_text(text)),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.fill(value)))
                .collect(),
            other => other.clone(),
        }
    }

    /// The text with its macros filled in.
    pub fn fill_text(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, at) = rest.split_at(start);
            filled.push_str(before);
            let word = word_of(at);
            if let Some((word, value)) = word.and_then(|word| Some((word, self.value(word)?))) {
                filled.push_str(value);
                rest = &at[word.len() + "${}".len()..];
            } else {
                filled.push_str("${");
                rest = &at["${".len()..];
            }
        }
        filled.push_str(rest);
        filled
    }
}

/// The word of a text that starts with `${word}`.
fn word_of(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?;
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    (end > 0 && inner[end..].starts_with('}')).then(|| &inner[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_variable_goes_before_a_fact_and_is_not_read_again() {
        let macros = Macros::new("r1").allow([
            ("run_id".to_owned(), "${author}".to_owned()),
            ("é".to_owned(), String::new()),
        ]);
        assert_eq!(
            macros.fill_text("$${run_id}-${${é}}-${author}"),
            "$${author}-${}-None"
        );
    }

    #[test]
    fn what_is_no_macro_stays() {
        let macros = Macros::new("r1");
        for text in [
            "${run-id}",
            "${}",
            "$run_id",
            "${run_id",
            "${{run_id}}",
            "${HOME}",
            "${a\nb}",
        ] {
            assert_eq!(macros.fill_text(text), text);
        }
        assert_eq!(
            macros.fill(&json!([1, null, {"${run_id}": "${run_id}"}])),
            json!([1, null, {"${run_id}": "r1"}])
        );
    }

    #[test]
    fn allowed_values_never_print() {
        let macros = Macros::new("r1").allow([("TOKEN".to_owned(), "planted".to_owned())]);
        assert!(!format!("{macros:?}").contains("planted"));
    }

    proptest! {
        #[test]
        fn text_without_macros_is_kept(text in "[$]?[^$]{0,30}|[${}a]{0,20}") {
            prop_assert_eq!(Macros::default().fill_text(&text), text);
        }
    }
}
