//! A cluster of one thread: it takes what it is given, remembers every request, and says
//! that the build has succeeded. Its only job never runs.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// The uid of the Job, which nobody chooses.
pub(super) const UID: &str = "11111111-2222-4333-8444-555555555555";
/// The digest of its image.
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// The pod of the Job.
const POD: &str = "build-pod";

pub(super) struct Cluster {
    address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// What exists and what is refused, as the vectors have it.
    given: Value,
    requests: Vec<Value>,
    job: Option<Value>,
}

struct Request {
    verb: String,
    path: String,
    query: String,
    body: Value,
}

impl Cluster {
    /// Listens until the process ends.
    pub(super) fn start(given: &Value) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = State {
            given: given.clone(),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes in the middle of a request is no matter.
                let _ = serve(stream, &served);
            }
        });
        Ok(Self { address, state })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The requests so far; identical ones in a row are one.
    pub(super) fn requests(&self) -> Value {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut requests = state.requests.clone();
        requests.dedup();
        json!(requests)
    }
}

/// One request, one connection.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let request = read(&stream)?;
    let (status, answer) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(request.recorded());
        state.answer(&request)
    };
    let (kind, text) = match answer {
        Value::String(text) => ("text/plain", text),
        other => ("application/json", other.to_string()),
    };
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}

fn read(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let verb = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Request {
        verb,
        path: path.to_owned(),
        query: query.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

impl Request {
    /// In the words of the vectors. Of a query only what it selects counts.
    fn recorded(&self) -> Value {
        let mut recorded = json!({"verb": self.verb, "path": self.path});
        let selector = self
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="));
        if let Some(selector) = selector {
            recorded["query"] = json!({"labelSelector": selector.replace("%3D", "=")});
        }
        if !self.body.is_null() {
            recorded["body"] = self.body.clone();
        }
        recorded
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        if let Some(status) = self.refusal(request) {
            return failure(status);
        }
        let last = request.path.rsplit('/').next().unwrap_or_default();
        match (request.verb.as_str(), last) {
            ("POST", kind) => self.create(kind, request),
            ("GET", "status") => self.job_status(request),
            ("GET", "pods") => (200, self.pods()),
            ("GET", "log") => (200, json!("INFO the build's log\n")),
            ("GET", name) => self.secret(name, request.path.split('/').nth(4)),
            ("DELETE", _) => (
                200,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
            ),
            _ => failure(404),
        }
    }

    fn refusal(&self, request: &Request) -> Option<u16> {
        let refused = self.given["reject"].as_array()?;
        let rule = refused.iter().find(|rule| {
            let part = rule["path_contains"].as_str().unwrap_or_default();
            rule["verb"] == request.verb.as_str() && request.path.contains(part)
        })?;
        u16::try_from(rule["status"].as_u64()?).ok()
    }

    /// As a server does it, an object of another namespace than the request's is refused.
    fn create(&mut self, kind: &str, request: &Request) -> (u16, Value) {
        let mut object = request.body.clone();
        let namespace = request.path.split('/').rev().nth(1);
        if object["metadata"]["namespace"].as_str() != namespace {
            return failure(400);
        }
        object["metadata"]["uid"] = json!(UID);
        if kind == "jobs" {
            self.job = Some(object.clone());
        }
        (201, object)
    }

    fn job_status(&self, request: &Request) -> (u16, Value) {
        let Some(job) = &self.job else {
            return failure(404);
        };
        let mut job = job.clone();
        if request.path.split('/').rev().nth(1) != job["metadata"]["name"].as_str() {
            return failure(404);
        }
        if self.given["build_fails"] == true {
            job["status"] = json!({"failed": 1});
        } else if self.given["build_hangs"] != true {
            job["status"] = json!({"succeeded": 1});
        }
        (200, job)
    }

    fn pods(&self) -> Value {
        let job = self.job.clone().unwrap_or_default();
        let container = &job["spec"]["template"]["spec"]["containers"][0]["name"];
        let ended = json!({"terminated": {"exitCode": 0, "message": DIGEST}});
        let status = json!({
            "name": container, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": ended,
        });
        json!({
            "kind": "PodList", "apiVersion": "v1", "metadata": {},
            "items": [{"metadata": {"name": POD}, "status": {"containerStatuses": [status]}}],
        })
    }

    fn secret(&self, name: &str, namespace: Option<&str>) -> (u16, Value) {
        let mut secrets = self.given["secrets"].as_array().into_iter().flatten();
        let is_it =
            |secret: &&Value| secret["name"] == name && secret["namespace"].as_str() == namespace;
        match secrets.find(is_it) {
            Some(secret) => {
                let metadata = json!({"name": name, "namespace": secret["namespace"]});
                (
                    200,
                    json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": secret["data"]}),
                )
            }
            None => failure(404),
        }
    }
}

fn failure(code: u16) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "refused by the vectors", "reason": "Refused", "code": code,
    });
    (code, status)
}
