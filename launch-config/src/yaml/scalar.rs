//! What a plain scalar means, by the rules of `PyYAML` 6 (`resolver.py` and
//! `constructor.py`), which are YAML 1.1 with a few narrowings.

use serde_json::{Number, Value};

/// The tags that are honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Str,
    Int,
    Float,
    Bool,
    Null,
    Map,
    Seq,
}

/// Why a scalar has no value: a message and a hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) message: String,
    pub(super) hint: &'static str,
}

/// What an untagged plain scalar says.
pub(super) fn plain(text: &str) -> Result<Value, Unreadable> {
    if let Some(value) = word(text) {
        return Ok(value);
    }
    match text.as_bytes().first() {
        Some(b'-' | b'+' | b'.' | b'0'..=b'9') if is_float(text) => float(text),
        Some(b'-' | b'+' | b'0'..=b'9') if is_int(text) => int(text),
        _ => Ok(Value::from(text)),
    }
}

/// What a scalar with a tag says; `None` if the tag is for collections.
pub(super) fn tagged(tag: Tag, text: &str) -> Option<Result<Value, Unreadable>> {
    let value = match tag {
        Tag::Str => Ok(Value::from(text)),
        Tag::Null => Ok(Value::Null),
        Tag::Int => int(text),
        Tag::Float => float(text),
        Tag::Bool => match word(&text.to_ascii_lowercase()) {
            Some(value @ Value::Bool(_)) => Ok(value),
            _ => Err(not_a(text, "boolean")),
        },
        Tag::Map | Tag::Seq => return None,
    };
    Some(value)
}

/// `null` and the booleans, in the three casings and no other; `y` and `n` are texts.
fn word(text: &str) -> Option<Value> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true.into(),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => false.into(),
        _ => return None,
    })
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['-', '+']).unwrap_or(text)
}

fn all(text: &str, wanted: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte == b'_' || wanted(byte))
}

/// Digits and underscores, a digit first.
fn is_digits(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && all(text, |byte| byte.is_ascii_digit())
}

/// One place of a number to base 60: `0` to `59`, one digit or two.
fn is_sixty(part: &str) -> bool {
    match part.as_bytes() {
        [b'0'..=b'5', b'0'..=b'9'] => true,
        [digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

fn is_int(text: &str) -> bool {
    let text = unsigned(text);
    if let Some(bits) = text.strip_prefix("0b") {
        return all(bits, |byte| matches!(byte, b'0' | b'1'));
    }
    if let Some(nibbles) = text.strip_prefix("0x") {
        return all(nibbles, |byte| byte.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix('0') {
        return octal.is_empty() || all(octal, |byte| matches!(byte, b'0'..=b'7'));
    }
    let mut parts = text.split(':');
    parts.next().is_some_and(is_digits) && parts.all(is_sixty)
}

/// A dot is needed, and an exponent needs its sign; `-.5` is a text.
fn is_float(text: &str) -> bool {
    let bare = unsigned(text);
    if matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, fraction)) = bare.split_once('.') else {
        return false;
    };
    if whole.contains(':') {
        let mut parts = whole.split(':');
        let first = parts.next().is_some_and(is_digits);
        return first && parts.all(is_sixty) && (fraction.is_empty() || all(fraction, digit));
    }
    let (fraction, exponent) = match fraction.find(['e', 'E']) {
        Some(at) => (&fraction[..at], Some(&fraction[at + 1..])),
        None => (fraction, None),
    };
    let mantissa = if whole.is_empty() {
        bare == text && is_digits(fraction)
    } else {
        is_digits(whole) && (fraction.is_empty() || all(fraction, digit))
    };
    mantissa && exponent.is_none_or(is_exponent)
}

fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_exponent(text: &str) -> bool {
    let digits = unsigned(text);
    digits.len() < text.len() && !digits.is_empty() && digits.bytes().all(digit)
}

/// The value of an integer, in any of its notations.
fn int(text: &str) -> Result<Value, Unreadable> {
    let plain = text.trim().replace('_', "");
    let digits = unsigned(&plain);
    let magnitude = if let Some(bits) = digits.strip_prefix("0b") {
        radix(bits, 2)
    } else if let Some(nibbles) = digits.strip_prefix("0x") {
        radix(nibbles, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        radix(digits, 8)
    } else {
        sixties(digits)
    };
    let magnitude = magnitude.ok_or_else(|| not_a(text, "integer"))?;
    let value = if plain.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    i64::try_from(value)
        .map(Value::from)
        .or_else(|_| u64::try_from(value).map(Value::from))
        .map_err(|_| Unreadable {
            message: format!("the integer `{}` does not fit in 64 bits", short(text)),
            hint: "put it in quotes to keep it as text",
        })
}

/// `None` for what is not made of digits; what is too large comes back as `i128::MAX`.
fn radix(digits: &str, radix: u32) -> Option<i128> {
    digits.chars().try_fold(None, |sum: Option<i128>, c| {
        let digit = i128::from(c.to_digit(radix)?);
        let sum = sum.unwrap_or(0).saturating_mul(radix.into());
        Some(Some(sum.saturating_add(digit)))
    })?
}

/// A decimal number, or several to base 60: `1:30` is 90.
fn sixties(digits: &str) -> Option<i128> {
    digits.split(':').try_fold(0_i128, |sum, part| {
        let part = radix(part, 10)?;
        Some(sum.saturating_mul(60).saturating_add(part))
    })
}

/// The value of a float, in any of its notations.
fn float(text: &str) -> Result<Value, Unreadable> {
    let plain = text.trim().replace('_', "").to_ascii_lowercase();
    let digits = unsigned(&plain);
    let magnitude = match digits {
        ".inf" => Some(f64::INFINITY),
        ".nan" => Some(f64::NAN),
        _ => digits.split(':').try_fold(0.0, |sum, part| {
            let part: f64 = part.parse().ok()?;
            Some(sum * 60.0 + part)
        }),
    };
    let magnitude = magnitude.ok_or_else(|| not_a(text, "float"))?;
    let value = if plain.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    Number::from_f64(value)
        .map(Value::from)
        .ok_or_else(|| Unreadable {
            message: format!("`{}` is not a number that JSON can carry", short(text)),
            hint: "put it in quotes to keep it as text",
        })
}

fn not_a(text: &str, kind: &str) -> Unreadable {
    Unreadable {
        message: format!("`{}` is not a valid {kind}", short(text)),
        hint: "put it in quotes if it is a text",
    }
}

/// The start of a text, for a message.
fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A scalar that is tagged as a collection.
pub(super) fn no_collection(tag: Tag) -> Unreadable {
    let kind = if tag == Tag::Map { "mapping" } else { "list" };
    Unreadable {
        message: format!("the tag wants a {kind}, and this is a single value"),
        hint: "remove the tag",
    }
}
