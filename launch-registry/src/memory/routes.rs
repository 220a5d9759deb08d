//! From requests to the store and back (distribution-spec 1.1, "Endpoints").

use std::io;

use bytes::Bytes;
use launch_config::image::Digest;
use tokio::net::TcpStream;
use url::form_urlencoded;

use super::faults::Fate;
use super::http::{self, Answer, Body, Head, Stream};
use super::{State, locked};

/// Manifests and forms are no larger.
const SMALL: usize = 4 * 1024 * 1024;
/// How far a body gets whose connection is reset in the middle.
const DURING: u64 = 1000;

/// Serves one connection until it ends. An error is a reset.
pub(super) async fn serve(stream: TcpStream, state: &State, is_main: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = Stream::new(stream);
    while let Some(head) = http::read_head(&mut stream).await? {
        let fate = meet_fate(state, &head).await;
        if fate == Fate::ResetBefore {
            return reset(&stream);
        }
        let mut body = Body::open(&mut stream, &head).await?;
        let mut request = Request {
            state,
            head,
            is_main,
            fate,
        };
        let answer = match request.answer(&mut body).await {
            Ok(answer) | Err(Refusal::Answer(answer)) => answer,
            Err(Refusal::Reset) => return reset(&stream),
            Err(Refusal::Io(error)) => return Err(error),
        };
        let keep = body.is_done();
        if fate == Fate::ResetAfter {
            return reset(&stream);
        }
        answer.write(&mut stream, &request.head, keep).await?;
        if !keep {
            return http::linger(&mut stream).await;
        }
    }
    Ok(())
}

/// Waits as long as the faults say, and rolls the dice for a request. Who only asks what
/// kind of server this is meets no faults.
async fn meet_fate(state: &State, head: &Head) -> Fate {
    let faults = state.faults();
    if !faults.latency.is_zero() {
        tokio::time::sleep(faults.latency).await;
    }
    if head.path == "/v2/" {
        return Fate::Good;
    }
    let fate = locked(&state.dice).fate(&faults);
    if fate != Fate::Good {
        state.count(|counts| counts.faults += 1);
    }
    fate
}

/// Ends a connection as a crash or a firewall would, without goodbye.
pub(super) fn reset(stream: &Stream) -> io::Result<()> {
    stream.get_ref().set_zero_linger()?;
    Err(io::ErrorKind::ConnectionReset.into())
}

enum Refusal {
    Answer(Answer),
    Reset,
    Io(io::Error),
}

impl From<Answer> for Refusal {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Request<'a> {
    state: &'a State,
    head: Head,
    is_main: bool,
    fate: Fate,
}

