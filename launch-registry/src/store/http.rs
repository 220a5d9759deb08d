//! Sends object_store's requests with our own client: one TLS configuration, one way of
//! trying again, one shape of error.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::StatusCode;
use url::Url;

use super::refusal::{self, Answered, Refusal, Shared};
use crate::oci::Timeouts;
use crate::oci::http::HttpClients;
use crate::oci::retry::{self, Pace, RetryPolicy};
use crate::oci::trust;

/// No part takes longer, else the connection is taken for dead: 8 MiB at 32 kB/s.
const LIMIT: Duration = Duration::from_mins(5);
/// As much of an error's body is read.
const ERROR_BODY: usize = 64 * 1024;

/// Makes object_store use our client.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    clients: HttpClients,
    retry: RetryPolicy,
}

impl Connector {
    pub(super) fn new(retry: &RetryPolicy) -> Result<Self, reqwest::Error> {
        let clients = HttpClients::new(&Timeouts::default())?;
        Ok(Self {
            clients,
            retry: retry.clone(),
        })
    }

    /// For requests of our own.
    #[cfg(feature = "s3")]
    pub(super) fn client(&self, url: &Url) -> &reqwest::Client {
        self.clients.for_url(url)
    }
}

impl HttpConnector for Connector {
    /// The options are not used: what they could say, our client is made with.
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut pace = Pace::new(&self.retry);
        loop {
            let failure = match self.send(&request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let wait = match &failure {
                Failure::Broken(source) if trust::is_certificate(&**source) => None,
                Failure::Broken(_) => pace.after_failure(None),
                Failure::Answered { wait, answered } if retry::is_transient(answered.status) => {
                    pace.after_failure(*wait)
                }
                Failure::Answered { .. } => None,
            };
            let Some(wait) = wait else {
                return Err(failure.refusal(&pace));
            };
            tracing::debug!(why = %failure.shown(), ?wait, "asking the store again");
            tokio::time::sleep(wait).await;
        }
    }
}

impl Connector {
    async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Failure> {
        let url: Option<Url> = request.uri().to_string().parse().ok();
        let url = url.ok_or_else(|| Failure::broken("the store's endpoint is no URL"))?;
        let answer = self.clients.for_url(&url).call(request.clone());
        let answer = tokio::time::timeout(LIMIT, answer).await;
        let answer = answer.map_err(|_| Failure::broken("the request took too long"))?;
        let answer = answer.map_err(|error| Failure::Broken(error.into()))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let wait = retry::retry_after(answer.headers());
        let answered = read(answer).await;
        Err(Failure::Answered { wait, answered })
    }
}

/// Why one try did not succeed.
enum Failure {
    Broken(Box<dyn std::error::Error + Send + Sync>),
    Answered {
        wait: Option<Duration>,
        answered: Answered,
    },
}

impl Failure {
    fn broken(why: &'static str) -> Self {
        Self::Broken(why.into())
    }

    fn shown(&self) -> String {
        match self {
            Self::Broken(source) => source.to_string(),
            Self::Answered { answered, .. } => answered.status.to_string(),
        }
    }

    /// The error for object_store, which must not try again what we have tried.
    fn refusal(self, pace: &Pace<'_>) -> HttpError {
        let refusal = match self {
            Self::Answered { answered, .. } => Refusal::Answered(answered),
            Self::Broken(source) if trust::is_certificate(&*source) => {
                Refusal::Untrusted(Shared::new(source))
            }
            Self::Broken(source) => Refusal::Broken {
                tries: pace.tries(),
                seconds: pace.seconds(),
                source: Shared::new(source),
            },
        };
        HttpError::new(HttpErrorKind::Unknown, refusal)
    }
}

async fn read(answer: HttpResponse) -> Answered {
    use futures_util::StreamExt as _;
    let status: StatusCode = answer.status();
    // S3 says where a bucket is that was asked for in the wrong place; HEAD has no body.
    let region = answer.headers().get("x-amz-bucket-region");
    let region = region
        .and_then(|region| region.to_str().ok())
        .map(str::to_owned);
    let mut body = Vec::new();
    let mut stream = answer.into_body().bytes_stream();
    while let Some(Ok(piece)) = stream.next().await {
        let room = ERROR_BODY - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if body.len() == ERROR_BODY {
            break;
        }
    }
    let mut answered = refusal::read(status, &String::from_utf8_lossy(&body));
    if let Some(region) = region.filter(|_| status.is_redirection()) {
        answered.message = format!("the bucket is in region `{region}`");
    }
    answered
}
