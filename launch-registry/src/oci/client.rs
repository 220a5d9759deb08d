//! The requests of the distribution specification, one function each.
//!
//! Section names are those of the OCI distribution-spec 1.1.

use launch_config::image::Digest;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::call::{Call, Failure, Limit};
use super::endpoint;
use super::layout::{Blob, Manifest, media};
use super::session::Session;
use super::status;
use crate::Error;

/// "Pulling manifests": the digest of what was asked for.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// "Pushing Manifests" obliges registries to take 4 MiB; nobody takes much more.
const MANIFEST: usize = 16 * 1024 * 1024;

/// Where an upload stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum UploadState {
    /// This many bytes are there; the next request goes to the URL.
    At(u64, Url),
    /// The registry does not know the upload (any more).
    Gone,
}

impl Session {
    /// "Checking if content exists in the registry", for a manifest. `None` if it is not
    /// there or not to be seen.
    pub(crate) async fn manifest_digest(&self, reference: &str) -> Result<Option<Digest>, Error> {
        let call = self.manifest_call(Method::HEAD, reference);
        let response = self.send(&call).await;
        let response = match response {
            Err(Error::Denied { .. }) => return Ok(None),
            response => response?,
        };
        match response.status() {
            StatusCode::OK => match self.content_digest(&call, &response)? {
                Some(digest) => Ok(Some(digest)),
                // The header is only recommended ("Pulling manifests").
                None => self.hashed_manifest(reference).await,
            },
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => Ok(None),
            StatusCode::METHOD_NOT_ALLOWED => self.hashed_manifest(reference).await,
            _ => Err(self.refusal(&call, response).await),
        }
    }