impl Request<'_> {
    async fn answer(&mut self, body: &mut Body<'_>) -> Result<Answer, Refusal> {
        match self.fate {
            Fate::Error => return Ok(Answer::error(500, "UNKNOWN", "bad luck")),
            Fate::Throttle => {
                let answer = Answer::error(429, "TOOMANYREQUESTS", "slow down");
                let wait = self.state.faults().retry_after.as_secs();
                return Ok(answer.header("Retry-After", &wait));
            }
            _ => (),
        }
        let limit = self.state.faults().limit;
        if limit > 0 && body.length() > limit {
            let page = "<html><head><title>413 Request Entity Too Large</title></head></html>";
            return Ok(Answer::new(413).body("text/html", page));
        }
        let path = self.head.path.clone();
        if path == "/token" {
            let form = body.collect(SMALL).await?;
            let form: Vec<_> = form_urlencoded::parse(&form).into_owned().collect();
            self.state.count(|counts| counts.tokens += 1);
            return Ok(self.state.access.token(&self.head, &form));
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Ok(Answer::error(404, "UNSUPPORTED", "this is a registry"));
        };
        if rest.is_empty() {
            self.check("", "pull")?;
            return Ok(Answer::new(200).body("application/json", "{}"));
        }
        self.state.count(|counts| counts.requests += 1);
        self.route(rest, body).await
    }

    async fn route(&mut self, rest: &str, body: &mut Body<'_>) -> Result<Answer, Refusal> {
        let unknown = || Answer::error(404, "NAME_UNKNOWN", "no such endpoint");
        if let Some((name, id)) = rest.rsplit_once("/blobs/uploads/") {
            self.check(name, "push")?;
            return self.upload(name, id, body).await;
        }
        let action = if matches!(self.head.method.as_str(), "GET" | "HEAD") {
            "pull"
        } else {
            "push"
        };
        if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
            self.check(name, action)?;
            return Ok(self.blob(name, digest));
        }
        if let Some((name, reference)) = rest.rsplit_once("/manifests/") {
            self.check(name, action)?;
            return self.manifest(name, reference, body).await;
        }
        let name = rest.strip_suffix("/tags/list").ok_or_else(unknown)?;
        self.check(name, action)?;
        let tags = locked(&self.state.store).tags(name).ok_or_else(unknown)?;
        let list = serde_json::json!({ "name": name, "tags": tags });
        Ok(Answer::new(200).body("application/json", list.to_string()))
    }

    fn check(&self, name: &str, action: &str) -> Result<(), Answer> {
        let sent = self.head.header("authorization");
        if !self.is_main {
            if sent.is_some() {
                self.state.count(|counts| counts.leaks += 1);
            }
            return Ok(());
        }
        let host = self.state.address.to_string();
        let checked = self.state.access.check(&self.head, &host, name, action);
        match (checked, sent) {
            (Err(answer), Some(sent)) if self.state.faults().echo => {
                let message = format!("what is `{sent}`?");
                Err(Answer::error(answer.status, "UNAUTHORIZED", &message))
            }
            (checked, _) => checked,
        }
    }

    fn blob(&self, name: &str, digest: &str) -> Answer {
        let found = digest.parse().ok();
        let found =
            found.and_then(|digest| Some((locked(&self.state.store).blob(name, digest)?, digest)));
        match found {
            Some((bytes, digest)) => {
                let answer = self.with_digest(Answer::new(200), digest);
                answer.body("application/octet-stream", bytes)
            }
            None => Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        }
    }

    async fn manifest(
        &self,
        name: &str,
        reference: &str,
        body: &mut Body<'_>,
    ) -> Result<Answer, Refusal> {
        if self.head.method == "PUT" {
            let bytes = Bytes::from(self.collect(body).await?);
            let kind = self.head.header("content-type").unwrap_or_default();
            let stored = locked(&self.state.store).put_manifest(name, reference, kind, bytes);
            let digest = stored?;
            self.state.count(|counts| counts.manifests += 1);
            let location = format!("/v2/{name}/manifests/{digest}");
            return Ok(self.with_digest(Answer::new(201).header("Location", &location), digest));
        }
        let found = locked(&self.state.store).manifest(name, reference).cloned();
        let unknown = || Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        let found = found.ok_or_else(unknown)?;
        let answer = self.with_digest(Answer::new(200), found.digest);
        Ok(answer.body(&found.media_type, found.bytes))
    }

    async fn upload(&self, name: &str, id: &str, body: &mut Body<'_>) -> Result<Answer, Refusal> {
        if self.head.method == "POST" {
            return Ok(self.open_upload(name));
        }
        let unknown = || Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "upload unknown to registry");
        let id: u64 = id.parse().map_err(|_| unknown())?;
        let store = || locked(&self.state.store);
        match self.head.method.as_str() {
            "GET" => {
                let stored = store().stored(name, id)?;
                Ok(self.progress(204, name, id, stored))
            }
            "DELETE" => {
                store().cancel(name, id)?;
                self.state.count(|counts| counts.cancelled += 1);
                Ok(Answer::new(204))
            }
            "PATCH" | "PUT" if self.is_main && self.state.faults().redirects => Ok(self.redirect()),
            "PATCH" if self.state.faults().stalls => std::future::pending().await,
            "PATCH" => {
                self.take(name, id, body).await?;
                let stored = store().stored(name, id)?;
                Ok(self.progress(202, name, id, stored))
            }
            "PUT" => self.close_upload(name, id, body).await,
            _ => Ok(Answer::error(405, "UNSUPPORTED", "no such method")),
        }
    }

    /// To the same place on the host for uploads.
    fn redirect(&self) -> Answer {
        let host = self.state.uploads.unwrap_or(self.state.address);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.head.query);
        let location = format!("http://{host}{}?{}", self.head.path, query.finish());
        Answer::new(307).header("Location", &location)
    }

    fn open_upload(&self, name: &str) -> Answer {
        self.state.count(|counts| counts.uploads += 1);
        let mut store = locked(&self.state.store);
        let digest: Option<Digest> = self.head.query("mount").and_then(|text| text.parse().ok());
        if let (Some(digest), Some(from)) = (digest, self.head.query("from"))
            && store.mount(name, from, digest)
        {
            self.state.count(|counts| counts.mounts += 1);
            let location = format!("/v2/{name}/blobs/{digest}");
            return self.with_digest(Answer::new(201).header("Location", &location), digest);
        }
        let id = store.open(name);
        self.progress(202, name, id, 0)
    }

    async fn close_upload(
        &self,
        name: &str,
        id: u64,
        body: &mut Body<'_>,
    ) -> Result<Answer, Refusal> {
        self.take(name, id, body).await?;
        let digest = self.head.query("digest").and_then(|text| text.parse().ok());
        let wrong = || Answer::error(400, "DIGEST_INVALID", "no digest was given");
        let digest: Digest = digest.ok_or_else(wrong)?;
        locked(&self.state.store).complete(name, id, digest)?;
        self.state.count(|counts| counts.blobs += 1);
        let location = format!("/v2/{name}/blobs/{digest}");
        Ok(self.with_digest(Answer::new(201).header("Location", &location), digest))
    }

    /// Takes a piece of a blob, which must start where the last one ended.
    async fn take(&self, name: &str, id: u64, body: &mut Body<'_>) -> Result<(), Refusal> {
        let stored = locked(&self.state.store).stored(name, id)?;
        let range = self
            .head
            .header("content-range")
            .and_then(|text| text.split_once('-'));
        if range.is_some_and(|(start, _)| start.parse() != Ok(stored)) {
            return Err(self.progress(416, name, id, stored).into());
        }
        let mut breaks_at = self.breaks_at();
        let mut taken = 0;
        while let Some(piece) = body.next().await? {
            taken += piece.len() as u64;
            locked(&self.state.store).append(name, id, &piece)?;
            self.state
                .count(|counts| counts.bytes += piece.len() as u64);
            if breaks_at.take_if(|limit| taken >= *limit).is_some() {
                let mut faults = locked(&self.state.faults);
                faults.breaks = faults.breaks.saturating_sub(1);
                return Err(Refusal::Reset);
            }
        }
        Ok(())
    }

    fn breaks_at(&self) -> Option<u64> {
        let faults = self.state.faults();
        let planned = (faults.breaks > 0).then_some(faults.break_after);
        planned.or((self.fate == Fate::ResetDuring).then_some(DURING))
    }

    async fn collect(&self, body: &mut Body<'_>) -> Result<Vec<u8>, Refusal> {
        let all = body.collect(SMALL).await?;
        if self.fate == Fate::ResetDuring {
            Err(Refusal::Reset)
        } else {
            Ok(all)
        }
    }

    /// Where an upload stands, and where it goes on.
    fn progress(&self, status: u16, name: &str, id: u64, stored: usize) -> Answer {
        let path = format!("/v2/{name}/blobs/uploads/{id}");
        let location = match self.state.uploads {
            Some(address) if !self.state.faults().redirects => format!("http://{address}{path}"),
            _ => path,
        };
        let range = format!("0-{}", stored.saturating_sub(1));
        Answer::new(status)
            .header("Location", &location)
            .header("Range", &range)
    }

    fn with_digest(&self, answer: Answer, digest: Digest) -> Answer {
        let faults = self.state.faults();
        if faults.silence {
            return answer;
        }
        let said = if faults.lies {
            Digest::from_sha256([0xbd; 32])
        } else {
            digest
        };
        answer.header("Docker-Content-Digest", &said)
    }
}
