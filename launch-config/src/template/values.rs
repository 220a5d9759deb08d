//! Values of template variables, checked, and where they go.

use serde_json::{Map, Value};

/// Everything that is wrong with the values of a submission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct Refused {
    /// The problems, each with the variable's name.
    pub problems: Vec<String>,
}

impl Refused {
    pub(super) fn one(problem: &str) -> Self {
        let problems = vec![problem.to_owned()];
        Self { problems }
    }
}

/// Values that fit their variables; made by [`Template::check`](super::Template::check).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values(Map<String, Value>);

impl Values {
    pub(super) fn new(values: Map<String, Value>) -> Self {
        Self(values)
    }

    /// The values by name, defaults included.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The configuration with `{{name}}` replaced in its texts; keys stay. A text that is
    /// nothing but one variable becomes the variable's value, with its type. Names nobody
    /// knows stay as they are written, and values are not read for variables again.
    pub fn fill(&self, config: &Value) -> Value {
        match config {
            Value::String(text) => self.whole(text).cloned().unwrap_or_else(|| {
                let filled = self.text(text);
                Value::String(filled)
            }),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| (key.clone(), self.fill(value)))
                .collect(),
            other => other.clone(),
        }
    }

    /// The value of a text that is one variable.
    fn whole(&self, text: &str) -> Option<&Value> {
        let name = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        self.0.get(name.trim())
    }

    fn text(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            filled.push_str(before);
            let found = after
                .split_once("}}")
                .and_then(|(name, after)| Some((self.0.get(name.trim())?, after)));
            rest = match found {
                Some((Value::String(value), after)) => {
                    filled.push_str(value);
                    after
                }
                Some((value, after)) => {
                    filled.push_str(&value.to_string());
                    after
                }
                None => {
                    filled.push_str("{{");
                    after
                }
            };
        }
        filled + rest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::template::Template;

    fn template() -> Template {
        let definitions = json!([
            {"name": "n", "schema": r#"{"type": "integer", "default": 2}"#},
            {"name": "pool", "schema": {"type": "string"}},
        ]);
        Template::of(&definitions).unwrap()
    }

    #[test]
    fn a_variable_alone_keeps_its_type() {
        let values = template().check(&json!({"pool": "{{n}}"})).unwrap();
        let config =
            json!({"{{n}}": "{{ n }}", "a": ["x{{n}}{{pool}}", "{{nope}}{{", "{{{n}}}", 1]});
        let filled = json!({"{{n}}": 2, "a": ["x2{{n}}", "{{nope}}{{", "{{{n}}}", 1]});
        assert_eq!(values.fill(&config), filled);
    }

    #[test]
    fn every_problem_is_told() {
        let refused = template()
            .check(&json!({"n": "x", "pol": "a"}))
            .unwrap_err();
        assert_eq!(refused.problems.len(), 3, "{refused}");
        assert!(refused.to_string().contains("did you mean `pool`?"));
        assert!(
            refused
                .to_string()
                .contains("`pool`: expected a text, found nothing")
        );
        assert!(template().check(&json!([])).is_err());
    }

    proptest! {
        #[test]
        fn text_without_variables_is_kept(text in "[{} a]{0,16}|.{0,16}") {
            let filled = Values::default().fill(&json!(text.clone()));
            prop_assert_eq!(filled, json!(text));
        }
    }
}
