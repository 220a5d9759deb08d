//! Bad behaviour before a registry that is real.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::stream;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::faults::{Dice, Fate, Faults};
use super::http::{self, Answer, Body, Head, Stream};
use super::locked;
use super::routes::reset;

/// A proxy on loopback that hands requests to a registry on this machine, and fails as often
/// as [`Faults`] say: resets, 500 and 429. Dropping it ends it.
///
/// Its other faults are those of [`MemoryRegistry`](super::MemoryRegistry) alone.
#[derive(Debug)]
pub struct FaultyProxy {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    client: reqwest::Client,
    faults: Mutex<Faults>,
    dice: Mutex<Dice>,
    requests: AtomicU64,
    failed: AtomicU64,
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FaultyProxy {
    /// Starts before the registry `upstream`, a host with a port that speaks plain http.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn start(upstream: &str, faults: Faults) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(crate::oci::http::tls())
            .redirect(reqwest::redirect::Policy::none());
        let client = builder.no_proxy().build().map_err(io::Error::other)?;
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            client,
            dice: Mutex::new(Dice::new(faults.seed)),
            faults: Mutex::new(faults),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let address = listener.local_addr()?;
        let server = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            server,
        })
    }

    /// Host and port for image names.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Behaves like this from now on.
    pub fn set_faults(&self, faults: Faults) {
        *locked(&self.state.dice) = Dice::new(faults.seed);
        *locked(&self.state.faults) = faults;
    }

    /// How many requests came, and how many of them met a fault.
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.state.requests), read(&self.state.failed))
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        connections.spawn(async move {
            if let Err(error) = serve(stream, &state).await {
                tracing::trace!(%error, "a connection through the proxy ended");
            }
        });
    }
}

async fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = Stream::new(stream);
    while let Some(head) = http::read_head(&mut stream).await? {
        let fate = state.fate(&head);
        if fate == Fate::ResetBefore {
            return reset(&stream);
        }
        let mut body = Body::open(&mut stream, &head).await?;
        let answer = match fate {
            Fate::Error => Answer::error(500, "UNKNOWN", "bad luck"),
            Fate::Throttle => {
                let wait = locked(&state.faults).retry_after.as_secs();
                Answer::error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", &wait)
            }
            _ => match state.forward(&head, &mut body, fate).await {
                Ok(answer) => answer,
                Err(_) => return reset(&stream),
            },
        };
        let keep = body.is_done();
        if fate == Fate::ResetAfter {
            return reset(&stream);
        }
        answer.write(&mut stream, &head, keep).await?;
        if !keep {
            return http::linger(&mut stream).await;
        }
    }
    Ok(())
}

impl State {
    fn fate(&self, head: &Head) -> Fate {
        if head.path == "/v2/" {
            return Fate::Good;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let faults = locked(&self.faults).clone();
        let fate = locked(&self.dice).fate(&faults);
        if fate != Fate::Good {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        fate
    }

    /// Asks the registry, with the body as it comes in.
    async fn forward(&self, head: &Head, body: &mut Body<'_>, fate: Fate) -> io::Result<Answer> {
        let breaks_at = (fate == Fate::ResetDuring).then(|| body.length() / 2);
        let (pieces, queue) = mpsc::channel(4);
        let request = self.request(head, queue)?;
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
        relay(answer).await
    }

    fn request(
        &self,
        head: &Head,
        queue: mpsc::Receiver<io::Result<bytes::Bytes>>,
    ) -> io::Result<reqwest::Request> {
        let url = format!("http://{}{}", self.upstream, head.target());
        let method = head.method.parse().map_err(io::Error::other)?;
        let mut request = self.client.request(method, url);
        let own = [CONNECTION.as_str(), TRANSFER_ENCODING.as_str(), "expect"];
        for (name, value) in head.headers() {
            // `Host` too: the registry makes its locations of it, and they lead here.
            if !own.contains(&name.to_ascii_lowercase().as_str()) {
                request = request.header(name, value);
            }
        }
        debug_assert!(head.header(HOST.as_str()).is_some());
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

async fn relay(answer: reqwest::Response) -> io::Result<Answer> {
    let mut relayed = Answer::new(answer.status().as_u16());
    for (name, value) in answer.headers() {
        let is_ours = [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH].contains(name);
        if let (false, Ok(value)) = (is_ours, value.to_str()) {
            relayed = relayed.header(name.as_str().to_owned(), value);
        }
    }
    let body = answer.bytes().await.map_err(io::Error::other)?;
    Ok(relayed.content(body))
}
