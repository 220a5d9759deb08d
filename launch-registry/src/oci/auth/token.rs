//! Access tokens from a registry's token service.

use std::time::Duration;

use bytes::Bytes;
use launch_config::secret::Secret;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::challenge::Bearer;
use super::{Authorization, Scopes, basic, bearer};
use crate::Error;
use crate::oci::call::Call;
use crate::oci::endpoint;
use crate::oci::keychain::Login;
use crate::oci::session::Session;
use crate::oci::status::{self, Target};

/// Tokens of clouds carry a few kilobytes of claims.
const ANSWER: usize = 1024 * 1024;
/// The life of a token whose answer does not say (token specification, "Token Response
/// Fields").
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// A token is used up to this long before its end, so that it does not run out on the way.
const MARGIN: Duration = Duration::from_secs(15);

/// An access token and its end.
#[derive(Debug)]
pub(super) struct Token {
    authorization: Authorization,
    secret: Secret,
    good_until: Option<Instant>,
}

impl Token {
    fn new(secret: Secret, life: Option<Duration>, from_login: bool) -> Self {
        let authorization = Authorization {
            from_login,
            ..bearer(&secret)
        };
        let margin = |life: Duration| life.saturating_sub(MARGIN.min(life / 4));
        let good_until = life.map(|life| Instant::now() + margin(life));
        Self {
            authorization,
            secret,
            good_until,
        }
    }

    pub(super) fn authorization(&self) -> Authorization {
        self.authorization.clone()
    }

    pub(super) fn secret(&self) -> Secret {
        self.secret.clone()
    }

    pub(super) fn is_stale(&self) -> bool {
        self.good_until.is_some_and(|end| end <= Instant::now())
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<Secret>,
    /// The name OAuth gives the same thing; either may be missing.
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

/// Asks the token service of `challenge` for a token good for `scopes`.
pub(super) async fn fetch(
    session: &Session,
    challenge: &Bearer,
    scopes: &Scopes,
    login: Option<&Login>,
) -> Result<Token, Error> {
    if let Some(Login::AccessToken(token)) = login {
        return Ok(Token::new(token.clone(), None, true));
    }
    let realm = realm(session, challenge, login.is_some())?;
    let scopes = all_scopes(scopes, challenge.scope.as_deref());
    let service = challenge.service.as_deref();
    let call = match login {
        Some(Login::IdentityToken(token)) => exchange(realm, service, &scopes, token),
        Some(Login::Password(login)) => {
            let mut call = question(realm, service, &scopes, Some(&login.user));
            call.authorization = Some(basic(&login.user, &login.password));
            call
        }
        _ => question(realm, service, &scopes, None),
    };
    let response = session.send_plain(&call).await?;
    let secrets: Vec<Secret> = login.iter().map(|login| login.secret().clone()).collect();
    read(&session.target, &call, response, &secrets, login.is_some()).await
}

/// The service's address, if what we are about to send may travel there.
fn realm(session: &Session, challenge: &Bearer, with_login: bool) -> Result<Url, Error> {
    let realm = Url::parse(&challenge.realm).ok();
    let realm = realm.filter(|realm| matches!(realm.scheme(), "http" | "https"));
    let realm = realm.ok_or_else(|| session.target.unauthorized("its token service has no URL"))?;
    if with_login && !endpoint::is_private(&realm, session.insecure()) {
        let host = realm.host_str().unwrap_or_default();
        let said =
            format!("its token service on `{host}` is not encrypted, so it gets no password");
        return Err(session.target.unauthorized(said));
    }
    Ok(realm)
}

/// Ours, and what the challenge names beyond them.
fn all_scopes(ours: &Scopes, theirs: Option<&str>) -> Vec<String> {
    let mut scopes = ours.clone();
    for scope in theirs.unwrap_or_default().split_ascii_whitespace() {
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    scopes
}

/// `GET` with the scopes in the query (token specification, "Requesting a Token").
fn question(mut realm: Url, service: Option<&str>, scopes: &[String], user: Option<&str>) -> Call {
    {
        let mut query = realm.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(user.map(|user| ("account", user)));
        query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
    }
    Call::new(Method::GET, realm)
}

/// `POST` with a refresh token (`OAuth2` token specification, "Refreshing a token").
fn exchange(realm: Url, service: Option<&str>, scopes: &[String], token: &Secret) -> Call {
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token");
    form.append_pair("client_id", "launch-registry");
    form.extend_pairs(service.map(|service| ("service", service)));
    form.append_pair("scope", &scopes.join(" "));
    form.append_pair("refresh_token", token.expose());
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, kind);
    let body = Bytes::from(form.finish());
    Call {
        headers,
        body,
        ..Call::new(Method::POST, realm)
    }
}

async fn read(
    target: &Target,
    call: &Call,
    response: Response,
    secrets: &[Secret],
    from_login: bool,
) -> Result<Token, Error> {
    let status = response.status();
    if status != StatusCode::OK {
        // `OAuth2` says "wrong refresh token" with 400 (RFC 6749 section 5.2).
        let is_refusal = status == StatusCode::BAD_REQUEST && call.method == Method::POST;
        let meaning = Some(StatusCode::UNAUTHORIZED).filter(|_| is_refusal);
        let said = status::sentence(response, secrets).await;
        return Err(target.refusal(meaning.unwrap_or(status), call.shown(), said));
    }
    let body = status::read_capped(response, ANSWER).await;
    let token = body
        .ok()
        .flatten()
        .and_then(|body| parse(&body, from_login));
    let broken = || target.refusal(status, call.shown(), "it holds no token".to_owned());
    token.ok_or_else(broken)
}

fn parse(body: &[u8], from_login: bool) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let secret = answer.token.or(answer.access_token);
    let secret = secret.filter(|token| !token.is_empty())?;
    let life = answer.expires_in.filter(|seconds| *seconds > 0);
    let life = life.map_or(DEFAULT_LIFE, Duration::from_secs);
    Some(Token::new(secret, Some(life), from_login))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_stale_before_its_end() {
        let token =
            |seconds| Token::new(Secret::new("t"), Some(Duration::from_secs(seconds)), true);
        let (long, short) = (token(60), token(4));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(!long.is_stale() && short.is_stale());
        tokio::time::advance(Duration::from_secs(42)).await;
        assert!(long.is_stale());
        assert!(!Token::new(Secret::new("t"), None, true).is_stale());
    }

    #[tokio::test]
    async fn answers_come_in_two_spellings() {
        let parse = |text: &str| parse(text.as_bytes(), true).map(|token| token.secret());
        let token = Some(Secret::new("t"));
        assert_eq!(parse(r#"{"token":"t"}"#), token);
        assert_eq!(parse(r#"{"access_token":"t","expires_in":0}"#), token);
        assert_eq!(parse(r#"{"token":""}"#), None);
        assert_eq!(parse("t"), None);
    }

    #[test]
    fn scopes_are_ours_and_theirs_once() {
        let ours = vec!["repository:a:pull".to_owned()];
        let all = all_scopes(&ours, Some("repository:a:pull repository:a:pull,push"));
        assert_eq!(all, ["repository:a:pull", "repository:a:pull,push"]);
    }

    #[test]
    fn a_question_carries_no_secret() {
        let realm = Url::parse("https://t.io/token?x=1").unwrap();
        let call = question(realm, Some("s"), &["repository:a:pull".into()], Some("bob"));
        let query = call.url.query().unwrap();
        assert_eq!(
            query,
            "x=1&service=s&account=bob&scope=repository%3Aa%3Apull"
        );
    }
}
