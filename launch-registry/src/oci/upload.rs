//! Sends one blob, and goes on where a broken connection left it.
//!
//! A small blob goes in one piece ("POST then PUT"). A large one is streamed with `PATCH`
//! and closed with an empty `PUT` ("Pushing a blob in chunks", with one chunk), as docker
//! does it: every registry takes that. After a failure the registry is asked how much it
//! has, and gets the rest. Where one request cannot carry it all, it goes in several: see
//! [`portion`].

mod patch;
mod portion;

use std::sync::Arc;

use reqwest::{Body, Response, StatusCode};
use url::Url;

use self::portion::Portion;
use super::call::{Call, Failure};
use super::client::UploadState;
use super::content::{self, Cursor};
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
    let mut upload = Upload::new(session, blob, opened);
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
    /// How far the last request came, by our account.
    sent: u64,
    portion: Portion,
    /// How far the blob is hashed; never beyond what the registry has.
    cursor: Cursor,
    restarts: u32,
    redirects: u32,
    /// Whether the last try failed, so that the registry must be asked where we are.
    is_broken: bool,
}

impl<'a> Upload<'a> {
    fn new(session: &'a Session, blob: &'a Blob, location: Option<Url>) -> Self {
        let limit = session.transport.limit(&session.target.registry);
        Self {
            session,
            blob,
            pace: session.pace(),
            location,
            stored: 0,
            sent: 0,
            portion: Portion::new(limit),
            cursor: Cursor::default(),
            restarts: 0,
            redirects: 0,
            is_broken: false,
        }
    }

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
        let body = call.body.clone().into();
        let response = self.session.attempt(&call, body).await?;
        self.session.committed(&call, response, self.blob).await?;
        (self.on_sent())(self.blob.size);
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
            Some(location) => self.session.upload_state(&location).await?,
            None => UploadState::Gone,
        };
        match state {
            UploadState::At(stored, location) if stored <= self.blob.size => {
                self.location = Some(location);
                if stored > self.stored {
                    self.pace.progress();
                }
                self.stands_at(stored);
                Ok(false)
            }
            // A commit whose answer got lost also ends an upload.
            _ => {
                self.stands_at(0);
                Ok(self.session.has_blob(self.blob.digest).await?)
            }
        }
    }

    /// Takes the registry's word for what it has.
    fn stands_at(&mut self, stored: u64) {
        let lost = self.sent.saturating_sub(stored);
        self.portion = self.portion.after_loss(lost);
        (self.stored, self.sent) = (stored, stored);
        if self.cursor.offset > stored {
            self.cursor = Cursor::default();
        }
    }

    async fn location(&mut self) -> Result<Url, Failure> {
        if let Some(location) = &self.location {
            return Ok(location.clone());
        }
        self.stands_at(0);
        let location = self.session.start_upload().await?;
        Ok(self.location.insert(location).clone())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        let location = self.location().await?;
        let call = Session::commit_call(&location, self.blob.digest);
        let answer = self.session.attempt(&call, Body::default()).await?;
        match answer.status() {
            // Content was lost or doubled on the way, or the upload has gone.
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(self.restart(&call, answer).await)
            }
            _ => Ok(self.session.committed(&call, answer, self.blob).await?),
        }
    }

    /// Gives the upload up for a new one: what we sent was right, so it deserves one.
    async fn restart(&mut self, call: &Call, answer: Response) -> Failure {
        let error = self.session.refusal(call, answer).await;
        self.restarts += 1;
        self.location = None;
        self.stands_at(0);
        match self.restarts {
            1..=3 => Failure::Busy {
                error,
                retry_after: None,
            },
            _ => error.into(),
        }
    }

    fn on_sent(&self) -> impl Fn(u64) + Send + 'static + use<> {
        let (digest, events) = (self.blob.digest, Arc::clone(&self.session.events));
        move |bytes| events(PushEvent::Sent { digest, bytes })
    }
}