    async fn hashed_manifest(&self, reference: &str) -> Result<Option<Digest>, Error> {
        let call = self.manifest_call(Method::GET, reference);
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::OK => (),
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => return Ok(None),
            _ => return Err(self.refusal(&call, response).await),
        }
        let said = self.content_digest(&call, &response)?;
        let body = status::read_capped(response, MANIFEST).await;
        let unreadable = || self.nonsense(&call, StatusCode::OK, "a manifest that cannot be read");
        let body = body.ok().flatten().ok_or_else(unreadable)?;
        let found = sha256(&body);
        same_digest(&call.shown(), said.unwrap_or(found), found)?;
        Ok(Some(found))
    }

    fn manifest_call(&self, method: Method, reference: &str) -> Call {
        let mut call = Call::new(method, self.url(&format!("manifests/{reference}")));
        for kind in media::MANIFESTS {
            call.headers.append(ACCEPT, HeaderValue::from_static(kind));
        }
        call
    }

    /// "Pushing Manifests", verbatim.
    pub(crate) async fn put_manifest(
        &self,
        reference: &str,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let mut call = Call::new(Method::PUT, self.url(&format!("manifests/{reference}")));
        call.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(manifest.media_type));
        call.body = manifest.bytes.clone();
        let response = self.send(&call).await?;
        if !matches!(response.status(), StatusCode::CREATED | StatusCode::OK) {
            return Err(self.refusal(&call, response).await);
        }
        let is_confirmed = self.confirm(&call, &response, manifest.digest)?;
        if is_confirmed {
            return Ok(());
        }
        // The header is only recommended; then the registry is asked what it has. Who may not
        // look has the registry's word that it took the manifest.
        let found = self
            .manifest_digest(reference)
            .await?
            .unwrap_or(manifest.digest);
        same_digest(&call.shown(), manifest.digest, found)
    }

    /// "Checking if content exists in the registry", for a blob.
    ///
    /// Only an optimisation: a registry that will not say is asked to take the blob.
    pub(crate) async fn has_blob(&self, digest: Digest) -> Result<bool, Error> {
        let call = Call::new(Method::HEAD, self.url(&format!("blobs/{digest}")));
        match self.send(&call).await {
            Ok(response) => Ok(response.status() == StatusCode::OK),
            Err(error @ Error::Unreachable { .. }) => Err(error),
            Err(error) => {
                tracing::debug!(%error, %digest, "whether the blob is there is unknown");
                Ok(false)
            }
        }
    }

    pub(crate) fn upload_call(&self) -> Call {
        Call::new(Method::POST, self.url("blobs/uploads/"))
    }

    /// "POST then PUT", the first half: where to send the blob.
    pub(crate) async fn start_upload(&self) -> Result<Url, Failure> {
        let call = self.upload_call();
        let response = self.attempt(&call, call.body.clone().into()).await?;
        match response.status() {
            StatusCode::ACCEPTED => Ok(self.next_location(&call, &response)?),
            _ => Err(self.refusal(&call, response).await.into()),
        }
    }

    /// "Mounting a blob from another repository". `None` if it is mounted; else the
    /// registry has opened an upload.
    pub(crate) async fn mount(&self, digest: Digest, from: &str) -> Result<Option<Url>, Error> {
        let mut call = self.upload_call();
        let pairs = [("mount", digest.to_string()), ("from", from.to_owned())];
        call.url.query_pairs_mut().extend_pairs(pairs);
        let mut scopes = self.scopes.clone();
        scopes.push(format!("repository:{from}:pull"));
        call.scopes = Some(scopes);
        let response = self.send(&call).await?;
        match response.status() {
            StatusCode::CREATED => {
                self.confirm(&call, &response, digest)?;
                Ok(None)
            }
            StatusCode::ACCEPTED => self.next_location(&call, &response).map(Some),
            _ => Err(self.refusal(&call, response).await),
        }
    }

    /// "Pushing a blob in chunks": how far an upload came.
    pub(crate) async fn upload_state(&self, upload: &Url) -> Result<UploadState, Failure> {
        let call = Call::new(Method::GET, upload.clone());
        let response = self.attempt(&call, call.body.clone().into()).await?;
        match response.status() {
            StatusCode::NO_CONTENT | StatusCode::ACCEPTED => {
                let here = self.next_location(&call, &response);
                let here = here.unwrap_or_else(|_| upload.clone());
                Ok(UploadState::At(
                    stored(response.headers()).unwrap_or(0),
                    here,
                ))
            }
            status if status.is_client_error() => Ok(UploadState::Gone),
            _ => Err(self.refusal(&call, response).await.into()),
        }
    }

    /// Whether we may push, found out by starting to: the upload is cancelled at once.
    pub(crate) async fn probe_push(&self) -> Result<(), Error> {
        let call = self.upload_call();
        let response = self.send(&call).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(self.refusal(&call, response).await);
        }
        let upload = self.next_location(&call, &response)?;
        self.cancel_upload(upload).await;
        Ok(())
    }

    /// Ends an upload that is not wanted any more. The specification has no word on it and
    /// registries forget uploads by themselves, so a failure is only logged.
    pub(crate) async fn cancel_upload(&self, upload: Url) {
        let call = Call::new(Method::DELETE, upload);
        match self.send(&call).await.map(|response| response.status()) {
            Ok(status) if status.is_success() => (),
            outcome => tracing::debug!(?outcome, "the upload is left to expire"),
        }
    }

    /// The `PUT` that ends an upload ("POST then PUT"), with all of the blob or none of it.
    pub(crate) fn commit_call(upload: &Url, digest: Digest) -> Call {
        let mut url = upload.clone();
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        let mut call = Call {
            limit: Limit::Commit,
            ..Call::new(Method::PUT, url)
        };
        call.headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        call
    }

    /// Judges the answer to a commit.
    pub(crate) async fn committed(
        &self,
        call: &Call,
        response: Response,
        blob: &Blob,
    ) -> Result<(), Error> {
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => {
                self.confirm(call, &response, blob.digest).map(drop)
            }
            _ => Err(self.refusal(call, response).await),
        }
    }

    pub(crate) fn next_location(&self, call: &Call, answer: &Response) -> Result<Url, Error> {
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        // Relative to where the answer came from, which a redirect may have changed.
        let next = location.and_then(|location| endpoint::next_location(answer.url(), location));
        next.ok_or_else(|| self.nonsense(call, answer.status(), "no location that could be used"))
    }

    fn content_digest(&self, call: &Call, answer: &Response) -> Result<Option<Digest>, Error> {
        let Some(value) = answer.headers().get(CONTENT_DIGEST) else {
            return Ok(None);
        };
        let digest = value.to_str().ok().and_then(|text| text.parse().ok());
        let wrong = || self.nonsense(call, answer.status(), "a digest that is none");
        digest.map(Some).ok_or_else(wrong)
    }

    /// The registry must have understood what we sent: `Docker-Content-Digest`, if any.
    /// Whether there was one.
    fn confirm(&self, call: &Call, answer: &Response, expected: Digest) -> Result<bool, Error> {
        let said = self.content_digest(call, answer)?;
        let what = format!("what {} stored for {}", self.target.registry, call.shown());
        same_digest(&what, expected, said.unwrap_or(expected))?;
        Ok(said.is_some())
    }

    /// An answer that breaks the specification with a status that does not.
    fn nonsense(&self, call: &Call, status: StatusCode, what: &str) -> Error {
        Error::Protocol {
            registry: self.target.registry.clone(),
            status: status.as_u16(),
            request: call.shown(),
            said: what.to_owned(),
        }
    }
}

/// How many bytes an upload holds, from `Range: 0-<last>`.
///
/// Docker's registry says `0-0` for none as well as for one byte: taken for none.
pub(crate) fn stored(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last: u64 = range.strip_prefix("0-")?.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

pub(crate) fn same_digest(what: &str, expected: Digest, found: Digest) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Digest {
        what: what.to_owned(),
        expected,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_uploads_are_read() {
        let range = |text: &'static str| {
            stored(&HeaderMap::from_iter([(
                RANGE,
                HeaderValue::from_static(text),
            )]))
        };
        assert_eq!((range("0-0"), range("0-9")), (Some(0), Some(10)));
        assert_eq!(
            (range("bytes=0-9"), range("5-9"), range("x")),
            (Some(10), None, None)
        );
        assert_eq!(stored(&HeaderMap::new()), None);
    }
}
