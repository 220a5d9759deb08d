//! Requests to one repository: sent with the right credentials, tried again when that may
//! help, and turned into an [`Error`] when it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Body, Response, StatusCode};
use url::Url;

use super::auth::{Authorization, Challenge, Scopes};
use super::call::{Call, Challenged, Failure, Limit};
use super::retry::{self, Pace};
use super::status::{self, Target};
use super::transport::Transport;
use crate::{Error, PushEvent, PushEvents};

/// One repository of one registry, as one call of ours sees it.
pub(crate) struct Session {
    pub(crate) transport: Arc<Transport>,
    pub(crate) target: Target,
    /// The API's root.
    pub(crate) base: Url,
    pub(crate) scopes: Scopes,
    pub(crate) events: PushEvents,
    /// Whether the registry has taken our credentials in this call.
    pub(crate) accepted: AtomicBool,
}

impl Session {
    /// A URL below the repository: `/v2/<name>/<path>`.
    pub(crate) fn url(&self, path: &str) -> Url {
        let path = format!("/v2/{}/{path}", self.target.repository);
        let mut url = self.base.clone();
        url.set_path(&path);
        url
    }

    pub(crate) fn insecure(&self) -> &[String] {
        &self.transport.insecure
    }

    pub(crate) fn pace(&self) -> Pace<'_> {
        Pace::new(&self.transport.retry)
    }

    /// Sends until there is an answer to act on: not 401, not 408, 429 or 5xx.
    pub(crate) async fn send(&self, call: &Call) -> Result<Response, Error> {
        let mut pace = self.pace();
        loop {
            match self.attempt(call, call.body.clone().into()).await {
                Ok(response) => return Ok(response),
                Err(failure) => self.recover(&mut pace, call, failure).await?,
            }
        }
    }

    /// The same for a token service: no challenge is answered there.
    pub(crate) async fn send_plain(&self, call: &Call) -> Result<Response, Error> {
        let mut pace = self.pace();
        loop {
            let authorization = call.authorization.as_ref();
            let failure = match self
                .execute(call, authorization, call.body.clone().into())
                .await
            {
                Err(failure) => failure,
                Ok(response) if !retry::is_transient(response.status()) => return Ok(response),
                Ok(response) => self.busy(call, response).await,
            };
            self.recover(&mut pace, call, failure).await?;
        }
    }

    /// Sends once.
    pub(crate) async fn attempt(&self, call: &Call, body: Body) -> Result<Response, Failure> {
        // Where an upload's Location leads elsewhere, our credentials have no business.
        let is_ours = call.url.origin() == self.base.origin();
        let authorization = if is_ours {
            let scopes = call.scopes.as_ref().unwrap_or(&self.scopes);
            self.transport.auth.header(self, scopes).await?
        } else {
            None
        };
        let response = self.execute(call, authorization.as_ref(), body).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED if is_ours => {
                Err(self.challenged(call, response, authorization).await)
            }
            status if retry::is_transient(status) => Err(self.busy(call, response).await),
            status => {
                if authorization.is_some() && status.is_success() {
                    self.accepted.store(true, Ordering::Relaxed);
                }
                Ok(response)
            }
        }
    }

    async fn execute(
        &self,
        call: &Call,
        authorization: Option<&Authorization>,
        body: Body,
    ) -> Result<Response, Failure> {
        let client = self.transport.clients.for_url(&call.url);
        let mut request = client.request(call.method.clone(), call.url.clone());
        request = request.headers(call.headers.clone()).body(body);
        if let Some(limit) = self.limit(call.limit) {
            request = request.timeout(limit);
        }
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, self.header_value(authorization)?);
        }
        let response = request.send().await;
        let response = response.map_err(|error| self.broken(error))?;
        tracing::debug!(
            registry = self.target.registry,
            request = call.shown(),
            status = response.status().as_u16(),
            "answered"
        );
        Ok(response)
    }

    fn broken(&self, error: reqwest::Error) -> Failure {
        let untrusted = self.target.untrusted(error.without_url().into());
        untrusted.map_or_else(Failure::Broken, Failure::Final)
    }

    fn header_value(&self, authorization: &Authorization) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(authorization.value.expose()).map_err(|_| {
            self.target
                .unauthorized("our credentials do not fit into a header")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn limit(&self, limit: Limit) -> Option<Duration> {
        match limit {
            Limit::Answer => Some(self.transport.timeouts.answer),
            Limit::Commit => Some(self.transport.timeouts.commit),
            Limit::Stall => None,
        }
    }

    async fn challenged(
        &self,
        call: &Call,
        response: Response,
        refused: Option<Authorization>,
    ) -> Failure {
        let headers = response.headers().clone();
        let is_known = refused.as_ref().is_some_and(|refused| refused.from_login);
        let is_insufficient = Challenge::of(&headers).is_some_and(|c| c.is_insufficient());
        // A good token that is not enough is a matter of permission, not of login.
        let is_denied = is_known && is_insufficient;
        let meaning = if is_denied {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::UNAUTHORIZED
        };
        let error = self.refusal_as(meaning, call, response).await;
        Failure::Challenged(Box::new(Challenged {
            headers,
            refused,
            error,
        }))
    }

    async fn busy(&self, call: &Call, response: Response) -> Failure {
        let retry_after = retry::retry_after(response.headers());
        Failure::Busy {
            error: self.refusal(call, response).await,
            retry_after,
        }
    }

    /// The error that an answer means.
    pub(crate) async fn refusal(&self, call: &Call, response: Response) -> Error {
        self.refusal_as(response.status(), call, response).await
    }

    async fn refusal_as(&self, meaning: StatusCode, call: &Call, response: Response) -> Error {
        let secrets = self.transport.auth.secrets(&self.target.registry);
        let reading = status::sentence(response, &secrets);
        let said = tokio::time::timeout(self.transport.timeouts.answer, reading).await;
        let said = said.unwrap_or_default();
        if meaning == StatusCode::PAYLOAD_TOO_LARGE {
            return Error::TooLarge {
                registry: self.target.registry.clone(),
                bytes: call.length(),
                request: call.shown(),
                said,
            };
        }
        self.target.refusal(meaning, call.shown(), said)
    }

    /// Waits, or logs in, so that the request can be sent again.
    ///
    /// # Errors
    /// The failure as an [`Error`], if it cannot.
    pub(crate) async fn recover(
        &self,
        pace: &mut Pace<'_>,
        call: &Call,
        failure: Failure,
    ) -> Result<(), Error> {
        let (error, asked) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Challenged(challenged) => return self.log_in(pace, *challenged).await,
            Failure::Broken(source) => (Err(source), None),
            Failure::Busy { error, retry_after } => (Ok(error), retry_after),
        };
        let Some(wait) = pace.after_failure(asked) else {
            let gone = |source| self.target.unreachable(pace, source);
            return Err(error.unwrap_or_else(gone));
        };
        let why = error.map_or_else(|error| chain(&*error), |error| error.to_string());
        let what = format!("{}: {why}", call.shown());
        tracing::debug!(registry = self.target.registry, what, ?wait, "trying again");
        (self.events)(PushEvent::Retry { what });
        tokio::time::sleep(wait).await;
        Ok(())
    }

    async fn log_in(&self, pace: &mut Pace<'_>, challenged: Challenged) -> Result<(), Error> {
        if !pace.answers_challenge(self.accepted.load(Ordering::Relaxed)) {
            return Err(challenged.error);
        }
        let (headers, refused) = (challenged.headers, challenged.refused);
        let auth = &self.transport.auth;
        auth.learn(&self.target, &headers, refused.as_ref()).await
    }
}

/// An error and its causes on one line, for an event.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
