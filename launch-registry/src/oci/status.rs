//! What an HTTP answer of a registry means: the one place where status becomes [`Error`].

use launch_config::secret::{self, Secret};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::Error;

/// As much of an error's body is read; the rest is of no use to anybody.
const ERROR_BODY: usize = 64 * 1024;
/// As much of it is shown.
const SENTENCE: usize = 300;

/// Of what an answer speaks.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) registry: String,
    pub(crate) repository: String,
    /// `pull from` or `push to`.
    pub(crate) action: &'static str,
}

impl Target {
    /// The error for a refused request. `request` is method and path.
    pub(crate) fn refusal(&self, status: StatusCode, request: String, said: String) -> Error {
        let (registry, repository) = (self.registry.clone(), self.repository.clone());
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized {
                registry,
                repository,
                said,
            },
            StatusCode::FORBIDDEN => Error::Denied {
                registry,
                repository,
                action: self.action,
                said,
            },
            _ => Error::Protocol {
                registry,
                status: status.as_u16(),
                request,
                said,
            },
        }
    }

    /// The error for credentials that are missing or no longer good.
    pub(crate) fn unauthorized(&self, said: impl Into<String>) -> Error {
        self.refusal(StatusCode::UNAUTHORIZED, String::new(), said.into())
    }
}

/// Reads a body, stopping with `None` once it is longer than `cap`.
pub(crate) async fn read_capped(
    mut response: Response,
    cap: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if body.len() + chunk.len() > cap {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// The useful sentence of an error's body, with `secrets` masked: a server may echo
/// what it was sent.
pub(crate) async fn sentence(mut response: Response, secrets: &[Secret]) -> String {
    let mut body = Vec::new();
    // A body that breaks off is still worth its beginning.
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ERROR_BODY - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == ERROR_BODY {
            break;
        }
    }
    secret::mask(&reduce(&body), secrets)
}

/// The error format of the distribution specification ("Error Codes"), and the two
/// shapes token services use.
#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorEntry>,
    details: Option<String>,
    error_description: Option<String>,
}

#[derive(Deserialize)]
struct ErrorEntry {
    code: Option<String>,
    message: Option<String>,
    detail: Option<serde_json::Value>,
}

impl ErrorEntry {
    fn text(&self) -> Option<String> {
        let detail = self.detail.as_ref().and_then(serde_json::Value::as_str);
        let text = [self.message.as_deref(), detail].into_iter().flatten();
        let text: Vec<&str> = text.filter(|text| !text.is_empty()).collect();
        match (text.join(", "), self.code.as_deref()) {
            (text, None) if text.is_empty() => None,
            (text, Some(code)) if text.is_empty() => Some(code.to_owned()),
            (text, Some(code)) => Some(format!("{text} ({code})")),
            (text, None) => Some(text),
        }
    }
}

/// Before: `{"errors":[{"code":"DENIED","message":"no push access","detail":null}]}`.
/// After: `no push access (DENIED)`.
fn reduce(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => {
            let entries: Vec<String> = body.errors.iter().filter_map(ErrorEntry::text).collect();
            let other = body.details.or(body.error_description).unwrap_or_default();
            if entries.is_empty() {
                other
            } else {
                entries.join("; ")
            }
        }
        Err(_) => first_line(&String::from_utf8_lossy(body)),
    };
    printable(&text)
}

/// A proxy's HTML page says nothing that its status does not.
fn first_line(text: &str) -> String {
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if line.starts_with('<') {
        String::new()
    } else {
        line.to_owned()
    }
}

/// One line, no control characters (it goes to terminals), bounded.
fn printable(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(SENTENCE)
        .collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_reduced_to_their_sentence() {
        let said = |body: &str| reduce(body.as_bytes());
        let denied = r#"{"errors":[{"code":"DENIED","message":"no push access","detail":null}]}"#;
        assert_eq!(said(denied), "no push access (DENIED)");
        let detail = r#"{"errors":[{"code":"UNKNOWN","message":"","detail":"disk full"},{}]}"#;
        assert_eq!(said(detail), "disk full (UNKNOWN)");
        assert_eq!(
            said(r#"{"details":"incorrect username or password"}"#),
            "incorrect username or password"
        );
        assert_eq!(said("<html><body>502</body></html>"), "");
        assert_eq!(
            said("\n upstream\u{1b}[31m gone \nmore"),
            "upstream [31m gone"
        );
        assert_eq!(said(&"x".repeat(5000)).len(), SENTENCE);
    }

    #[test]
    fn status_becomes_meaning() {
        let target = Target {
            registry: "r.io".into(),
            repository: "a/b".into(),
            action: "push to",
        };
        let error = |code: u16| {
            target.refusal(
                StatusCode::from_u16(code).unwrap(),
                "PUT /x".into(),
                "why".into(),
            )
        };
        assert!(matches!(error(401), Error::Unauthorized { .. }));
        assert_eq!(
            error(403).to_string(),
            "registry `r.io` does not allow us to push to `a/b`: why"
        );
        assert_eq!(
            error(507).to_string(),
            "registry `r.io` answered 507 to PUT /x: why"
        );
    }
}
