//! The page of health and metrics, and the socket of `launch-agent status`.
//!
//! | path | answers |
//! | --- | --- |
//! | `/live` | 200, or 503 if the agent hangs: start it again |
//! | `/ready` | 200, or 503 and why: it takes no jobs now |
//! | `/metrics` | what was counted, as Prometheus reads it |
//! | `/status` | over the socket alone: what each job is at, as JSON |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use launch_config::id::QueueName;
use launch_queue::QueueAdmin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::failure::{Failure, one_line};
use crate::socket;
use crate::vitals::{Status, Vitals};

/// Who does not ask within this time is hung up on.
const ASKING: Duration = Duration::from_secs(10);
/// A connection lasts this long at most; whoever scrapes connects again.
const TALKING: Duration = Duration::from_mins(10);
/// How many may talk at once; the others wait.
const TALKERS: usize = 32;
/// How long the queue may take to be counted.
const COUNTING: Duration = Duration::from_secs(5);
/// A pause after the system refused a connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What is answered, and from what.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) queue: Arc<dyn QueueAdmin>,
    pub(crate) queues: Vec<QueueName>,
}

/// Where it listens.
#[derive(Debug)]
pub(crate) struct Doors {
    page: Option<TcpListener>,
    socket: Option<UnixListener>,
    address: Option<SocketAddr>,
}

/// Which door a question came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Page,
    Socket,
}

impl Doors {
    /// Opens the socket in an agent's directory, and the page if there is an address for it.
    pub(crate) async fn open(page: Option<SocketAddr>, agent: &Path) -> Result<Self, Failure> {
        let page = match page {
            Some(address) => Some(TcpListener::bind(address).await.map_err(|error| {
                Failure::doing(format!("cannot serve metrics on `{address}`"), &error)
                    .with_hint("`observability.address` of the agent file names another")
            })?),
            None => None,
        };
        let address = page.as_ref().and_then(|page| page.local_addr().ok());
        if let Some(address) = address {
            tracing::info!(%address, "health and metrics are served");
        }
        // An agent without it works all the same.
        let socket = socket::bind(agent)
            .inspect_err(|error| tracing::warn!(%error, "`status` cannot ask this agent"))
            .ok();
        Ok(Self {
            page,
            socket,
            address,
        })
    }
}

impl Admin {
    /// Answers for ever.
    pub(crate) async fn serve(self, doors: Doors) {
        let admin = Arc::new(self);
        let address = doors.address;
        let talkers = Arc::new(Semaphore::new(TALKERS));
        loop {
            // Never closed.
            let Ok(talker) = Arc::clone(&talkers).acquire_owned().await else {
                return;
            };
            let (admin, page, socket) = (Arc::clone(&admin), &doors.page, &doors.socket);
            let accepted = tokio::select! {
                wire = accept(page.as_ref().map(TcpListener::accept)) => wire.map(|(wire, _)| {
                    tokio::spawn(async move {
                        admin.talk(wire, Door::Page, address).await;
                        drop(talker);
                    });
                }),
                wire = accept(socket.as_ref().map(UnixListener::accept)) => wire.map(|(wire, _)| {
                    tokio::spawn(async move {
                        admin.talk(wire, Door::Socket, address).await;
                        drop(talker);
                    });
                }),
            };
            if let Err(error) = accepted {
                tracing::debug!(%error, "no connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn talk<W>(self: Arc<Self>, wire: W, door: Door, address: Option<SocketAddr>)
    where
        W: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let admin = Arc::clone(&self);
            async move {
                let (method, path) = (request.method(), request.uri().path());
                Ok::<_, Infallible>(admin.answer(method, path, door, address).await)
            }
        });
        let talk = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(ASKING)
            .serve_connection(TokioIo::new(wire), service);
        // Whoever hangs up in the middle has had enough.
        let _ = tokio::time::timeout(TALKING, talk).await;
    }

    async fn answer(
        &self,
        method: &Method,
        path: &str,
        door: Door,
        address: Option<SocketAddr>,
    ) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "ask with GET\n".to_owned());
            let allowed = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
        match (path, door) {
            ("/live", _) if self.vitals.is_live() => text(StatusCode::OK, "live\n".to_owned()),
            ("/live", _) => refuse("its loop hangs"),
            ("/ready", _) => match self.vitals.readiness() {
                Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
                Err(why) => refuse(&why),
            },
            ("/metrics", _) => {
                let kind = "text/plain; version=0.0.4; charset=utf-8";
                typed(StatusCode::OK, kind, self.vitals.metrics())
            }
            ("/status", Door::Socket) => {
                let status = serde_json::to_string(&self.status(address).await);
                typed(
                    StatusCode::OK,
                    "application/json",
                    status.unwrap_or_default(),
                )
            }
            _ => {
                let there = "there are /live, /ready and /metrics\n".to_owned();
                text(StatusCode::NOT_FOUND, there)
            }
        }
    }

    async fn status(&self, address: Option<SocketAddr>) -> Status {
        let mut status = self.vitals.status(address);
        match tokio::time::timeout(COUNTING, self.queue.queues()).await {
            Ok(Ok(records)) => {
                let ours = records
                    .into_iter()
                    .filter(|record| self.queues.contains(&record.name));
                status.queues = ours.map(Into::into).collect();
            }
            Ok(Err(error)) => status.queues_error = Some(one_line(&error)),
            Err(_) => status.queues_error = Some("the queue does not answer".to_owned()),
        }
        status
    }
}

/// A connection, once there is one; never, where nobody listens.
async fn accept<T>(listener: Option<impl Future<Output = T>>) -> T {
    match listener {
        Some(accept) => accept.await,
        None => std::future::pending().await,
    }
}

fn refuse(why: &str) -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
