//! One GraphQL endpoint: how often it is asked, and what an answer means.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, Semaphore};

use super::access::{Access, Credential};
use super::failure::Failure;
use super::operations::{Operation, VIEWER};
use super::options::WandbOptions;
use super::transport::client;
use super::weather::Weather;
use crate::clock::Clock;

/// The first pause between two tries; each is twice the one before, with chance on top.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest pause, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The longest pause between two pieces of a file.
const FILE_PAUSE: Duration = Duration::from_secs(30);

/// The longest answer that is read: specs are far smaller.
const LARGEST_ANSWER: usize = 32 << 20;

/// So many requests are under way at a time; W&B's own client has as many.
const AT_ONCE: usize = 10;

/// A connection to the server of W&B.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    /// For files: slow ones are fine, silent ones are not.
    files: reqwest::Client,
    options: WandbOptions,
    access: Access,
    weather: Weather,
    turns: Semaphore,
    entity: OnceCell<String>,
}

impl Api {
    pub(super) fn new(options: WandbOptions) -> Result<Self, Failure> {
        let http = client(&options)?
            .timeout(options.request_timeout)
            .redirect(reqwest::redirect::Policy::none());
        let files = client(&options)?.read_timeout(FILE_PAUSE);
        let setup = |error: reqwest::Error| Failure::Setup(error.without_url().to_string());
        Ok(Self {
            http: http.build().map_err(setup)?,
            files: files.build().map_err(setup)?,
            access: Access::new(&options),
            weather: Weather::default(),
            turns: Semaphore::new(AT_ONCE),
            entity: OnceCell::new(),
            options,
        })
    }

    pub(super) fn options(&self) -> &WandbOptions {
        &self.options
    }

    /// The owner of the queues: who is named, else the identity's own user.
    pub(super) async fn entity(&self) -> Result<&str, Failure> {
        if !self.options.entity.is_empty() {
            return Ok(&self.options.entity);
        }
        let ask = || async {
            let data = self.call(&VIEWER, json!({})).await?;
            let entity = data["viewer"]["entity"].as_str().map(str::to_owned);
            entity.ok_or(Failure::Shape("entity: the key belongs to nobody"))
        };
        self.entity.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The same, if it is known.
    pub(super) fn known_entity(&self) -> Option<&str> {
        let named = Some(self.options.entity.as_str()).filter(|entity| !entity.is_empty());
        named.or_else(|| self.entity.get().map(String::as_str))
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
        let answer = self.ask(name, &body.to_string(), repeatable).await;
        self.weather.ended(&answer);
        answer
    }

    async fn ask(&self, name: &str, body: &str, repeatable: bool) -> Result<Value, Failure> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        let patience = self.weather.patience(self.options.patience);
        loop {
            let failure = match self.send(body).await {
                Ok(data) => return Ok(data),
                Err(failure) => failure,
            };
            self.weather.failed(&failure);
            let may_repeat = failure.never_sent() || (repeatable && failure.is_passing());
            let wait = failure.retry_after().unwrap_or(pause + jitter(pause));
            if !may_repeat || began.elapsed() + wait > patience {
                return Err(failure);
            }
            tracing::debug!(operation = name, %failure, "asking again");
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One try; two, if the key was rotated: a refused request was not done.
    async fn send(&self, body: &str) -> Result<Value, Failure> {
        if let Some(left) = self.weather.rest() {
            return Err(Failure::Resting(left));
        }
        let _turn = self.turns.acquire().await;
        let credential = self.credential().await?;
        match self.post(body, &credential).await {
            Err(failure) if failure.is_unauthorized() => {
                if !self.access.renew(&credential).await {
                    return Err(failure);
                }
                tracing::info!("the server refused the credential; asking with the one there now");
                self.post(body, &self.credential().await?).await
            }
            answer => answer,
        }
    }

    async fn post(&self, body: &str, credential: &Credential) -> Result<Value, Failure> {
        let request = self
            .http
            .post(self.at("graphql")?)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let request = credential.sign(self.with_headers(request));
        data(request.send().await.map_err(Failure::of_request)?).await
    }

    fn with_headers(&self, request: RequestBuilder) -> RequestBuilder {
        let (name, email) = &self.options.user;
        let own = request
            .header("x-wandb-username", name)
            .header("x-wandb-user-email", email);
        let more = self.options.headers.iter();
        more.fold(own, |request, (name, value)| {
            request.header(name, value.expose())
        })
    }

    pub(super) async fn credential(&self) -> Result<Credential, Failure> {
        self.access
            .credential(&self.http, &self.at("oidc/token")?)
            .await
    }

    /// An address below the server's.
    pub(super) fn at(&self, path: &str) -> Result<String, Failure> {
        let base = self.options.server();
        if self.options.base_url.scheme() == "http" || self.options.base_url.scheme() == "https" {
            return Ok(format!("{base}/{path}"));
        }
        Err(Failure::Setup(
            "the server's address is not a web address".to_owned(),
        ))
    }

    /// A request for a file, made of an address the server gave. Our credential goes to
    /// the server alone: files are often somewhere else.
    pub(super) async fn file(
        &self,
        method: reqwest::Method,
        url: &str,
    ) -> Result<RequestBuilder, Failure> {
        let url = match url.strip_prefix('/') {
            Some(path) => self.at(path)?,
            None => url.to_owned(),
        };
        let is_ours = url.starts_with(&self.at("")?);
        let request = self.files.request(method, url);
        if !is_ours {
            return Ok(request);
        }
        Ok(self.credential().await?.sign(self.with_headers(request)))
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
pub(super) async fn document(response: Response) -> Result<Value, Failure> {
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
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let since = date
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .ok()?;
    since.checked_sub(Duration::from_millis(Clock::System.now_ms()))
}

/// Up to a quarter more, so that many agents do not come back at once.
fn jitter(pause: Duration) -> Duration {
    let mut chance = [0_u8; 1];
    match getrandom::fill(&mut chance) {
        Ok(()) => pause * u32::from(chance[0]) / 1024,
        Err(_) => Duration::ZERO,
    }
}
