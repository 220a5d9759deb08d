//! Logins in a netrc file, as `wandb login` writes them.
//!
//! The form is that of `netrc(5)`: tokens between blanks, `machine NAME login NAME password
//! TEXT`, one `default`, `#` comments, and macros (`macdef`), which end with an empty line.
//! A token may stand in double quotes, with `\` before a character that is to be itself.
//!
//! ```
//! use launch_config::netrc::password;
//!
//! let text = "machine api.wandb.ai\n  login user\n  password s3cret\n";
//! assert_eq!(password(text, "api.wandb.ai").unwrap().expose(), "s3cret");
//! assert!(password(text, "other.example.com").is_none());
//! ```

use url::Url;

use crate::secret::Secret;

/// The name under which a server stands in a netrc file: its host, with its port if the
/// URL names one.
pub fn machine(server: &Url) -> Option<String> {
    let host = server.host_str()?;
    Some(match server.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// The password for a machine, or the default one.
pub fn password(text: &str, machine: &str) -> Option<Secret> {
    let mut default = None;
    let mut entry = Entry::None;
    let mut tokens = Tokens { rest: text };
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "machine" => {
                let is_wanted = tokens.next().is_some_and(|name| name == machine);
                entry = if is_wanted {
                    Entry::Wanted
                } else {
                    Entry::None
                };
            }
            "default" => entry = Entry::Default,
            "macdef" => tokens.skip_macro(),
            "login" | "account" => {
                tokens.next();
            }
            "password" => {
                let password = tokens.next().map(Secret::new);
                match entry {
                    Entry::Wanted => return password,
                    Entry::Default => default = default.or(password),
                    Entry::None => {}
                }
            }
            _ => {}
        }
    }
    default
}

/// Whose entry the tokens are in.
enum Entry {
    None,
    Default,
    Wanted,
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    fn skip_macro(&mut self) {
        let end = self
            .rest
            .find("\n\n")
            .map_or(self.rest.len(), |end| end + 2);
        self.rest = &self.rest[end..];
    }

    fn quoted(&mut self) -> String {
        let mut token = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        let mut end = self.rest.len();
        while let Some((index, c)) = chars.next() {
            match c {
                '"' => {
                    end = index + 1;
                    break;
                }
                '\\' => token.extend(chars.next().map(|(_, c)| c)),
                c => token.push(c),
            }
        }
        self.rest = &self.rest[end..];
        token
    }
}

impl Iterator for Tokens<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            // A comment ends with its line; inside a token, `#` is a character.
            if !self.rest.starts_with('#') {
                break;
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
        }
        if self.rest.is_empty() {
            return None;
        }
        if self.rest.starts_with('"') {
            return Some(self.quoted());
        }
        let end = self
            .rest
            .find(char::is_whitespace)
            .unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(token.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str, machine: &str) -> Option<String> {
        password(text, machine).map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn entries_are_found_by_machine() {
        let text = "# mine\nmachine a login user password \"p \\\"1\"\nmachine b:8080\n\tlogin machine\n\
                    \tpassword p#2\nmacdef init\nmachine c password no\n\ndefault login x password p3\n";
        assert_eq!(found(text, "a").as_deref(), Some("p \"1"));
        assert_eq!(found(text, "b:8080").as_deref(), Some("p#2"));
        assert_eq!(found(text, "c").as_deref(), Some("p3"));
        assert_eq!(found("machine a login x", "a"), None);
        assert_eq!(found("machine", "a"), None);
    }

    #[test]
    fn a_server_is_its_host_and_port() {
        let of = |text: &str| machine(&Url::parse(text).unwrap()).unwrap();
        assert_eq!(of("https://api.wandb.ai"), "api.wandb.ai");
        assert_eq!(of("http://localhost:8080/x"), "localhost:8080");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(machine|password|default|macdef|\"|\\\\|#| |\n|\\PC){0,40}") {
            let _ = password(&text, "a");
        }
    }
}
