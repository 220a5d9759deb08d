//! Where secrets are learned.

use launch_config::secret::Secret;
use serde_json::Value;
use url::Url;

use super::{secret, secrets_of_spec};

/// Words of a name that say its value is secret.
const SECRET: [&str; 8] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pat",
    "apikey",
    "credential",
    "passphrase",
];

/// Words before `key` that say so.
const KEYS: [&str; 6] = [
    "api",
    "access",
    "private",
    "account",
    "signing",
    "encryption",
];

/// Words at the end that say it is only where a secret is, or whose.
const NAMES: [&str; 9] = [
    "file", "path", "dir", "id", "name", "url", "uri", "arn", "type",
];

/// Learns the secrets of the environment.
pub(crate) fn environment(variables: impl IntoIterator<Item = (String, String)>) {
    for (name, value) in variables {
        if is_secret(&name) {
            secret(&Secret::new(value));
        } else {
            url(&value);
        }
    }
}

/// Learns the password of a URL of this process, if the text is one.
pub(crate) fn url(text: &str) {
    for password in passwords(text) {
        secret(&Secret::new(password));
    }
}

/// Learns the secrets of a spec: its key, variables whose names say so, passwords of URLs.
pub(crate) fn spec(spec: &Value) {
    let mut found = Vec::new();
    walk("", spec, &mut found);
    secrets_of_spec(found);
}

fn walk(name: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if is_secret(name) => found.push(text.clone()),
        Value::String(text) => {
            found.extend(passwords(text));
            if let Some((name, value)) = text.split_once('=')
                && is_secret(name)
            {
                found.push(value.to_owned());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(name, item, found)),
        Value::Object(fields) => {
            // `{name: TOKEN, value: …}`, as Kubernetes has it.
            let named = fields.get("name").and_then(Value::as_str);
            for (key, item) in fields {
                let name = if key == "value" { named } else { None };
                // Hyperparameters have tokens of another kind.
                if key != "run_config" {
                    walk(name.unwrap_or(key), item, found);
                }
            }
        }
        _ => {}
    }
}

/// Whether a name says that its value is secret: `WANDB_API_KEY`, `github-token`.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    if words.last().is_none_or(|last| NAMES.contains(last)) {
        return false;
    }
    let is_key = |pair: &[&str]| KEYS.contains(&pair[0]) && pair[1] == "key";
    words.iter().any(|word| SECRET.contains(word)) || words.windows(2).any(is_key)
}

/// The password of a URL as it is and as it is written; a user name alone may be a token.
fn passwords(text: &str) -> Vec<String> {
    let Ok(url) = Url::parse(text) else {
        return Vec::new();
    };
    let written = match url.password() {
        Some(password) => password,
        None if matches!(url.scheme(), "http" | "https") => url.username(),
        None => return Vec::new(),
    };
    let query = format!("x={}", written.replace('+', "%2B"));
    let plain = url::form_urlencoded::parse(query.as_bytes()).next();
    let plain = plain.map(|(_, plain)| plain.into_owned());
    plain.into_iter().chain([written.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_say_what_is_secret() {
        for name in [
            "WANDB_API_KEY",
            "_wandb_api_key",
            "AWS_SECRET_ACCESS_KEY",
            "github-token",
            "PGPASSWORD_TOKEN",
            "db.password",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "WANDB_IDENTITY_TOKEN_FILE",
            "AWS_ACCESS_KEY_ID",
            "tokenizer",
            "max_tokens",
            "key",
            "monkey",
            "secret-name",
            "",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_spec_has_its_secrets_in_many_places() {
        let spec = json!({
            "uri": "https://ann:p%40ss-word@host/r.git",
            "_wandb_api_key": "k-123456",
            "overrides": {"run_config": {"pad_token": "<|endoftext|>"}},
            "resource_args": {
                "local-container": {"env": ["HF_TOKEN=hf_abcdef", "MODE=fast"]},
                "kubernetes": {"env": [{"name": "DB_PASSWORD", "value": "db-123456"}]},
            },
        });
        let mut found = Vec::new();
        walk("", &spec, &mut found);
        found.sort();
        let wanted = [
            "db-123456",
            "hf_abcdef",
            "k-123456",
            "p%40ss-word",
            "p@ss-word",
        ];
        assert_eq!(found, wanted);
    }
}
