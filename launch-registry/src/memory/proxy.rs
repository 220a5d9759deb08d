//! Bad behaviour before a registry that is real.

mod forward;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::faults::{Dice, Fate, Faults};
use super::http::{self, Answer, Body, Head, Stream};
use super::locked;
use super::routes::reset;
use crate::oci::network::Network;

/// A proxy on loopback that hands requests to a registry on this machine. Dropping it ends it.
///
/// Of [`Faults`] it knows latency, resets, 500, 429, wrong digests, redirects (to the registry
/// itself) and lost credentials; the others are those of
/// [`MemoryRegistry`](super::MemoryRegistry) alone.
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
            .tls_backend_preconfigured(crate::oci::http::tls(&Network::default()))
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
        let (fate, is_stripped) = state.meet(&head).await;
        if fate == Fate::ResetBefore {
            return reset(&stream);
        }
        let mut body = Body::open(&mut stream, &head).await?;
        let answered = match state.refusal(&head, fate) {
            Some(refusal) => Ok(refusal),
            None => state.forward(&head, &mut body, fate, is_stripped).await,
        };
        let Ok(answer) = answered else {
            return reset(&stream);
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
    /// Waits, and says what happens to a request, and whether it loses its credentials.
    async fn meet(&self, head: &Head) -> (Fate, bool) {
        let faults = locked(&self.faults).clone();
        if !faults.latency.is_zero() {
            tokio::time::sleep(faults.latency).await;
        }
        if head.path == "/v2/" {
            return (Fate::Good, false);
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let fate = locked(&self.dice).fate(&faults);
        let every = u64::from(faults.strips);
        let is_stripped = every > 0 && number.is_multiple_of(every);
        if fate != Fate::Good || is_stripped {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        (fate, is_stripped)
    }

    /// The answer to a request that is not handed on.
    fn refusal(&self, head: &Head, fate: Fate) -> Option<Answer> {
        let faults = locked(&self.faults);
        let is_upload = head.path.contains("/blobs/uploads/");
        match fate {
            Fate::Error => Some(Answer::error(500, "UNKNOWN", "bad luck")),
            Fate::Throttle => {
                let answer = Answer::error(429, "TOOMANYREQUESTS", "slow down");
                Some(answer.header("Retry-After", &faults.retry_after.as_secs()))
            }
            _ if faults.redirects && is_upload && matches!(&*head.method, "PATCH" | "PUT") => {
                let location = format!("http://{}{}", self.upstream, head.target());
                Some(Answer::new(307).header("Location", &location))
            }
            _ => None,
        }
    }
}
