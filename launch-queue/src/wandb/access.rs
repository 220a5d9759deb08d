//! Who asks: keys that are rotated, tokens that are exchanged.

use std::time::{Duration, Instant};

use launch_config::secret::Secret;
use reqwest::RequestBuilder;
use tokio::sync::Mutex;

use super::api::document;
use super::failure::Failure;
use super::options::{Identity, WandbOptions};
use super::token::TokenCache;

/// A token is exchanged anew when it has less than this left.
const TOKEN_MARGIN: Duration = Duration::from_mins(5);

/// A token is not kept for longer than this, whatever the server says.
const LONGEST_LIFE: Duration = Duration::from_hours(24 * 365);

/// What proves who we are, now.
#[derive(Debug)]
pub(super) struct Access {
    identity: Identity,
    cache: Option<TokenCache>,
    hand: Mutex<Hand>,
}

#[derive(Debug, Default)]
struct Hand {
    kept: Option<Kept>,
    /// What the server refused last: a file may still have it.
    refused: Option<Secret>,
}

#[derive(Debug)]
struct Kept {
    credential: Credential,
    expires: Option<Instant>,
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// An API key.
    Key(Secret),
    /// A token of the server.
    Token(Secret),
}

impl Credential {
    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Key(secret) | Self::Token(secret) => secret,
        }
    }

    pub(super) fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Key(key) => request.basic_auth("api", Some(key.expose())),
            Self::Token(token) => request.bearer_auth(token.expose()),
        }
    }
}

impl Access {
    pub(super) fn new(options: &WandbOptions) -> Self {
        let server = options.server().to_owned();
        let cache = options.token_cache.clone();
        Self {
            identity: options.identity.clone(),
            cache: cache.map(|path| TokenCache::new(path, server)),
            hand: Mutex::default(),
        }
    }

    /// What is known to be good, else what is there now.
    pub(super) async fn credential(
        &self,
        http: &reqwest::Client,
        exchange: &str,
    ) -> Result<Credential, Failure> {
        let mut hand = self.hand.lock().await;
        if let Some(found) = hand.kept.as_ref().filter(|kept| kept.is_fresh()) {
            return Ok(found.credential.clone());
        }
        let found = self.find(http, exchange, hand.refused.as_ref()).await?;
        let credential = found.credential.clone();
        hand.kept = Some(found);
        Ok(credential)
    }

    /// After a refusal: whether another credential is there now. Keys and tokens are
    /// rotated while an agent runs.
    pub(super) async fn renew(&self, refused: &Credential) -> bool {
        let mut hand = self.hand.lock().await;
        match &self.identity {
            Identity::ApiKey(_) => false,
            Identity::TokenFile(_) => {
                hand.refused = Some(refused.secret().clone());
                hand.kept.take().is_some()
            }
            Identity::Keys(source) => {
                let fresh = source.key().ok();
                let fresh = fresh.filter(|key| key.expose() != refused.secret().expose());
                let is_other = fresh.is_some();
                hand.kept = fresh.map(Kept::key);
                is_other
            }
        }
    }

    async fn find(
        &self,
        http: &reqwest::Client,
        exchange: &str,
        refused: Option<&Secret>,
    ) -> Result<Kept, Failure> {
        match &self.identity {
            Identity::ApiKey(key) => Ok(Kept::key(key.clone())),
            Identity::Keys(source) => Ok(Kept::key(source.key()?)),
            Identity::TokenFile(file) => {
                if let Some(kept) = self.cached(refused) {
                    return Ok(kept);
                }
                let assertion = fs_err::read_to_string(file)?;
                let (token, left) = exchanged(http, exchange, assertion.trim()).await?;
                if let Some(cache) = &self.cache {
                    cache.write(&token, left);
                }
                Ok(Kept::token(token, left))
            }
        }
    }

    /// A token that some process exchanged before, and that the server did not refuse.
    fn cached(&self, refused: Option<&Secret>) -> Option<Kept> {
        let (token, left) = self.cache.as_ref()?.read()?;
        let is_refused = refused.is_some_and(|refused| refused.expose() == token.expose());
        let kept = Kept::token(token, left);
        (!is_refused && kept.is_fresh()).then_some(kept)
    }
}

impl Kept {
    fn key(key: Secret) -> Self {
        let (credential, expires) = (Credential::Key(key), None);
        Self {
            credential,
            expires,
        }
    }

    fn token(token: Secret, left: Duration) -> Self {
        Self {
            credential: Credential::Token(token),
            expires: Some(Instant::now() + left),
        }
    }

    fn is_fresh(&self) -> bool {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        self.expires.is_none_or(|end| left(end) > TOKEN_MARGIN)
    }
}

/// A token of the server for one of another identity provider (RFC 7523 §2.1).
async fn exchanged(
    http: &reqwest::Client,
    url: &str,
    assertion: &str,
) -> Result<(Secret, Duration), Failure> {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .append_pair("assertion", assertion)
        .finish();
    let request = http
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = document(request.send().await.map_err(Failure::of_request)?).await?;
    let access = answer["access_token"]
        .as_str()
        .ok_or(Failure::Shape("access_token"))?;
    let seconds = answer["expires_in"].as_u64().unwrap_or(3600);
    let left = Duration::from_secs(seconds).min(LONGEST_LIFE);
    Ok((Secret::new(access), left))
}
