//! The files Google's credentials are in.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use launch_config::secret::Secret;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::external::External;
use super::{SCOPE, TokenAnswer};
use crate::clock;
use crate::credentials::http::{Http, Question};
use crate::credentials::jwt::{self, Algorithm};
use crate::credentials::{Fresh, Surroundings};

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// An hour is the longest that is given (AIP-4111).
const LIFE: u64 = 3600;

/// Why a file is not used.
pub(super) enum Origin {
    Missing(String),
    Broken(String),
}

/// A file of credentials.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    #[serde(flatten)]
    kind: FileKind,
    project_id: Option<String>,
    quota_project_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FileKind {
    ServiceAccount(ServiceAccount),
    AuthorizedUser(AuthorizedUser),
    ExternalAccount(Box<External>),
    ImpersonatedServiceAccount(Box<Impersonated>),
}

/// A service account's key (AIP-4112).
#[derive(Debug, Deserialize)]
pub(super) struct ServiceAccount {
    client_email: String,
    private_key: Secret,
    private_key_id: Option<String>,
    token_uri: Option<Url>,
}

/// A user's refresh token (AIP-4113).
#[derive(Debug, Deserialize)]
pub(super) struct AuthorizedUser {
    client_id: String,
    client_secret: Secret,
    refresh_token: Secret,
    token_uri: Option<Url>,
    account: Option<String>,
}

/// Another account that acts as a service account (AIP-4114, "Impersonated").
#[derive(Debug, Deserialize)]
pub(super) struct Impersonated {
    service_account_impersonation_url: Url,
    source_credentials: FileKind,
    #[serde(default)]
    delegates: Vec<String>,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self, Origin> {
        let text = fs_err::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Origin::Missing(format!("there is no `{}`", path.display())),
            _ => Origin::Broken(error.to_string()),
        })?;
        Self::parse(&text).map_err(|why| Origin::Broken(format!("`{}`: {why}", path.display())))
    }

    /// What the parser says may quote a key, so it is not repeated.
    fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
        let kind = value["type"].as_str().ok_or("it has no `type`")?.to_owned();
        let known = [
            "service_account",
            "authorized_user",
            "external_account",
            "impersonated_service_account",
        ];
        if !known.contains(&kind.as_str()) {
            return Err(format!("type `{kind}` is not supported"));
        }
        serde_json::from_value(value).map_err(|_| format!("it is no whole `{kind}`"))
    }

    pub(super) fn project(&self) -> Option<&str> {
        let project = self.project_id.as_deref();
        project.or(self.quota_project_id.as_deref())
    }

    pub(super) fn name(&self) -> String {
        self.kind.name()
    }

    pub(super) async fn token(
        &self,
        http: &Http,
        from: &Surroundings,
    ) -> Result<Fresh<Secret>, String> {
        self.kind.token(http, from).await
    }
}

impl FileKind {
    fn name(&self) -> String {
        match self {
            Self::ServiceAccount(key) => key.client_email.clone(),
            Self::AuthorizedUser(user) => {
                let account = user
                    .account
                    .as_deref()
                    .filter(|account| !account.is_empty());
                account.unwrap_or("a user's account").to_owned()
            }
            Self::ExternalAccount(external) => external.name(),
            Self::ImpersonatedServiceAccount(other) => {
                impersonated_name(&other.service_account_impersonation_url)
            }
        }
    }

    async fn token(&self, http: &Http, from: &Surroundings) -> Result<Fresh<Secret>, String> {
        match self {
            Self::ServiceAccount(key) => key.token(http).await,
            Self::AuthorizedUser(user) => user.token(http).await,
            Self::ExternalAccount(external) => external.token(http, from).await,
            Self::ImpersonatedServiceAccount(other) => other.token(http, from).await,
        }
    }
}

fn token_uri(own: Option<&Url>) -> Url {
    own.cloned()
        .unwrap_or_else(|| Url::parse(TOKEN_URI).expect("the constant is a URL"))
}

impl ServiceAccount {
    /// A signed assertion for an access token ("Using OAuth 2.0 for Server to Server
    /// Applications"). Google's libraries sign tokens of their own instead; registries are
    /// documented to take access tokens only.
    async fn token(&self, http: &Http) -> Result<Fresh<Secret>, String> {
        let uri = token_uri(self.token_uri.as_ref());
        let assertion = self.assertion(&uri)?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose()),
        ];
        let question = Question::form(uri.clone(), &fields, &[&assertion]);
        let answer: TokenAnswer = http.json(&question).await.map_err(|refusal| refusal.text)?;
        Ok(answer.fresh())
    }

    fn assertion(&self, uri: &Url) -> Result<Secret, String> {
        let now = clock::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let mut header = json!({"alg": Algorithm::Rs256.as_str(), "typ": "JWT"});
        if let Some(id) = &self.private_key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": uri.as_str(),
            "iat": now,
            "exp": now + LIFE,
        });
        let signed = jwt::signed(Algorithm::Rs256, &header, &claims, &self.private_key);
        signed.map_err(str::to_owned)
    }
}

impl AuthorizedUser {
    async fn token(&self, http: &Http) -> Result<Fresh<Secret>, String> {
        let fields = [
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose()),
            ("refresh_token", self.refresh_token.expose()),
        ];
        let uri = token_uri(self.token_uri.as_ref());
        let question = Question::form(uri, &fields, &[&self.client_secret, &self.refresh_token]);
        let answer: TokenAnswer = http.json(&question).await.map_err(|refusal| refusal.text)?;
        Ok(answer.fresh())
    }
}

impl Impersonated {
    async fn token(&self, http: &Http, from: &Surroundings) -> Result<Fresh<Secret>, String> {
        let source = Box::pin(self.source_credentials.token(http, from)).await?;
        let url = &self.service_account_impersonation_url;
        impersonate(http, url, &self.delegates, &source.value).await
    }
}

/// A token of the service account that `url` names (IAM Credentials, `generateAccessToken`).
pub(super) async fn impersonate(
    http: &Http,
    url: &Url,
    delegates: &[String],
    token: &Secret,
) -> Result<Fresh<Secret>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        access_token: Secret,
    }
    let body = json!({"scope": [SCOPE], "delegates": delegates, "lifetime": format!("{LIFE}s")});
    let question = Question::get(url.clone())
        .with_body(
            Secret::new(body.to_string()),
            HeaderValue::from_static("application/json"),
        )
        .with_bearer(token);
    let answer: Answer = http.json(&question).await.map_err(|refusal| refusal.text)?;
    Ok(Fresh {
        value: answer.access_token,
        life: Some(Duration::from_secs(LIFE)),
    })
}

/// `…/serviceAccounts/NAME:generateAccessToken`.
pub(super) fn impersonated_name(url: &Url) -> String {
    let last = url.path().rsplit('/').next().unwrap_or_default();
    let name = last.split(':').next().unwrap_or_default();
    name.replace("%40", "@")
}

/// RFC 7617.
pub(super) fn basic(user: &str, password: &Secret) -> Secret {
    let pair = format!("{user}:{}", password.expose());
    let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
    Secret::new(format!("Basic {encoded}"))
}
