//! Compares by value, as the vectors' README says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{ACCIDENT, Answer, Case};

/// More differing places than this are counted, not shown.
const SHOWN: usize = 6;
/// Longer values are cut, in characters.
const WIDTH: usize = 160;
/// The key under which text that is JSON stands after it was decoded, so that a text and
/// the mapping it decodes to stay different.
const DECODED: &str = "(decoded)";

/// Where the answer differs from the case, a line each; none if they agree.
pub(super) fn differences(case: &Case, answer: &Answer, details: &[&str]) -> Vec<String> {
    match (answer, case.error.as_deref()) {
        (Answer::NotImplemented, _) => vec!["not implemented".to_owned()],
        (Answer::Panicked(text), _) => vec![format!("panicked: {text}")],
        (_, Some(ACCIDENT)) => Vec::new(),
        (Answer::Accepted(output), None) => values(&case.output, output),
        (Answer::Accepted(output), Some(class)) => {
            vec![format!(
                "must be refused ({class}), was accepted: {}",
                short(output)
            )]
        }
        (Answer::Refused { message, .. }, None) => {
            vec![format!("must be accepted, was refused: {message}")]
        }
        (
            Answer::Refused {
                class,
                details: ours,
                message,
            },
            Some(expected),
        ) => {
            let told = |name: &&&str| case.output.get(**name).is_some();
            let details: Vec<&str> = details.iter().filter(told).copied().collect();
            let mut lines = values(&only(&case.output, &details), &only(ours, &details));
            if class.is_some_and(|class| class != expected) {
                lines.push(format!("refused for another reason than: {expected}"));
            }
            if !lines.is_empty() {
                lines.push(format!("the message was: {message}"));
            }
            lines
        }
    }
}

/// The details that are compared; a list of mappings with a `key` becomes its set of keys.
fn only(output: &Value, details: &[&str]) -> Value {
    let pick = |name: &&str| Some(((*name).to_owned(), keys(output.get(*name)?)));
    Value::Object(details.iter().filter_map(pick).collect())
}

fn keys(list: &Value) -> Value {
    let key = |item: &Value| item.get("key").and_then(Value::as_str).map(str::to_owned);
    let keys: Option<BTreeSet<String>> = list
        .as_array()
        .and_then(|items| items.iter().map(key).collect());
    keys.map_or_else(|| list.clone(), |keys| keys.into_iter().collect())
}

fn values(expected: &Value, found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    walk("", &decoded(expected), &decoded(found), &mut lines);
    let more = lines.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.truncate(SHOWN);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// The value with every text that holds a JSON mapping or list read as such.
fn decoded(value: &Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => serde_json::from_str::<Value>(text)
            .map_or_else(
                |_| value.clone(),
                |inner| Value::Object(Map::from_iter([(DECODED.to_owned(), decoded(&inner))])),
            ),
        Value::Array(items) => items.iter().map(decoded).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), decoded(value)))
            .collect(),
        other => other.clone(),
    }
}

fn walk(path: &str, expected: &Value, found: &Value, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                match got.get(key) {
                    Some(other) => walk(&path, value, other, lines),
                    None => lines.push(format!("{path}: expected {}, is missing", short(value))),
                }
            }
            let extra = got.iter().filter(|(key, _)| !wanted.contains_key(*key));
            lines.extend(
                extra.map(|(key, value)| format!("{path}.{key}: not expected: {}", short(value))),
            );
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (index, (value, other)) in wanted.iter().zip(got).enumerate() {
                walk(&format!("{path}[{index}]"), value, other, lines);
            }
        }
        _ if expected == found => {}
        _ => {
            let path = if path.is_empty() { "output" } else { path };
            let (expected, found) = (short(expected), short(found));
            lines.push(format!("{path}: expected {expected}, found {found}"));
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_counts_in_no_mapping_and_the_order_of_items_in_every_list() {
        let expected = json!({"a": 1, "env": {"WANDB_CONFIG": "{\"x\": 1, \"y\": [1, 2]}"}});
        let same = json!({"env": {"WANDB_CONFIG": "{\"y\":[1,2],\"x\":1}"}, "a": 1});
        assert_eq!(values(&expected, &same), Vec::<String>::new());
        let other = json!({"env": {"WANDB_CONFIG": "{\"y\":[2,1],\"x\":1}"}, "a": 1});
        assert_eq!(values(&expected, &other).len(), 2);
    }

    #[test]
    fn a_text_is_not_the_mapping_it_holds() {
        assert_eq!(values(&json!("{\"a\": 1}"), &json!({"a": 1})).len(), 2);
        assert_eq!(values(&json!("{\"a\": "), &json!("{\"a\": ")).len(), 0);
        assert_eq!(values(&json!(1), &json!(true)).len(), 1);
    }

    #[test]
    fn rejected_keys_are_a_set() {
        let ours = json!({"rejected": [{"key": "b"}, {"key": "a", "kind": "x"}]});
        let theirs = json!({"rejected": [{"key": "a"}, {"key": "b"}], "stage": "schema"});
        let details = ["rejected", "path"];
        assert_eq!(only(&theirs, &details), only(&ours, &details));
        assert_eq!(only(&json!({"path": ["a", 0]}), &["path"])["path"][1], 0);
    }
}
