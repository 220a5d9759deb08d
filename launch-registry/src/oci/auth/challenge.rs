//! Reads `WWW-Authenticate` (RFC 9110 section 11.6.1).

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// How a registry wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer(Bearer),
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    /// What the refused request would have needed, by the registry's account.
    pub(crate) scope: Option<String>,
    /// `insufficient_scope` if the token was good and not enough (RFC 6750 section 3.1).
    pub(crate) error: Option<String>,
}

impl Challenge {
    /// What the headers of a 401 ask for.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        Self::choose(&values)
    }

    /// The best of what the headers offer: `Bearer` before `Basic`; others are not ours.
    fn choose(headers: &[&str]) -> Option<Self> {
        let offers: Vec<Offer> = headers.iter().flat_map(|header| parse(header)).collect();
        let bearer = offers
            .iter()
            .find_map(|offer| offer.bearer().map(Self::Bearer));
        bearer.or_else(|| {
            offers
                .iter()
                .any(|offer| offer.is("basic"))
                .then_some(Self::Basic)
        })
    }

    /// Whether a good token was not enough.
    pub(crate) fn is_insufficient(&self) -> bool {
        matches!(self, Self::Bearer(bearer) if bearer.error.as_deref() == Some("insufficient_scope"))
    }
}

struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn new(scheme: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            parameters: Vec::new(),
        }
    }

    fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let found = self
            .parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    fn bearer(&self) -> Option<Bearer> {
        let realm = self.parameter("realm").filter(|_| self.is("bearer"))?;
        let [service, scope, error] =
            ["service", "scope", "error"].map(|name| self.parameter(name));
        Some(Bearer {
            realm,
            service,
            scope,
            error,
        })
    }
}

/// Splits a header into its offers. A word that `=` does not follow opens a new one; what
/// makes no sense is skipped, since a later offer may still do.
fn parse(header: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let Some(first) = rest.chars().next() else {
            return offers;
        };
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        if end == 0 {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, behind) = rest.split_at(end);
        rest = behind;
        let after = rest.trim_start_matches([' ', '\t']);
        let value = after
            .strip_prefix('=')
            .filter(|value| !value.starts_with('='));
        match (value, offers.last_mut()) {
            (Some(value), Some(offer)) => {
                let (value, after) = take_value(value.trim_start_matches([' ', '\t']));
                offer.parameters.push((word.to_owned(), value));
                rest = after;
            }
            (Some(value), None) => rest = value,
            (None, _) => offers.push(Offer::new(word)),
        }
    }
}

/// A token or a quoted string, and what follows it.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(header: &str) -> Bearer {
        match Challenge::choose(&[header]) {
            Some(Challenge::Bearer(bearer)) => bearer,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn quoted_strings_may_hold_commas_and_escapes() {
        let header = r#"Bearer realm="https://a.io/t",service="r \"x\", y",scope="repository:a/b:pull,push",error=insufficient_scope"#;
        let found = bearer(header);
        assert_eq!(found.realm, "https://a.io/t");
        assert_eq!(found.service.as_deref(), Some(r#"r "x", y"#));
        assert_eq!(found.scope.as_deref(), Some("repository:a/b:pull,push"));
        assert!(Challenge::Bearer(found).is_insufficient());
    }

    #[test]
    fn spelling_is_free() {
        assert_eq!(
            bearer(r#"bearer  Realm = "x" , SERVICE=y"#)
                .service
                .as_deref(),
            Some("y")
        );
        assert_eq!(
            Challenge::choose(&["BASIC realm=\"r\""]),
            Some(Challenge::Basic)
        );
        assert_eq!(Challenge::choose(&["Basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn bearer_goes_before_basic_in_one_header_or_several() {
        for headers in [
            vec![r#"Basic realm="x", Bearer realm="https://t""#],
            vec![
                r#"Basic realm="x""#,
                r#"Negotiate abc==, Bearer realm="https://t""#,
            ],
        ] {
            assert!(
                matches!(Challenge::choose(&headers), Some(Challenge::Bearer(_))),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn nonsense_is_no_challenge_and_no_panic() {
        let nonsense = [
            "",
            ",,,",
            "=",
            "\"",
            "Bearer",
            "Bearer realm",
            "Digest x=\"\\",
            "a=b=c",
            "é\"é=",
            "= \"\u{e9}",
        ];
        for header in nonsense {
            assert_eq!(Challenge::choose(&[header]), None, "{header}");
        }
    }
}
