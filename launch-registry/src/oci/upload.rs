//! Sends one blob, and goes on where a broken connection left it.
//!
//! A small blob goes in one piece ("POST then PUT"). A large one is streamed with `PATCH`
//! and closed with an empty `PUT` ("Pushing a blob in chunks", with one chunk), as docker
//! does it: every registry takes that. After a failure the registry is asked how much it
//! has, and gets the rest.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode};
use url::Url;

use super::call::{Call, Failure, Limit};
use super::client::{UploadState, stored};
use super::content::{self, Reading};
use super::layout::Blob;
use super::retry::Pace;
use super::session::Session;
use crate::{Error, PushEvent};

/// Blobs up to this size are held in memory and sent in one piece.
const SMALL: u64 = 1024 * 1024;

/// Uploads `blob`, into the upload at `opened` if there is one already.
pub(crate) async fn upload(
    session: &Session,
    blob: &Blob,
    opened: Option<Url>,
) -> Result<(), Error> {
    let pace = session.pace();
    let mut upload = Upload {
        session,
        blob,
        pace,
        location: opened,
        stored: 0,
        restarts: 0,
        is_broken: false,
    };
    let shown = session.upload_call();
    loop {
        let outcome = if blob.size <= SMALL {
            upload.whole().await
        } else {
            upload.go_on().await
        };
        let Err(failure) = outcome else { return Ok(()) };
        session.recover(&mut upload.pace, &shown, failure).await?;
        upload.is_broken = true;
    }
}

struct Upload<'a> {
    session: &'a Session,
    blob: &'a Blob,
    pace: Pace<'a>,
    location: Option<Url>,
    /// What the registry is known to have.
    stored: u64,
    restarts: u32,
    /// Whether the last try failed, so that the registry must be asked where we are.
    is_broken: bool,
}

impl Upload<'_> {
    /// All of it in one request, or anew.
    async fn whole(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_broken) && self.session.has_blob(self.blob.digest).await? {
            return Ok(());
        }
        let bytes = content::read_whole(self.blob).await?;
        let location = match self.location.take() {
            Some(location) => location,
            None => self.session.start_upload().await?,
        };
        let call = Call {
            body: bytes,
            ..Session::commit_call(&location, self.blob.digest)
        };
        let response = self
            .session
            .attempt(&call, call.body.clone().into())
            .await?;
        self.session.committed(&call, response, self.blob).await?;
        self.report(self.blob.size);
        Ok(())
    }

    /// From where it stands to the end.
    async fn go_on(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.is_broken) && self.find_out().await? {
            return Ok(());
        }
        while self.stored < self.blob.size {
            self.patch().await?;
        }
        self.commit().await
    }

    /// Asks how far the upload came. True if the blob is complete and in place.
    async fn find_out(&mut self) -> Result<bool, Failure> {
        let state = match self.location.take() {
            Some(location) => self.session.upload_state(&location).await,
            None => Ok(UploadState::Gone),
        };
        match state {
            Ok(UploadState::At(stored, location)) if stored <= self.blob.size => {
                self.location = Some(location);
                if stored > self.stored {
                    self.pace.progress();
                }
                self.stored = stored;
                Ok(false)
            }
            // A commit whose answer got lost also ends an upload.
            Ok(_) => {
                self.stored = 0;
                Ok(self.session.has_blob(self.blob.digest).await?)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn location(&mut self) -> Result<Url, Failure> {
        if let Some(location) = &self.location {
            return Ok(location.clone());
        }
        self.stored = 0;
        let location = self.session.start_upload().await?;
        Ok(self.location.insert(location).clone())
    }

    async fn patch(&mut self) -> Result<(), Failure> {
        let location = self.location().await?;
        let call = self.patch_call(location);
        let (stream, reading) = content::stream(self.blob, self.stored, self.on_sent());
        let body = Body::wrap_stream(stream);
        let limit = self.session.transport.timeouts.stall;
        let answer = while_moving(&reading, limit, self.session.attempt(&call, body)).await;
        if let Some(failure) = reading.take_failure() {
            return Err(failure.into());
        }
        let answer = answer?;
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::CREATED | StatusCode::NO_CONTENT => {
                self.patched(&call, &answer)
            }
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::NOT_FOUND => {
                self.restart(&call, answer).await
            }
            _ => Err(self.session.refusal(&call, answer).await.into()),
        }
    }

    fn patch_call(&self, location: Url) -> Call {
        let mut call = Call {
            limit: Limit::Stall,
            ..Call::new(Method::PATCH, location)
        };
        let size = self.blob.size;
        call.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        call.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(size - self.stored));
        if self.stored > 0 {
            // Docker sends no range with a first PATCH, and some registries never saw one.
            let range = HeaderValue::try_from(format!("{}-{}", self.stored, size - 1));
            call.headers
                .insert(CONTENT_RANGE, range.expect("digits and a dash"));
        }
        call
    }

    fn patched(&mut self, call: &Call, answer: &Response) -> Result<(), Failure> {
        self.location = Some(self.session.next_location(call, answer)?);
        let now = stored(answer.headers()).unwrap_or(self.blob.size);
        if now <= self.stored || now > self.blob.size {
            return Err(Failure::Broken("the upload does not move forward".into()));
        }
        self.stored = now;
        self.pace.progress();
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let location = self.location().await?;
        let call = Session::commit_call(&location, self.blob.digest);
        let answer = self.session.attempt(&call, Body::default()).await?;
        match answer.status() {
            // Content was lost or doubled on the way, or the upload has gone.
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                self.restart(&call, answer).await
            }
            _ => Ok(self.session.committed(&call, answer, self.blob).await?),
        }
    }

    /// Gives the upload up for a new one: what we sent was right, so it deserves one.
    async fn restart(&mut self, call: &Call, answer: Response) -> Result<(), Failure> {
        let error = self.session.refusal(call, answer).await;
        self.restarts += 1;
        self.location = None;
        self.stored = 0;
        match self.restarts {
            1 | 2 => Err(Failure::Busy {
                error,
                retry_after: None,
            }),
            _ => Err(error.into()),
        }
    }

    fn on_sent(&self) -> impl Fn(u64) + Send + 'static + use<> {
        let (digest, events) = (self.blob.digest, Arc::clone(&self.session.events));
        move |bytes| events(PushEvent::Sent { digest, bytes })
    }

    fn report(&self, bytes: u64) {
        (self.on_sent())(bytes);
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
