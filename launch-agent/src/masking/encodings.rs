//! The forms a secret can have in a text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use url::Url;

/// Fewer letters of a form than this would be found by chance.
const SHORTEST: usize = 6;

/// All forms, the plain one included: quoted as in JSON, Rust and Python, once and twice; in URLs, in the
/// path, the query and as a password; in base64 of both alphabets, wherever it lies in what
/// was encoded, as in the header of Basic authentication.
pub(super) fn forms(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([secret.to_owned()]);
    let quoted = [
        in_json(secret),
        in_ascii(&in_json(secret)),
        format!("{secret:?}"),
    ];
    let mut once = quoted.map(without_quotes).to_vec();
    once.push(secret.replace('\\', "\\\\"));
    forms.extend(once.iter().map(|form| without_quotes(in_json(form))));
    forms.extend(once);
    forms.extend(in_urls(secret));
    for place in 0..3 {
        forms.extend(in_base64(secret, place));
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn in_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// JSON whose letters are all of ASCII.
fn in_ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter.is_ascii() {
            text.push(letter);
            continue;
        }
        let mut units = [0; 2];
        for unit in letter.encode_utf16(&mut units) {
            // Writing to a text cannot fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

fn without_quotes(text: String) -> String {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.map(str::to_owned).unwrap_or(text)
}

fn in_urls(secret: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let strict = query.replace('+', "%20").replace('*', "%2A");
    let python = strict.replace("%7E", "~");
    let mut forms = vec![python.replace("%2F", "/"), python, strict, query];
    if let Ok(mut url) = Url::parse("https://u@h") {
        // Fails only for URLs that have no host.
        let _ = url.set_password(Some(secret));
        forms.extend(url.password().map(str::to_owned));
    }
    // Both cases of the digits are in use.
    let lower = |form: &String| -> String {
        let mut left = 0;
        let digit = |letter: char| {
            left = if letter == '%' {
                3
            } else {
                i32::max(left - 1, 0)
            };
            if left > 0 {
                letter.to_ascii_lowercase()
            } else {
                letter
            }
        };
        form.chars().map(digit).collect()
    };
    let lower: Vec<String> = forms.iter().map(lower).collect();
    forms.extend(lower);
    forms
}

/// The letters that are the same whatever stands before and behind, if `place` bytes stand
/// before in its group of three.
fn in_base64(secret: &str, place: usize) -> [String; 2] {
    let mut bytes = vec![0; place];
    bytes.extend_from_slice(secret.as_bytes());
    // Letters of six bits: the first that has none of those before, the last that is whole.
    let (first, last) = ((place * 8).div_ceil(6), bytes.len() * 8 / 6);
    let letters = |text: String| text[first..last].to_owned();
    [
        letters(STANDARD_NO_PAD.encode(&bytes)),
        letters(URL_SAFE_NO_PAD.encode(&bytes)),
    ]
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn base64_is_found_wherever_it_lies() {
        let secret = "hunter2-hunter2?>";
        let forms = forms(secret);
        for (before, after) in [
            ("", ""),
            ("a", "b"),
            ("ab", ""),
            ("user:", "\n"),
            ("api:", "!!"),
        ] {
            for engine in [&STANDARD, &base64::engine::general_purpose::URL_SAFE] {
                let text = engine.encode(format!("{before}{secret}{after}"));
                let is_found = forms.iter().any(|form| text.contains(form.as_str()));
                assert!(is_found, "{before}: {text}");
            }
        }
    }

    #[test]
    fn urls_and_json_are_known() {
        let forms = forms("a b/c\"ü&d*");
        for form in [
            "a+b%2Fc%22%C3%BC%26d*",
            "a%20b%2Fc%22%C3%BC%26d%2A",
            "a%20b%2fc%22%c3%bc%26d%2a",
            "a b/c\\\"ü&d*",
            "a b/c\\\"\\u00fc&d*",
            "a b/c\\\\\\\"ü&d*",
        ] {
            assert!(forms.contains(form), "{form} is not in {forms:#?}");
        }
    }
}
