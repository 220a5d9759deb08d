//! What one template variable may be.

use std::fmt;

use serde_json::{Map, Number, Value};

/// Why a variable's definition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template variable `{name}`: {why}")]
pub struct SchemaError {
    name: String,
    why: &'static str,
}

impl SchemaError {
    pub(super) fn new(name: &str, why: &'static str) -> Self {
        let name = name.to_owned();
        Self { name, why }
    }
}

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
}

/// What one variable may be. Its bounds are consistent and its default lies within them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Schema {
    /// Its type.
    pub kind: Kind,
    /// The only values it may have; empty if every value of its type may be.
    pub values: Vec<Value>,
    /// The least value.
    pub minimum: Option<Number>,
    /// The greatest value.
    pub maximum: Option<Number>,
    /// What it is if a submission says nothing.
    pub default: Option<Value>,
}

impl Schema {
    pub(super) fn of(name: &str, schema: &Value) -> Result<Self, SchemaError> {
        let wrong = |why| SchemaError::new(name, why);
        if !is_name(name) {
            return Err(wrong(
                "the name is not made of letters, digits, `_` and `-`",
            ));
        }
        let parsed;
        let schema = match schema {
            Value::String(text) => {
                parsed = serde_json::from_str(text).map_err(|_| wrong("the schema is not JSON"))?;
                &parsed
            }
            other => other,
        };
        let map = schema
            .as_object()
            .ok_or_else(|| wrong("the schema is no mapping"))?;
        let bounds = Self {
            kind: kind(map).ok_or_else(|| wrong("`type` is none of string, integer, number"))?,
            values: Vec::new(),
            minimum: bound(map, "minimum").ok_or_else(|| wrong("`minimum` is no number"))?,
            maximum: bound(map, "maximum").ok_or_else(|| wrong("`maximum` is no number"))?,
            default: None,
        };
        bounds.with_values(map).map_err(wrong)
    }

    fn with_values(mut self, map: &Map<String, Value>) -> Result<Self, &'static str> {
        if let (Some(low), Some(high)) = (&self.minimum, &self.maximum)
            && less(high, low)
        {
            return Err("`minimum` is greater than `maximum`");
        }
        self.values = values(map, &self).ok_or("`enum` holds no usable values")?;
        let default = map.get("default").filter(|value| !value.is_null());
        let default = default.map(|value| self.check(value)).transpose();
        self.default = default.map_err(|_| "`default` is not a value it may have")?;
        Ok(self)
    }

    /// The value, in the variable's type.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let refused = || format!("expected {self}, found {value}");
        let typed = self.typed(value).ok_or_else(refused)?;
        let within = typed.as_number().is_none_or(|number| {
            let low = self.minimum.as_ref().is_none_or(|low| !less(number, low));
            low && self.maximum.as_ref().is_none_or(|high| !less(high, number))
        });
        let listed = self.values.is_empty() || self.values.iter().any(|one| equal(one, &typed));
        (within && listed).then_some(typed).ok_or_else(refused)
    }

    fn typed(&self, value: &Value) -> Option<Value> {
        match (self.kind, value) {
            (Kind::String, Value::String(_)) | (Kind::Number, Value::Number(_)) => {
                Some(value.clone())
            }
            (Kind::Integer, Value::Number(number)) => whole(number).map(Value::Number),
            (Kind::Integer | Kind::Number, Value::String(text)) => {
                let number: Number = serde_json::from_str(text.trim()).ok()?;
                self.typed(&Value::Number(number))
            }
            _ => None,
        }
    }
}

/// A name that `{{…}}` can hold.
fn is_name(name: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(fine)
}

fn kind(map: &Map<String, Value>) -> Option<Kind> {
    match map.get("type").map(Value::as_str) {
        Some(Some("string")) => Some(Kind::String),
        Some(Some("integer")) => Some(Kind::Integer),
        Some(Some("number")) => Some(Kind::Number),
        _ => None,
    }
}

