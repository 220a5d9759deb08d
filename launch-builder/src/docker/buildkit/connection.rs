//! A connection to the engine of our own: for what its client library has no call.
//!
//! One request each, and closed when dropped, which is how the engine learns that nobody
//! wants the answer any more.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use super::super::{NAME, PING, silent};
use crate::error::Error;

/// Where the engine listens if nobody says.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// The port of `tcp://` addresses without one.
const DEFAULT_PORT: u16 = 2375;
/// What the engine says of a refusal is not longer than this.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// A request's body.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Where an engine listens, as far as we connect by ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::docker) enum Address {
    Socket(PathBuf),
    Plain(String, u16),
}

impl Address {
    /// What `DOCKER_HOST` means; `None` for ways that are left to the library (TLS, ssh).
    pub(in crate::docker) fn of(host: Option<&str>) -> Option<Self> {
        let Some(host) = host.filter(|host| !host.is_empty()) else {
            return Some(Self::Socket(DEFAULT_SOCKET.into()));
        };
        if let Some(path) = host.strip_prefix("unix://") {
            return Some(Self::Socket(path.into()));
        }
        let plain = host
            .strip_prefix("tcp://")
            .or(host.strip_prefix("http://"))?;
        let authority = plain.trim_end_matches('/');
        match authority.rsplit_once(':') {
            Some((name, port)) if !name.ends_with(':') => {
                Some(Self::Plain(name.to_owned(), port.parse().ok()?))
            }
            _ => Some(Self::Plain(authority.to_owned(), DEFAULT_PORT)),
        }
    }

    /// Connects.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let connecting = async {
            match self {
                Self::Socket(path) => Connection::over(UnixStream::connect(path).await?).await,
                Self::Plain(name, port) => {
                    let name = name.trim_start_matches('[').trim_end_matches(']');
                    Connection::over(TcpStream::connect((name, *port)).await?).await
                }
            }
        };
        match tokio::time::timeout(PING, connecting).await {
            Ok(connected) => connected.map_err(unreachable),
            Err(_) => Err(silent(PING)),
        }
    }
}

/// The engine cannot be spoken with.
pub(super) fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Unavailable {
        builder: NAME,
        missing: "the connection to the Docker Engine failed".to_owned(),
        source: Some(error.into()),
    }
}

/// One connection for one request; closed when dropped.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Body>,
    driver: Driver,
}

/// The task that moves the bytes; it ends with its owner.
#[derive(Debug)]
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    async fn over<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "a connection to the engine broke");
            }
        });
        Ok(Self {
            sender,
            driver: Driver(driver),
        })
    }

    /// Sends the request; the answer lives as long as the driver beside it.
    pub(super) async fn send(
        mut self,
        request: Request<Body>,
    ) -> Result<(Response<Incoming>, Driver), hyper::Error> {
        let response = self.sender.send_request(request).await?;
        Ok((response, self.driver))
    }
}

/// What the engine said instead of doing it: its JSON's `message`, or its text.
pub(super) async fn refusal(response: Response<Incoming>) -> String {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(bytes) = frame.data_ref() {
            text.extend_from_slice(bytes);
        }
        if text.len() > LONGEST_REFUSAL {
            break;
        }
    }
    let message = serde_json::from_slice::<serde_json::Value>(&text);
    let message = message
        .ok()
        .and_then(|value| Some(value.get("message")?.as_str()?.to_owned()));
    message.unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned())
}

/// How long a question may take that is no build.
pub(super) const QUESTION: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_reads_them() {
        let plain = |name: &str, port| Some(Address::Plain(name.to_owned(), port));
        for (host, address) in [
            (None, Some(Address::Socket(DEFAULT_SOCKET.into()))),
            (Some(""), Some(Address::Socket(DEFAULT_SOCKET.into()))),
            (
                Some("unix:///run/d.sock"),
                Some(Address::Socket("/run/d.sock".into())),
            ),
            (Some("tcp://10.0.0.1:2376"), plain("10.0.0.1", 2376)),
            (Some("tcp://builder"), plain("builder", DEFAULT_PORT)),
            (Some("http://[::1]:80/"), plain("[::1]", 80)),
            (Some("https://h:1"), None),
            (Some("ssh://h"), None),
            (Some("tcp://h:port"), None),
        ] {
            assert_eq!(Address::of(host), address, "{host:?}");
        }
    }
}
