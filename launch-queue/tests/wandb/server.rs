//! A stand-in for W&B's server: its rules for items, runs, sweeps and artifacts, over real
//! HTTP on loopback. Two suites share it: the queue's own and that of the whole program.
//!
//! An item is PENDING, LEASED for a while when popped, CLAIMED for good when acknowledged,
//! and FAILED when its agent says so. One agent's acknowledgement keeps all others out.

#[path = "server/rules.rs"]
mod rules;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use self::rules::{Item, QueueConfig, State};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered with this status, and not done.
    Status(u16),
    /// The same, and the server wants to be left alone for so many seconds.
    Rest(u16, u64),
    /// Not done, and the connection breaks.
    Reset,
    /// Not done, and answered after this long.
    Slow(Duration),
    /// Done, and the connection breaks before the answer.
    LostAnswer,
}

/// The server; it ends with the runtime it was started in.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    credential: String,
    offset: usize,
    body: Vec<u8>,
}

/// What is sent back.
struct Answer {
    status: u16,
    rest: Option<u64>,
    body: Vec<u8>,
    /// The connection breaks after so many bytes of the body.
    breaks_after: Option<usize>,
}

impl Answer {
    fn of(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            rest: None,
            body: body.into(),
            breaks_after: None,
        }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::of(status, body.to_string())
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = State {
            url: url.clone(),
            queues: vec!["first".to_owned(), "second".to_owned()],
            key: "planted-key".to_owned(),
            ..State::default()
        };
        let server = Self {
            url,
            state: Arc::new(Mutex::new(state)),
        };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        server
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds this")
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = request(&mut stream).await {
            let (fault, wait) = self.fault(&request);
            tokio::time::sleep(wait).await;
            let Some(answer) = self.answer(&request, fault) else {
                return;
            };
            let rest = answer.rest.map(|wait| format!("retry-after: {wait}\r\n"));
            let head = format!(
                "HTTP/1.1 {} X\r\ncontent-type: application/json\r\n{}content-length: {}\r\n\r\n",
                answer.status,
                rest.unwrap_or_default(),
                answer.body.len()
            );
            let end = answer.breaks_after.unwrap_or(answer.body.len());
            let text = [head.as_bytes(), &answer.body[..end]].concat();
            let sent = stream.get_mut().write_all(&text).await;
            if sent.is_err() || answer.breaks_after.is_some() {
                return;
            }
        }
    }

    fn fault(&self, request: &Request) -> (Option<Fault>, Duration) {
        let mut state = self.state();
        state.requests += 1;
        state.paths.push(request.path.clone());
        let body = String::from_utf8_lossy(&request.body);
        let is_due = |(operation, _): &mut (String, Fault)| {
            body.contains(&format!("\"operationName\":\"{operation}\""))
        };
        let due = state.fault_at.take_if(is_due).map(|(_, fault)| fault);
        let fault = due.or(state.outage).or_else(|| state.faults.pop_front());
        match fault {
            Some(Fault::Slow(wait)) => (fault, wait),
            fault => (fault, Duration::ZERO),
        }
    }

    /// Nothing if the connection breaks.
    fn answer(&self, request: &Request, fault: Option<Fault>) -> Option<Answer> {
        let not_now = json!({"error": "not now"});
        match fault {
            Some(Fault::Status(status)) => return Some(Answer::json(status, &not_now)),
            Some(Fault::Slow(_)) => return Some(Answer::json(503, &not_now)),
            Some(Fault::Rest(status, wait)) => {
                let mut answer = Answer::json(status, &not_now);
                answer.rest = Some(wait);
                return Some(answer);
            }
            Some(Fault::Reset) => return None,
            Some(Fault::LostAnswer) | None => {}
        }
        let answer = self.done(request)?;
        (fault != Some(Fault::LostAnswer)).then_some(answer)
    }

    fn done(&self, request: &Request) -> Option<Answer> {
        let mut state = self.state();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let path = request.path.trim_start_matches('/');
        let (place, rest) = path.split_once('/').unwrap_or((path, ""));
        match (request.method.as_str(), place) {
            ("POST", "oidc") => {
                assert!(body.contains("assertion=an.identity.token"), "{body}");
                let answer = json!({"access_token": state.key, "expires_in": 3600});
                Some(Answer::json(200, &answer))
            }
            ("GET", "ping") => Some(Answer::of(200, "pong")),
            ("PUT", "storage") => {
                state.uploads.insert(rest.to_owned(), request.body.clone());
                Some(Answer::of(200, ""))
            }
            ("POST", "files") => {
                let run = rest.rsplit('/').nth(1)?.to_owned();
                let said: Value = serde_json::from_str(&body).expect("JSON");
                state.calls.push(("file_stream".to_owned(), said.clone()));
                state.file_stream(&run, &said);
                Some(Answer::json(200, &json!({})))
            }
            ("GET", "manifest") => Some(match state.manifest(rest) {
                Some(text) => Answer::of(200, text),
                None => Answer::of(404, ""),
            }),
            ("GET", "content") => Some(content(&mut state, rest, request.offset)),
            _ => graphql(&mut state, &request.credential, &body),
        }
    }
}

/// A file of an artifact, from an offset on.
fn content(state: &mut State, rest: &str, offset: usize) -> Answer {
    state.calls.push(("content".to_owned(), json!(offset)));
    let found = rest.split_once("?file=").and_then(|(id, name)| {
        let (_, files) = state.artifacts.get(id)?;
        files.get(name).cloned()
    });
    let Some(bytes) = found else {
        return Answer::of(404, "");
    };
    let (after, times) = state.breaks;
    let status = if offset > 0 { 206 } else { 200 };
    let mut answer = Answer::of(status, &bytes[offset.min(bytes.len())..]);
    if times > 0 && after < answer.body.len() {
        state.breaks.1 -= 1;
        answer.breaks_after = Some(after);
    }
    answer
}

fn graphql(state: &mut State, credential: &str, body: &str) -> Option<Answer> {
    let request: Value = serde_json::from_str(body).expect("JSON");
    let operation = request["operationName"].as_str()?.to_owned();
    let document = request["query"].as_str().expect("a document");
    assert!(document.contains(&operation), "{document}");
    state.credentials.push(credential.to_owned());
    let basic = BASE64_STANDARD.encode(format!("api:{}", state.key));
    let known = [format!("Basic {basic}"), format!("Bearer {}", state.key)];
    if !known.iter().any(|known| known == credential) {
        return Some(Answer::json(401, &json!({"error": "who are you?"})));
    }
    let answer = state.answer(&operation, &request["variables"]);
    state.calls.push((operation, request["variables"].clone()));
    Some(match answer {
        Ok(data) => Answer::json(200, &json!({"data": data})),
        Err(said) => Answer::json(200, &json!({"errors": [{"message": said}]})),
    })
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut request = Request {
        method: String::new(),
        path: String::new(),
        credential: String::new(),
        offset: 0,
        body: Vec::new(),
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if request.path.is_empty() {
            let mut words = line.split(' ');
            request.method = words.next()?.to_owned();
            request.path = words.next()?.to_owned();
        } else if let Some((name, value)) = line.split_once(':') {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "authorization" => value.clone_into(&mut request.credential),
                "range" => {
                    let from = value.strip_prefix("bytes=")?.split('-').next()?;
                    request.offset = from.parse().ok()?;
                }
                _ => {}
            }
        } else {
            break;
        }
    }
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).await.ok()?;
    Some(request)
}
