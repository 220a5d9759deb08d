//! A request as a value, and the ways it can fail.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use url::Url;

use super::auth::{Authorization, Scopes};
use super::trust::Source;
use crate::Error;

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Answer,
    /// The registry files a whole blob first.
    Commit,
    /// The sender watches its own progress.
    Stall,
}

/// A request. It can be sent again: a streamed body is not part of it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) limit: Limit,
    /// What it may touch, if not what its session may.
    pub(crate) scopes: Option<Scopes>,
    /// Sent as it is, to a token service.
    pub(crate) authorization: Option<Authorization>,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limit: Limit::Answer,
            scopes: None,
            authorization: None,
        }
    }

    /// How long its body is.
    pub(crate) fn length(&self) -> u64 {
        let streamed = self.headers.get(CONTENT_LENGTH);
        let streamed = streamed.and_then(|value| value.to_str().ok()?.parse().ok());
        streamed.unwrap_or(self.body.len() as u64)
    }

    /// Method and path: what may be shown, since queries carry signatures and states.
    pub(crate) fn shown(&self) -> String {
        format!("{} {}", self.method, self.url.path())
    }
}

/// Why one try of a request did not end in an answer to act on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no answer, or no whole one.
    Broken(Source),
    /// The registry wants to know who we are, or does not believe it.
    Challenged(Box<Challenged>),
    /// Later, perhaps.
    Busy {
        error: Error,
        retry_after: Option<Duration>,
    },
    /// Trying again changes nothing.
    Final(Error),
}

/// A 401.
#[derive(Debug)]
pub(crate) struct Challenged {
    pub(crate) headers: HeaderMap,
    /// What it did not accept.
    pub(crate) refused: Option<Authorization>,
    /// What it means if there is no better answer.
    pub(crate) error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}
