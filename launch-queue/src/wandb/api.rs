//! One GraphQL endpoint: who asks, how often, and what an answer means.

use std::sync::Arc;
use std::time::{Duration, Instant};

use launch_config::secret::Secret;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::failure::Failure;
use super::operations::Operation;
use super::options::{Identity, WandbOptions};

/// The first pause between two tries; each is twice the one before, with chance on top.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A token is exchanged anew when it has less than this left.
const TOKEN_MARGIN: Duration = Duration::from_mins(5);

/// The longest answer that is read: specs are far smaller.
const LARGEST_ANSWER: usize = 32 << 20;

/// A connection to the server of W&B.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    options: WandbOptions,
    token: Mutex<Option<Token>>,
}

#[derive(Debug)]
struct Token {
    access: Secret,
    expires: Instant,
}

impl Api {
    pub(super) fn new(options: WandbOptions) -> Result<Self, Failure> {
        let provider = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| Failure::Setup(error.to_string()))?
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!(
                "W&B Internal Client launch-",
                env!("CARGO_PKG_VERSION")
            ))
            .timeout(options.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Failure::Setup(error.without_url().to_string()))?;
        Ok(Self {
            http,
            options,
            token: Mutex::new(None),
        })
    }

    pub(super) fn options(&self) -> &WandbOptions {
        &self.options
    }

    /// Asks the server; answers the `data` of its answer.
    pub(super) async fn call(
        &self,
        operation: &Operation,
        variables: Value,
    ) -> Result<Value, Failure> {
        self.document(
            operation.name,
            operation.document,
            operation.repeatable,
            variables,
        )
        .await
    }

    /// Asks the server with a document made at run time.
    pub(super) async fn document(
        &self,
        name: &str,
        document: &str,
        repeatable: bool,
        variables: Value,
    ) -> Result<Value, Failure> {
        let body = json!({"query": document, "variables": variables, "operationName": name});
        let body = body.to_string();
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.send(&body).await {
                Ok(data) => return Ok(data),
                Err(failure) => failure,
            };
            let may_repeat = failure.never_sent() || (repeatable && failure.is_passing());
            let wait = failure.retry_after().unwrap_or(pause + jitter(pause));
            if !may_repeat || began.elapsed() + wait > self.options.patience {
                return Err(failure);
            }
            tracing::debug!(operation = name, %failure, "asking again");
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn send(&self, body: &str) -> Result<Value, Failure> {
        let url = self.at("graphql")?;
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("x-wandb-username", "")
            .header("x-wandb-user-email", "")
            .body(body.to_owned());
        let request = match &self.options.identity {
            Identity::ApiKey(key) => request.basic_auth("api", Some(key.expose())),
            Identity::TokenFile(_) => request.bearer_auth(self.access_token().await?.expose()),
        };
        let response = request.send().await.map_err(Failure::of_request)?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // The next try exchanges a new one: keys and tokens are rotated.
            *self.token.lock().await = None;
        }
        data(response).await
    }

    fn at(&self, path: &str) -> Result<String, Failure> {
        let base = self.options.base_url.as_str().trim_end_matches('/');
        if self.options.base_url.scheme() == "http" || self.options.base_url.scheme() == "https" {
            return Ok(format!("{base}/{path}"));
        }
        Err(Failure::Setup(
            "the server's address is not a web address".to_owned(),
        ))
    }

    /// A token of the server for one of another identity provider (RFC 7523 §2.1).
    async fn access_token(&self) -> Result<Secret, Failure> {
        let Identity::TokenFile(file) = &self.options.identity else {
            return Err(Failure::Setup("no identity token is configured".to_owned()));
        };
        let mut kept = self.token.lock().await;
        if let Some(token) = &*kept
            && token.expires.saturating_duration_since(Instant::now()) > TOKEN_MARGIN
        {
            return Ok(token.access.clone());
        }
        let assertion = fs_err::read_to_string(file)?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", assertion.trim())
            .finish();
        let request = self
            .http
            .post(self.at("oidc/token")?)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = document(request.send().await.map_err(Failure::of_request)?).await?;
        let access = answer["access_token"]
            .as_str()
            .ok_or(Failure::Shape("access_token"))?;
        let seconds = answer["expires_in"].as_u64().unwrap_or(3600);
        let token = Token {
            access: Secret::new(access),
            expires: Instant::now() + Duration::from_secs(seconds),
        };
        let access = token.access.clone();
        *kept = Some(token);
        Ok(access)
    }
}

/// The `data` of a GraphQL answer, if it holds no errors.
async fn data(response: Response) -> Result<Value, Failure> {
    let mut answer = document(response).await?;
    let messages = messages(&answer);
    if !messages.is_empty() {
        return Err(Failure::Refused(messages.join("; ")));
    }
    Ok(answer["data"].take())
}

/// The JSON of an answer that says it is well.
async fn document(response: Response) -> Result<Value, Failure> {
    let status = response.status();
    let wait = retry_after(response.headers());
    let body = response.bytes().await.map_err(Failure::of_request)?;
    if body.len() > LARGEST_ANSWER {
        return Err(Failure::Shape("an answer of sensible size"));
    }
    let answer = serde_json::from_slice::<Value>(&body);
    if status.is_success() {
        return answer.map_err(|_| Failure::Shape("JSON"));
    }
    let said = answer.map(|answer| messages(&answer)).unwrap_or_default();
    Err(Failure::Status {
        status,
        said: said.join("; "),
        wait,
    })
}

/// What a server says in its errors: `{"errors": [{"message"}|text]}` or `{"error": …}`.
fn messages(answer: &Value) -> Vec<String> {
    let text = |item: &Value| {
        let said = item.as_str().or_else(|| item["message"].as_str());
        said.map_or_else(|| item.to_string(), str::to_owned)
    };
    match (&answer["errors"], &answer["error"]) {
        (Value::Array(errors), _) => errors.iter().map(text).collect(),
        (_, Value::Null) => Vec::new(),
        (_, error) => vec![text(error)],
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Up to a quarter more, so that many agents do not come back at once.
fn jitter(pause: Duration) -> Duration {
    let mut chance = [0_u8; 1];
    match getrandom::fill(&mut chance) {
        Ok(()) => pause * u32::from(chance[0]) / 1024,
        Err(_) => Duration::ZERO,
    }
}
