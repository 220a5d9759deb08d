//! Writes a JSON value as YAML that every reader reads alike, of 1.1 and of 1.2.

use serde_json::{Map, Number, Value};

use super::scalar;

/// The longest key that may stand in front of its `:` without a `?`; YAML says 1024
/// characters, quotes and escapes included.
const MAX_KEY: usize = 1000;

/// Shows a value as YAML, with a newline at its end.
pub(crate) fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(map, 0, false, &mut out),
        Value::Array(items) if !items.is_empty() => list(items, 0, false, &mut out),
        other => {
            out.push_str(&flat(other));
            out.push('\n');
        }
    }
    out
}

/// The entries, one a line; `open` if the first one continues a line already begun.
fn mapping(map: &Map<String, Value>, indent: usize, open: bool, out: &mut String) {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 || !open {
            pad(indent, out);
        }
        let key = quoted_if_needed(key);
        if key.len() > MAX_KEY {
            out.push_str("? ");
            out.push_str(&key);
            out.push('\n');
            pad(indent, out);
        } else {
            out.push_str(&key);
        }
        out.push(':');
        below_key(value, indent, out);
    }
}

fn below_key(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(map, indent + 2, false, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(items, indent, false, out);
        }
        other => {
            out.push(' ');
            single(other, indent + 2, out);
        }
    }
}

fn list(items: &[Value], indent: usize, open: bool, out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !open {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(map, indent + 2, true, out),
            Value::Array(items) if !items.is_empty() => list(items, indent + 2, true, out),
            other => single(other, indent + 2, out),
        }
    }
}

fn single(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(text) if fits_block(text) => block(text, indent, out),
        other => {
            out.push_str(&flat(other));
            out.push('\n');
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => quoted_if_needed(text),
        Value::Number(number) => shown(number),
        // `null`, `true`, `[]` and `{}` are the same in JSON.
        other => other.to_string(),
    }
}

/// A float needs a dot and the sign of its exponent to be one in YAML 1.1.
fn shown(number: &Number) -> String {
    let text = number.to_string();
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let dot = if mantissa.contains('.') { "" } else { ".0" };
    let sign = if exponent.starts_with(['-', '+']) {
        ""
    } else {
        "+"
    };
    format!("{mantissa}{dot}e{sign}{exponent}")
}

/// Several lines that read the same as a `|` block: a script, a Dockerfile.
fn fits_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let line = |line: &str| line.is_empty() || !line.trim().is_empty();
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(line)
        && body.chars().all(|c| c == '\n' || is_plain(c))
}

fn block(text: &str, indent: usize, out: &mut String) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.lines() {
        if !line.is_empty() {
            pad(indent, out);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// Characters that need no escape in any style.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') || (c.is_alphanumeric() && !c.is_ascii())
}

fn quoted_if_needed(text: &str) -> String {
    if reads_as_itself(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_plain(c) => out.push(c),
            c => out.push_str(&escape(c)),
        }
    }
    out.push('"');
    out
}

fn escape(c: char) -> String {
    let code = u32::from(c);
    if code <= 0xffff {
        format!("\\u{code:04x}")
    } else {
        format!("\\U{code:08x}")
    }
}

/// Whether a text may stand without quotes. What starts like a number or a date never
/// does, whatever the version of YAML makes of it.
fn reads_as_itself(text: &str) -> bool {
    let first = |c: char| c.is_alphabetic() || matches!(c, '_' | '/' | '$');
    let inner = |c: char| c.is_alphanumeric() || "_/$.-+=@,:;()~ %*&!?^<>".contains(c);
    text.starts_with(first)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && text.chars().all(inner)
        && !is_word(text)
        && scalar::plain(text).is_ok_and(|value| value.is_string())
}

/// The words that some reader takes for a boolean or for nothing.
fn is_word(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}
