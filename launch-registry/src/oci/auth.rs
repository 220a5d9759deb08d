//! Who we are to a registry: challenges answered, tokens kept for as long as they hold.
//!
//! Nothing is sent before it is asked for. The first request goes out bare; the registry's
//! 401 says how it wants to be answered (RFC 9110 section 11.6.1), and the answer is kept for
//! the host. With `Bearer`, the token comes from the service the challenge names, one per
//! scope (distribution's "Token Authentication Specification" and "`OAuth2` Token
//! Authentication").
//!
//! Where credentials travel: to the registry itself and to its token service, and only
//! encrypted, or on loopback, or to a host that was declared insecure by name. Never to the
//! other host of an upload's `Location`.

mod challenge;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use launch_config::secret::Secret;
use reqwest::header::HeaderMap;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::challenge::Bearer;
pub(crate) use self::challenge::Challenge;
use self::token::Token;
use super::keychain::{Keychain, Login};
use super::session::Session;
use super::status::Target;
use crate::Error;

/// What a request may touch, as `repository:<name>:<actions>`; the first is the request's own.
pub(crate) type Scopes = Vec<String>;

/// The value of an `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) value: Secret,
    /// Whether our credentials stand behind it, or nobody's.
    pub(crate) from_login: bool,
}

type TokenKey = (String, Scopes);

/// A keychain is asked again after this long. Clouds' logins end, and their keychains renew
/// them minutes before; docker's may be changed by another `docker login`.
const LOGIN_LIFE: Duration = Duration::from_mins(1);

/// What a keychain said of a host.
#[derive(Debug, Clone)]
struct Known {
    login: Option<Login>,
    asked: Instant,
}

/// What was learned about the hosts so far.
#[derive(Debug)]
pub(crate) struct Auth {
    keychain: Arc<dyn Keychain>,
    challenges: Mutex<HashMap<String, Challenge>>,
    logins: Mutex<HashMap<String, Known>>,
    /// A cell makes parallel requests share one question to the token service.
    tokens: Mutex<HashMap<TokenKey, Arc<OnceCell<Token>>>>,
}

impl Auth {
    pub(crate) fn new(keychain: Arc<dyn Keychain>) -> Self {
        let (challenges, logins, tokens) = Default::default();
        Self {
            keychain,
            challenges,
            logins,
            tokens,
        }
    }

    pub(crate) fn keychain(&self) -> &dyn Keychain {
        &*self.keychain
    }

    /// The header for a request; `None` while the registry has not asked for one.
    pub(crate) async fn header(
        &self,
        session: &Session,
        scopes: &Scopes,
    ) -> Result<Option<Authorization>, Error> {
        let host = &session.target.registry;
        let challenge = locked(&self.challenges).get(host).cloned();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => self.basic(&session.target).await.map(Some),
            Some(Challenge::Bearer(bearer)) => {
                let cell = self.cell(host, scopes);
                let fetch = async || self.fetch(session, &bearer, scopes).await;
                let token = cell.get_or_try_init(fetch).await?;
                Ok(Some(token.authorization()))
            }
        }
    }

    /// Asks the token service. A login that it refuses and that was not asked for just now may
    /// have ended meanwhile: the keychain is asked again.
    async fn fetch(
        &self,
        session: &Session,
        bearer: &Bearer,
        scopes: &Scopes,
    ) -> Result<Token, Error> {
        let host = &session.target.registry;
        let is_known = locked(&self.logins).contains_key(host);
        let login = self.login(host).await?;
        let fetched = token::fetch(session, bearer, scopes, login.as_ref()).await;
        if !is_known || !matches!(fetched, Err(Error::Unauthorized { .. })) {
            return fetched;
        }
        locked(&self.logins).remove(host);
        let again = self.login(host).await?;
        if again == login {
            return fetched;
        }
        token::fetch(session, bearer, scopes, again.as_ref()).await
    }

    /// Learns from a 401. The next [`Auth::header`] answers it.
    ///
    /// # Errors
    /// If there is no other answer than the one that was `refused`.
    pub(crate) async fn learn(
        &self,
        target: &Target,
        headers: &HeaderMap,
        refused: Option<&Authorization>,
    ) -> Result<(), Error> {
        let challenge = Challenge::of(headers)
            .ok_or_else(|| target.unauthorized("it does not say how to log in"))?;
        let host = &target.registry;
        locked(&self.tokens).retain(|key, cell| {
            key.0 != *host
                || !cell
                    .get()
                    .is_some_and(|token| Some(&token.authorization()) == refused)
        });
        locked(&self.logins).remove(host);
        locked(&self.challenges).insert(host.clone(), challenge.clone());
        if matches!(challenge, Challenge::Basic) {
            let again = self.basic(target).await?;
            if Some(&again) == refused {
                return Err(target.unauthorized("the password is wrong"));
            }
        }
        Ok(())
    }

    /// Everything secret that was used with `host`, for masking what it says.
    pub(crate) fn secrets(&self, host: &str) -> Vec<Secret> {
        let mut secrets: Vec<Secret> = Vec::new();
        if let Some(Known {
            login: Some(login), ..
        }) = locked(&self.logins).get(host)
        {
            secrets.push(login.secret().clone());
            if let Login::Password(login) = login {
                secrets.push(encoded(&login.user, &login.password));
            }
        }
        let tokens = locked(&self.tokens);
        let tokens = tokens.iter().filter(|(key, _)| key.0 == host);
        secrets.extend(tokens.filter_map(|(_, cell)| cell.get().map(Token::secret)));
        secrets
    }

    async fn basic(&self, target: &Target) -> Result<Authorization, Error> {
        match self.login(&target.registry).await? {
            Some(Login::Password(login)) => Ok(basic(&login.user, &login.password)),
            Some(Login::AccessToken(token)) => Ok(bearer(&token)),
            Some(Login::IdentityToken(_)) => {
                Err(target.unauthorized("it wants a password and we have an identity token"))
            }
            None => Err(target.unauthorized("it wants a password and we have none")),
        }
    }

    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        let known = locked(&self.logins).get(host).cloned();
        if let Some(known) = known.filter(|known| known.asked.elapsed() < LOGIN_LIFE) {
            return Ok(known.login);
        }
        let login = self.keychain.login(host).await?;
        let known = Known {
            login: login.clone(),
            asked: Instant::now(),
        };
        locked(&self.logins).insert(host.to_owned(), known);
        Ok(login)
    }

    /// The cell for a token: the one in use, or an empty one if that has run out.
    fn cell(&self, host: &str, scopes: &Scopes) -> Arc<OnceCell<Token>> {
        let mut tokens = locked(&self.tokens);
        let cell = tokens.entry((host.to_owned(), scopes.clone())).or_default();
        if cell.get().is_some_and(Token::is_stale) {
            *cell = Arc::default();
        }
        Arc::clone(cell)
    }
}

fn encoded(user: &str, password: &Secret) -> Secret {
    Secret::new(STANDARD.encode(format!("{user}:{}", password.expose())))
}

/// RFC 7617 section 2.
fn basic(user: &str, password: &Secret) -> Authorization {
    let value = Secret::new(format!("Basic {}", encoded(user, password).expose()));
    Authorization {
        value,
        from_login: true,
    }
}

/// RFC 6750 section 2.1.
fn bearer(token: &Secret) -> Authorization {
    Authorization {
        value: Secret::new(format!("Bearer {}", token.expose())),
        from_login: true,
    }
}

/// A poisoned map is still a map: entries are inserted whole.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
