//! JSON as Python's `json.dumps` writes it by default: `", "` and `": "`, ASCII only.
//!
//! What a run reads from its environment is compared and cut by character position, so
//! the spelling is part of the interface.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

/// Writes a value the way Python would.
pub(crate) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// Writes a mapping the way Python would.
pub(crate) fn dumps_map(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    mapping(map, &mut out);
    out
}

fn mapping(map: &Map<String, Value>, out: &mut String) {
    list(map.iter(), '{', '}', out, |(key, value), out| {
        string(key, out);
        out.push_str(": ");
        write(value, out);
    });
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => string(text, out),
        Value::Array(items) => list(items.iter(), '[', ']', out, write),
        Value::Object(map) => mapping(map, out),
    }
}

fn list<T>(
    items: impl Iterator<Item = T>,
    open: char,
    close: char,
    out: &mut String,
    item: impl Fn(T, &mut String),
) {
    out.push(open);
    for (index, value) in items.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        item(value, out);
    }
    out.push(close);
}

fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// A number by its digits, so that an integer beyond 64 bits keeps all of them where the
/// parser kept them (`serde_json`'s `arbitrary_precision`).
fn number_text(number: &Number) -> String {
    spelled(&number.to_string())
}

fn spelled(literal: &str) -> String {
    if !literal.contains(['.', 'e', 'E']) {
        // Python has no negative zero among its integers.
        return if literal == "-0" { "0" } else { literal }.to_owned();
    }
    // What is too large for a float is infinite to Python, which then writes a word that
    // is no JSON, but that it reads.
    match literal.parse::<f64>() {
        Ok(float) if float.is_infinite() && float > 0.0 => "Infinity".to_owned(),
        Ok(float) if float.is_infinite() => "-Infinity".to_owned(),
        Ok(float) => float_text(float),
        Err(_) => literal.to_owned(),
    }
}

/// Python's `repr` of a float: shortest digits, an exponent below 1e-4 and from 1e16 on.
fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{float}");
        return if plain.contains('.') {
            plain
        } else {
            format!("{plain}.0")
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_spelled_as_python_spells_it() {
        assert_eq!(
            dumps(&json!({"lr": 0.1, "n": "é"})),
            r#"{"lr": 0.1, "n": "\u00e9"}"#
        );
        assert_eq!(
            dumps(&json!(["😀", null, true, []])),
            r#"["\ud83d\ude00", null, true, []]"#
        );
        assert_eq!(dumps(&json!("\u{7f}\n")), r#""\u007f\n""#);
    }

    #[test]
    fn integers_keep_their_digits_and_floats_their_size() {
        for (literal, text) in [
            (
                "1267650600228229401496703205376",
                "1267650600228229401496703205376",
            ),
            ("-0", "0"),
            ("1E5", "100000.0"),
            ("1e400", "Infinity"),
            ("-1e400", "-Infinity"),
        ] {
            assert_eq!(spelled(literal), text);
        }
        // One bit more or less than written would be another hyperparameter.
        for literal in ["0.30000000000000004", "5e-324", "1.7976931348623157e+308"] {
            let value: Value = serde_json::from_str(literal).unwrap();
            assert_eq!(dumps(&value), literal);
        }
        assert_eq!(dumps(&json!(u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn floats_switch_to_exponents_where_python_does() {
        for (float, text) in [
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1.5e300, "1.5e+300"),
            (-0.0, "-0.0"),
            (2.0, "2.0"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
        ] {
            assert_eq!(float_text(float), text);
        }
    }

    proptest! {
        #[test]
        fn every_text_and_number_reads_back(text in ".{0,20}", float in any::<f64>()) {
            let value = json!({ text.clone(): [text, float] });
            let written = dumps(&value);
            prop_assert!(written.is_ascii());
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), value);
        }
    }
}