/// `None` if there is something that is no number.
#[expect(
    clippy::option_option,
    reason = "the outer one says whether it is usable, the inner one whether it is there"
)]
fn bound(map: &Map<String, Value>, key: &str) -> Option<Option<Number>> {
    match map.get(key) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_number().cloned().map(Some),
    }
}

/// `None` if there is a list without a value, or with one of another type.
fn values(map: &Map<String, Value>, schema: &Schema) -> Option<Vec<Value>> {
    match map.get("enum") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(list)) if !list.is_empty() => {
            list.iter().map(|value| schema.typed(value)).collect()
        }
        Some(_) => None,
    }
}

/// A number without a fraction as an integer: JSON knows one kind, Python two.
fn whole(number: &Number) -> Option<Number> {
    if number.is_i64() || number.is_u64() {
        return Some(number.clone());
    }
    let float = number.as_f64()?;
    let text = format!("{float:.0}");
    let exact = float.fract() == 0.0;
    exact.then(|| text.parse::<i64>().ok().map(Number::from))?
}

/// Exact for integers, as floats for the rest.
fn less(a: &Number, b: &Number) -> bool {
    let integer = |n: &Number| n.as_i64().map(i128::from).or(n.as_u64().map(i128::from));
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64() < b.as_f64(),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => !less(a, b) && !less(b, a),
        _ => a == b,
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::String => "a text",
            Kind::Integer => "a whole number",
            Kind::Number => "a number",
        })?;
        match (&self.minimum, &self.maximum) {
            (Some(low), Some(high)) => write!(f, " from {low} to {high}")?,
            (Some(low), None) => write!(f, " of at least {low}")?,
            (None, Some(high)) => write!(f, " of at most {high}")?,
            (None, None) => {}
        }
        for (index, value) in self.values.iter().enumerate() {
            let gap = if index == 0 { ": " } else { ", " };
            write!(f, "{gap}{value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_has_to_be_consistent() {
        for (schema, word) in [
            (json!({}), "`type`"),
            (json!({"type": "boolean"}), "`type`"),
            (json!({"type": "integer", "minimum": "x"}), "`minimum`"),
            (
                json!({"type": "integer", "minimum": 2, "maximum": 1}),
                "greater",
            ),
            (json!({"type": "string", "enum": []}), "`enum`"),
            (json!({"type": "string", "enum": [1]}), "`enum`"),
            (
                json!({"type": "integer", "maximum": 1, "default": 2}),
                "`default`",
            ),
            (json!("{"), "not JSON"),
            (json!(1), "no mapping"),
        ] {
            let error = Schema::of("x", &schema).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(Schema::of("a b", &json!({"type": "string"})).is_err());
    }

    #[test]
    fn values_are_of_the_type_and_within_the_bounds() {
        let schema = |schema| Schema::of("x", &schema).unwrap();
        let integer = schema(json!({"type": "integer", "minimum": 1, "maximum": 8}));
        for (value, expected) in [
            (json!(8), Some(json!(8))),
            (json!("3"), Some(json!(3))),
            (json!(2.0), Some(json!(2))),
            (json!(9), None),
            (json!(0), None),
            (json!(1.5), None),
            (json!("many"), None),
            (json!(true), None),
        ] {
            assert_eq!(integer.check(&value).ok(), expected, "{value}");
        }
        let listed = schema(json!({"type": "number", "enum": [0.5, 1]}));
        assert_eq!(listed.check(&json!(1.0)).unwrap(), json!(1.0));
        let error = listed.check(&json!(2)).unwrap_err();
        assert_eq!(error, "expected a number: 0.5, 1, found 2");
    }

    #[test]
    fn large_integers_are_compared_exactly() {
        let schema = json!({"type": "integer", "maximum": 9_007_199_254_740_992_i64});
        let schema = Schema::of("x", &schema).unwrap();
        assert!(schema.check(&json!(9_007_199_254_740_993_i64)).is_err());
    }
}
