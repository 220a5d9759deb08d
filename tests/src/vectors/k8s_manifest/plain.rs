//! Both outputs without what nobody compares: the order of variables and the encoding of
//! secrets.

use serde_json::{Value, json};

/// The value with variables sorted by name (those of one name stay in order) and logins
/// of registries decoded.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| {
                let value = match (key.as_str(), value) {
                    ("env", Value::Array(items)) => sorted(items),
                    (".dockerconfigjson", Value::String(text)) => decoded(text),
                    (_, value) => plain(value),
                };
                (key.clone(), value)
            });
            Value::Object(pairs.collect())
        }
        Value::String(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |inner: Value| plain(&inner))
        }
        other => other.clone(),
    }
}

fn sorted(items: &[Value]) -> Value {
    let mut items: Vec<Value> = items.iter().map(plain).collect();
    items.sort_by_key(|item| item["name"].as_str().unwrap_or_default().to_owned());
    Value::Array(items)
}

/// Base64 of JSON.
fn decoded(text: &str) -> Value {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for c in text.chars().filter(|c| *c != '=') {
        let Some(value) = ALPHABET.find(c) else {
            return json!(text);
        };
        bits = bits << 6 | u32::try_from(value).unwrap_or_default();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(text))
}

/// A name as the original makes it safe: small letters, digits and single dashes, 63.
pub(super) fn safe(text: &str) -> Option<String> {
    let mut safe = String::new();
    for c in text.to_lowercase().replace('_', "-").chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' && !safe.ends_with('-') {
            safe.push(c);
        }
    }
    safe.truncate(63);
    let safe = safe.trim_matches('-').to_owned();
    (!safe.is_empty()).then_some(safe)
}

/// Every text under `name` made safe, at any depth: as the original does.
pub(super) fn all_names_safe(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(all_names_safe),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "name" => {
                        if let Some(safe) = safe(text) {
                            *text = safe;
                        }
                    }
                    value => all_names_safe(value),
                }
            }
        }
        _ => {}
    }
}
