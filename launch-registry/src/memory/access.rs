//! Who may do what: passwords, and tokens that run out.

use std::collections::HashMap;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use launch_config::secret::Secret;

use super::http::{Answer, Head};
use super::locked;

/// What a [`MemoryRegistry`](super::MemoryRegistry) asks of its clients.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Guard {
    /// Nothing.
    #[default]
    Open,
    /// User and password with every request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token with every request.
    Bearer {
        /// Who gets a token that may push and pull; anybody else gets one for nothing.
        user: String,
        /// The password, good as a refresh token too.
        password: Secret,
        /// For how many requests a token is good, if not for ever.
        good_for: Option<u32>,
    },
}

#[derive(Debug)]
struct Grant {
    /// `repository:<name>:<actions>`.
    scopes: Vec<String>,
    good_for: Option<u32>,
}

/// A guard, and how many there were before it: each has a token service of its own.
#[derive(Debug)]
struct Current {
    guard: Guard,
    number: u32,
}

impl Current {
    fn service(&self) -> String {
        format!("memory-{}", self.number)
    }
}

#[derive(Debug)]
pub(super) struct Access {
    current: Mutex<Current>,
    grants: Mutex<HashMap<Secret, Grant>>,
}

impl Access {
    pub(super) fn new(guard: Guard) -> Self {
        Self {
            current: Mutex::new(Current { guard, number: 1 }),
            grants: Mutex::default(),
        }
    }

    pub(super) fn set_guard(&self, guard: Guard) {
        let mut current = locked(&self.current);
        let number = current.number + 1;
        *current = Current { guard, number };
        drop(current);
        self.expire_tokens();
    }

    pub(super) fn expire_tokens(&self) {
        locked(&self.grants).clear();
    }

    /// Whether the request may do `action` in `repository`; else the 401 for it.
    pub(super) fn check(
        &self,
        head: &Head,
        host: &str,
        repository: &str,
        action: &str,
    ) -> Result<(), Answer> {
        let sent = head.header("authorization").unwrap_or_default();
        let current = locked(&self.current);
        match &current.guard {
            Guard::Open => Ok(()),
            Guard::Basic { user, password } if is_basic(sent, user, password) => Ok(()),
            Guard::Basic { .. } => Err(challenge("Basic realm=\"memory\"")),
            Guard::Bearer { .. } => {
                let scope = format!("repository:{repository}:{action}");
                let error = match self.spend(sent, repository, action) {
                    Some(true) => return Ok(()),
                    // The API's root belongs to no repository: any token opens it.
                    Some(false) if repository.is_empty() => return Ok(()),
                    Some(false) => ",error=\"insufficient_scope\"",
                    None if sent.is_empty() => "",
                    None => ",error=\"invalid_token\"",
                };
                let service = current.service();
                Err(challenge(&format!(
                    "Bearer realm=\"http://{host}/token\",service=\"{service}\",scope=\"{scope}\"{error}"
                )))
            }
        }
    }

    /// Uses a token once: whether it covers the action, or `None` if it is not good.
    fn spend(&self, sent: &str, repository: &str, action: &str) -> Option<bool> {
        let token = Secret::new(sent.strip_prefix("Bearer ")?);
        let mut grants = locked(&self.grants);
        let grant = grants.get_mut(&token)?;
        if let Some(left) = &mut grant.good_for {
            *left = left.checked_sub(1)?;
        }
        let covers = |scope: &String| {
            let actions = scope.strip_prefix(&format!("repository:{repository}:"));
            actions.is_some_and(|actions| actions.split(',').any(|granted| granted == action))
        };
        Some(grant.scopes.iter().any(covers))
    }

    /// The token service: `GET` with a password or none, `POST` with a refresh token.
    pub(super) fn token(&self, head: &Head, form: &[(String, String)]) -> Answer {
        let current = locked(&self.current);
        let Guard::Bearer {
            user,
            password,
            good_for,
        } = &current.guard
        else {
            return Answer::error(404, "UNSUPPORTED", "there is no token service");
        };
        let mut services = head
            .query
            .iter()
            .chain(form)
            .filter(|(key, _)| key == "service");
        if !services.any(|(_, service)| *service == current.service()) {
            return Answer::error(400, "UNSUPPORTED", "tokens of another service");
        }
        let sent = head.header("authorization");
        let is_post = head.method == "POST";
        let is_known = if is_post {
            let given = form.iter().find(|(key, _)| key == "refresh_token");
            given.is_some_and(|(_, token)| token == password.expose())
        } else {
            sent.is_some_and(|sent| is_basic(sent, user, password))
        };
        if !is_known && (sent.is_some() || is_post) {
            return Answer::error(401, "UNAUTHORIZED", "incorrect username or password");
        }
        let asked = head.query.iter().chain(form);
        let asked = asked.filter(|(key, _)| key == "scope" && is_known);
        let scopes = asked
            .flat_map(|(_, value)| value.split(' '))
            .map(str::to_owned);
        self.grant(scopes.collect(), *good_for)
    }

    fn grant(&self, scopes: Vec<String>, good_for: Option<u32>) -> Answer {
        let token = format!("memory-token-{}", random());
        let answer = serde_json::json!({ "token": token, "expires_in": 300 }).to_string();
        locked(&self.grants).insert(Secret::new(token), Grant { scopes, good_for });
        Answer::new(200).body("application/json", answer)
    }
}

fn is_basic(sent: &str, user: &str, password: &Secret) -> bool {
    let plain = format!("{user}:{}", password.expose());
    sent.strip_prefix("Basic ")
        .is_some_and(|text| text == STANDARD.encode(plain))
}

fn challenge(text: &str) -> Answer {
    Answer::error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", text)
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u64::from_le_bytes(bytes)
}
