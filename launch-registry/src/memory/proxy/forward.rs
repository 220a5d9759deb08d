//! A request handed on, with its body as it comes in, and the answer to it.

use std::io;

use bytes::Bytes;
use futures_util::stream;
use launch_config::image::Digest;
use reqwest::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use tokio::sync::mpsc;

use super::State;
use crate::memory::faults::Fate;
use crate::memory::http::{Answer, Body, Head};
use crate::memory::locked;

const DIGEST: &str = "docker-content-digest";

impl State {
    /// Asks the registry, with the body as it comes in.
    pub(super) async fn forward(
        &self,
        head: &Head,
        body: &mut Body<'_>,
        fate: Fate,
        is_stripped: bool,
    ) -> io::Result<Answer> {
        let breaks_at = (fate == Fate::ResetDuring).then(|| body.length() / 2);
        let (pieces, queue) = mpsc::channel(4);
        let request = self.request(head, queue, is_stripped)?;
        let feed = async {
            let mut taken = 0;
            while let Some(piece) = body.next().await? {
                taken += piece.len() as u64;
                // An answer may come before the end; then nobody takes the rest.
                if pieces.send(Ok::<_, io::Error>(piece)).await.is_err() {
                    return Ok(());
                }
                if breaks_at.is_some_and(|limit| taken >= limit) {
                    break;
                }
            }
            if breaks_at.is_some() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            drop(pieces);
            Ok(())
        };
        let ask = async { self.client.execute(request).await.map_err(io::Error::other) };
        let ((), answer) = tokio::try_join!(feed, ask)?;
        let lies = locked(&self.faults).lies;
        relay(answer, lies).await
    }

    fn request(
        &self,
        head: &Head,
        queue: mpsc::Receiver<io::Result<Bytes>>,
        is_stripped: bool,
    ) -> io::Result<reqwest::Request> {
        let url = format!("http://{}{}", self.upstream, head.target());
        let method = head.method.parse().map_err(io::Error::other)?;
        let mut request = self.client.request(method, url);
        let mut own = vec![CONNECTION, TRANSFER_ENCODING, EXPECT];
        if is_stripped {
            own.push(AUTHORIZATION);
        }
        for (name, value) in head.headers() {
            // `Host` too: the registry makes its locations of it, and they lead here.
            if !own
                .iter()
                .any(|own| own.as_str().eq_ignore_ascii_case(name))
            {
                request = request.header(name, value);
            }
        }
        let has_body = head
            .header("content-length")
            .is_some_and(|length| length != "0")
            || head.header("transfer-encoding").is_some();
        if has_body {
            let next = |mut queue: mpsc::Receiver<_>| async { Some((queue.recv().await?, queue)) };
            request = request.body(reqwest::Body::wrap_stream(stream::unfold(queue, next)));
        }
        request.build().map_err(io::Error::other)
    }
}

async fn relay(answer: reqwest::Response, lies: bool) -> io::Result<Answer> {
    let mut relayed = Answer::new(answer.status().as_u16());
    for (name, value) in answer.headers() {
        let is_ours = [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name);
        if lies && name == DIGEST {
            relayed = relayed.header(DIGEST, &Digest::from_sha256([0xbd; 32]));
            continue;
        }
        if let (false, Ok(value)) = (is_ours, value.to_str()) {
            relayed = relayed.header(name.as_str().to_owned(), value);
        }
    }
    let body = answer.bytes().await.map_err(io::Error::other)?;
    Ok(relayed.content(body))
}
