//! One request with a part of a blob, and what its answer means.

use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode};
use url::Url;

use super::Upload;
use super::portion::Portion;
use crate::oci::call::{Call, Failure, Limit};
use crate::oci::client::stored;
use crate::oci::content::{self, Reading};

/// As often an upload may be sent elsewhere.
const REDIRECTS: u32 = 5;

impl Upload<'_> {
    /// Sends from what the registry has to the end of the portion.
    pub(super) async fn patch(&mut self) -> Result<(), Failure> {
        let location = self.location().await?;
        let end = self.portion.end(self.stored, self.blob.size);
        let call = self.patch_call(location, end);
        let (cursor, range) = (self.cursor.clone(), self.stored..end);
        let (stream, reading) = content::stream(self.blob, cursor, range, self.on_sent());
        let body = Body::wrap_stream(stream);
        let limit = self.session.transport.timeouts.stall;
        let answer = while_moving(&reading, limit, self.session.attempt(&call, body)).await;
        self.sent = reading.position();
        let cursor = match reading.take() {
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(cursor)) => Some(cursor),
            None => None,
        };
        let answer = answer?;
        if matches!(
            answer.status(),
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT
        ) {
            self.patched(&call, &answer, end)?;
            // It is of use for what follows at once, and only then.
            self.cursor = cursor
                .filter(|cursor| cursor.offset == self.stored)
                .unwrap_or_default();
            return Ok(());
        }
        self.not_patched(&call, answer).await
    }

    fn patch_call(&self, location: Url, end: u64) -> Call {
        let mut call = Call {
            limit: Limit::Stall,
            ..Call::new(Method::PATCH, location)
        };
        let kind = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, kind);
        let length = HeaderValue::from(end - self.stored);
        call.headers.insert(CONTENT_LENGTH, length);
        if self.is_part(end) {
            // Docker sends no range with a blob that goes in one, and some registries never
            // saw one.
            let range = HeaderValue::try_from(format!("{}-{}", self.stored, end - 1));
            call.headers
                .insert(CONTENT_RANGE, range.expect("digits and a dash"));
        }
        call
    }

    fn is_part(&self, end: u64) -> bool {
        self.stored > 0 || end < self.blob.size
    }

    fn patched(&mut self, call: &Call, answer: &Response, end: u64) -> Result<(), Failure> {
        self.location = Some(self.session.next_location(call, answer)?);
        let now = stored(answer.headers()).unwrap_or(end);
        if now <= self.stored || now > end {
            return Err(Failure::Broken("the upload does not move forward".into()));
        }
        (self.stored, self.sent) = (now, now);
        self.pace.progress();
        Ok(())
    }

    async fn not_patched(&mut self, call: &Call, answer: Response) -> Result<(), Failure> {
        match answer.status() {
            // A body that is streamed is not sent twice by the HTTP client.
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
                if self.redirects < REDIRECTS =>
            {
                self.redirects += 1;
                self.location = Some(self.session.next_location(call, &answer)?);
                Ok(())
            }
            StatusCode::PAYLOAD_TOO_LARGE => self.shrink(call, answer).await,
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_FOUND => {
                Err(self.restart(call, answer).await)
            }
            // Registries that take a blob in one request only have said so in many ways.
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
                if call.headers.contains_key(CONTENT_RANGE) =>
            {
                self.portion = Portion::OnlyWhole;
                Err(self.restart(call, answer).await)
            }
            _ => Err(self.session.refusal(call, answer).await.into()),
        }
    }

    /// Goes on in smaller requests, and remembers for the blobs to come.
    async fn shrink(&mut self, call: &Call, answer: Response) -> Result<(), Failure> {
        let error = self.session.refusal(call, answer).await;
        let smaller = self.portion.smaller(call.length());
        let Some(smaller @ Portion::Chunk(limit)) = smaller else {
            return Err(error.into());
        };
        tracing::debug!(%error, limit, "sending smaller requests");
        let registry = &self.session.target.registry;
        self.session.transport.set_limit(registry, limit);
        self.portion = smaller;
        self.sent = self.stored;
        Ok(())
    }
}

/// Waits for `answer` as long as the body moves, and then for `limit`.
async fn while_moving(
    reading: &Reading,
    limit: Duration,
    answer: impl Future<Output = Result<Response, Failure>> + Send,
) -> Result<Response, Failure> {
    let mut answer = answer.boxed();
    loop {
        let before = reading.position();
        if let Ok(answer) = tokio::time::timeout(limit, &mut answer).await {
            return answer;
        }
        if reading.position() == before {
            let seconds = limit.as_secs();
            return Err(Failure::Broken(
                format!("the upload stood still for {seconds} s").into(),
            ));
        }
    }
}
