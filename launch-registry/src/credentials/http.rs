//! Questions to token services and metadata servers.

use std::time::Duration;

use launch_config::secret::{self, Secret};
#[cfg(feature = "gcp")]
use reqwest::header::AUTHORIZATION;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::oci::http::{HttpClients, Timeouts};
use crate::oci::network::Network;

/// Answers are a few kilobytes.
const ANSWER: usize = 1024 * 1024;
/// A metadata server is on the same machine, or there is none.
const NEAR: Duration = Duration::from_secs(2);
const FAR: Duration = Duration::from_secs(30);
const TRIES: u32 = 3;

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Secret,
    is_near: bool,
    /// What is not to be shown if the answer repeats it.
    secrets: Vec<Secret>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `None` if nobody answered.
    pub(crate) status: Option<StatusCode>,
    pub(crate) text: String,
    /// How it wants to be asked, if it says (RFC 9110 section 11.6.1).
    pub(crate) challenge: Option<String>,
}

impl Question {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Secret::new(""),
            is_near: false,
            secrets: Vec::new(),
        }
    }

    /// A form, with what of it is secret.
    pub(crate) fn form(url: Url, fields: &[(&str, &str)], secrets: &[&Secret]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        let mut question = Self::get(url).with_body(Secret::new(form.finish()), kind);
        question.secrets.extend(secrets.iter().copied().cloned());
        question
    }

    /// A body of any kind.
    pub(crate) fn with_body(mut self, body: Secret, kind: HeaderValue) -> Self {
        self.method = Method::POST;
        self.headers.insert(reqwest::header::CONTENT_TYPE, kind);
        self.body = body;
        self
    }

    /// A header that is not secret.
    pub(crate) fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// A header that is secret.
    pub(crate) fn with_secret(mut self, name: HeaderName, value: &Secret) -> Self {
        if let Ok(mut header) = HeaderValue::from_str(value.expose()) {
            header.set_sensitive(true);
            self.headers.insert(name, header);
            self.secrets.push(value.clone());
        }
        self
    }

    /// RFC 6750.
    #[cfg(feature = "gcp")]
    pub(crate) fn with_bearer(mut self, token: &Secret) -> Self {
        self.secrets.push(token.clone());
        let value = Secret::new(format!("Bearer {}", token.expose()));
        self.with_secret(AUTHORIZATION, &value)
    }

    /// The question goes to the machine itself: no proxy, little patience.
    pub(crate) fn at_metadata(self) -> Self {
        Self {
            is_near: true,
            ..self
        }
    }

    fn place(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}"));
        let host = self.url.host_str().unwrap_or_default();
        format!("`{host}{}{}`", port.unwrap_or_default(), self.url.path())
    }
}

/// Asks.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    clients: HttpClients,
}

impl Http {
    /// # Errors
    /// If the settings of this system (proxies) make no client.
    pub(crate) fn new(network: &Network) -> Result<Self, String> {
        let timeouts = Timeouts::default().with_connect(FAR / 3);
        let clients = HttpClients::new(&timeouts, network);
        let clients = clients.map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { clients })
    }

    /// The answer as text. Asked again where that may help.
    pub(crate) async fn text(&self, question: &Question) -> Result<String, Refusal> {
        let mut tries = 1;
        loop {
            let refusal = match self.once(question).await {
                Ok(text) => return Ok(text),
                Err(refusal) => refusal,
            };
            let is_busy = |status: StatusCode| {
                status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
            };
            if tries == TRIES || !refusal.status.is_none_or(is_busy) {
                return Err(refusal);
            }
            tokio::time::sleep(Duration::from_millis(200) * tries.pow(2)).await;
            tries += 1;
        }
    }

    /// The answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        question: &Question,
    ) -> Result<T, Refusal> {
        let text = self.text(question).await?;
        serde_json::from_str(&text).map_err(|_| Refusal {
            status: Some(StatusCode::OK),
            text: format!("{} answered something else than expected", question.place()),
            challenge: None,
        })
    }

    async fn once(&self, question: &Question) -> Result<String, Refusal> {
        if !may_carry(&question.url, question.is_near) {
            let text = format!("{} is not encrypted, so it is not asked", question.place());
            return Err(Refusal {
                status: Some(StatusCode::BAD_REQUEST),
                text,
                challenge: None,
            });
        }
        let client = if question.is_near {
            self.clients.near()
        } else {
            self.clients.for_url(&question.url)
        };
        let request = client
            .request(question.method.clone(), question.url.clone())
            .headers(question.headers.clone())
            .timeout(if question.is_near { NEAR } else { FAR })
            .body(Body::from(question.body.expose().to_owned()));
        let nobody = |error: reqwest::Error| Refusal {
            status: None,
            text: format!(
                "{} does not answer: {}",
                question.place(),
                innermost(&error.without_url())
            ),
            challenge: None,
        };
        let response = request.send().await.map_err(nobody)?;
        let status = response.status();
        let challenge = response.headers().get(WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok());
        let challenge = challenge.map(str::to_owned);
        let text = read(response).await.map_err(nobody)?;
        if status.is_success() {
            return Ok(text);
        }
        let said = secret::mask(&said(&text), &question.secrets);
        let text = format!("{} answered {}{said}", question.place(), status.as_u16());
        Err(Refusal {
            status: Some(status),
            text,
            challenge,
        })
    }
}

/// Secrets go encrypted, or do not leave the machine: a metadata server has a link-local
/// address, which is plain http.
fn may_carry(url: &Url, is_near: bool) -> bool {
    url.scheme() == "https" || is_near || crate::oci::endpoint::is_loopback(url)
}

async fn read(mut response: Response) -> Result<String, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The useful sentence of an error: OAuth's (RFC 6749 section 5.2), or that of Google's and
/// Azure's APIs.
fn said(text: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let field = |pointer| body.pointer(pointer).and_then(serde_json::Value::as_str);
    let code = field("/error")
        .or_else(|| field("/error/status"))
        .or_else(|| field("/error/code"));
    let sentence = field("/error_description").or_else(|| field("/error/message"));
    let sentence = sentence.or_else(|| field("/errors/0/message"));
    // Entra's sentences go on with trace ids, line by line.
    let sentence = sentence.and_then(|text| text.lines().next());
    let parts: Vec<&str> = [code, sentence].into_iter().flatten().collect();
    let text: String = parts
        .join(", ")
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect();
    if text.is_empty() {
        text
    } else {
        format!(": {text}")
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last();
    last.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_reduced_to_their_sentence() {
        assert_eq!(
            said(r#"{"error":"invalid_grant","error_description":"gone\r\nTrace ID: 1"}"#),
            ": invalid_grant, gone"
        );
        assert_eq!(
            said(r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#),
            ": PERMISSION_DENIED, no"
        );
        assert_eq!(said("<html>"), "");
    }

    #[test]
    fn secrets_do_not_leave_the_machine_in_the_clear() {
        let may = |url: &str, near| may_carry(&url.parse().unwrap(), near);
        assert!(may("https://a.b/", false) && may("http://127.0.0.1:1/", false));
        assert!(may("http://169.254.169.254/", true) && !may("http://a.b/", false));
    }
}
