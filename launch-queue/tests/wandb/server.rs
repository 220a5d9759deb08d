//! A stand-in for W&B's server: its rules for items, over real HTTP on loopback.
//!
//! An item is PENDING, LEASED for a while when popped, CLAIMED for good when acknowledged,
//! and FAILED when its agent says so. One agent's acknowledgement keeps all others out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What goes wrong with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered with this status, and not done.
    Status(u16),
    /// Done, and the connection breaks before the answer.
    LostAnswer,
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) queue: String,
    pub(crate) spec: Value,
    pub(crate) state: &'static str,
    pub(crate) run: Option<String>,
    pub(crate) failure: Option<(String, String)>,
    pub(crate) warnings: Vec<(String, String)>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) queues: Vec<String>,
    pub(crate) items: BTreeMap<String, Item>,
    /// Run id → state, and whether it was asked to stop.
    pub(crate) runs: BTreeMap<String, (String, bool)>,
    pub(crate) stop_polling: bool,
    pub(crate) status: String,
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) credentials: Vec<String>,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) key: String,
}

impl State {
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls
            .iter()
            .filter(|(name, _)| name == operation)
            .count()
    }

    fn answer(&mut self, operation: &str, variables: &Value) -> Value {
        let text = |key: &str| variables[key].as_str().unwrap_or_default().to_owned();
        match operation {
            "ProjectRunQueues" => {
                let queue = |name: &String| json!({"id": format!("Q:{name}"), "name": name});
                json!({"project": {"runQueues": self.queues.iter().map(queue).collect::<Vec<_>>()}})
            }
            "createLaunchAgent" => json!({"createLaunchAgent": {"launchAgentId": "agent-1"}}),
            "LaunchAgent" => json!({"launchAgent": {"stopPolling": self.stop_polling}}),
            "updateLaunchAgent" => {
                self.status = text("agentStatus");
                json!({"updateLaunchAgent": {"success": true}})
            }
            "popFromRunQueue" => json!({"popFromRunQueue": self.pop(&text("queueName"))}),
            "ackRunQueueItem" => {
                let success = self.ack(&text("itemId"), &text("runId"));
                json!({"ackRunQueueItem": {"success": success}})
            }
            "GetRunQueueItem" => {
                let item = self.items.get(&text("itemId"));
                let item =
                    item.map(|item| json!({"state": item.state, "associatedRunId": item.run}));
                json!({"project": {"runQueue": {"runQueueItem": item}}})
            }
            "GetRunQueueItems" => {
                let here = self
                    .items
                    .iter()
                    .filter(|(_, item)| item.queue == text("runQueue"));
                let edge =
                    |(id, item): (&String, &Item)| json!({"node": {"id": id, "state": item.state}});
                let edges: Vec<Value> = here.map(edge).collect();
                json!({"project": {"runQueue": {"runQueueItems": {"edges": edges}}}})
            }
            "failRunQueueItem" => {
                if let Some(item) = self.items.get_mut(&text("runQueueItemId")) {
                    item.state = "FAILED";
                    item.failure = Some((text("stage"), text("message")));
                }
                json!({"failRunQueueItem": {"success": true}})
            }
            "updateRunQueueItemWarning" => {
                if let Some(item) = self.items.get_mut(&text("runQueueItemId")) {
                    item.warnings.push((text("stage"), text("message")));
                }
                json!({"updateRunQueueItemWarning": {"success": true}})
            }
            "pushToRunQueueByName" => {
                let spec = serde_json::from_str(&text("runSpec")).unwrap_or_default();
                let id = self.put(&text("queueName"), spec);
                json!({"pushToRunQueueByName": {"runQueueItemId": id}})
            }
            "DeleteFromRunQueue" => {
                self.items.remove(&text("runQueueItemId"));
                json!({"deleteFromRunQueue": {"success": true}})
            }
            "RunState" => {
                let run = self
                    .runs
                    .get(&text("name"))
                    .map(|(state, _)| json!({"state": state}));
                json!({"project": {"run": run}})
            }
            "RunStoppedStatus" => {
                let run = self
                    .runs
                    .get(&text("runId"))
                    .map(|(_, stopped)| json!({"stopped": stopped}));
                json!({"project": {"run": run}})
            }
            other => panic!("nobody asks for `{other}`"),
        }
    }

    pub(crate) fn put(&mut self, queue: &str, spec: Value) -> String {
        let id = format!("UnVuSXRlbTo{}=", self.items.len() + 1);
        let item = Item {
            queue: queue.to_owned(),
            spec,
            state: "PENDING",
            run: None,
            failure: None,
            warnings: Vec::new(),
        };
        self.items.insert(id.clone(), item);
        id
    }

    fn pop(&mut self, queue: &str) -> Value {
        let waits = |item: &Item| item.queue == queue && item.state == "PENDING";
        let found = self.items.iter_mut().find(|(_, item)| waits(item));
        match found {
            Some((id, item)) => {
                item.state = "LEASED";
                json!({"runQueueItemId": id, "runSpec": item.spec})
            }
            None => Value::Null,
        }
    }

    fn ack(&mut self, id: &str, run: &str) -> bool {
        match self.items.get_mut(id) {
            Some(item) if item.state == "LEASED" => {
                (item.state, item.run) = ("CLAIMED", Some(run.to_owned()));
                true
            }
            _ => false,
        }
    }

    /// Time passes: what was popped and not acknowledged goes back.
    pub(crate) fn expire(&mut self) {
        for item in self
            .items
            .values_mut()
            .filter(|item| item.state == "LEASED")
        {
            item.state = "PENDING";
        }
    }
}

/// The server; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = State {
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
        while let Some((path, credential, body)) = request(&mut stream).await {
            let Some(answer) = self.answer(&path, &credential, &body) else {
                return;
            };
            let (status, body) = answer;
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    /// Status and body; nothing if the connection breaks.
    fn answer(&self, path: &str, credential: &str, body: &str) -> Option<(u16, String)> {
        let mut state = self.state();
        if path == "/oidc/token" {
            assert!(body.contains("assertion=an.identity.token"), "{body}");
            let answer = json!({"access_token": state.key, "expires_in": 3600});
            return Some((200, answer.to_string()));
        }
        let request: Value = serde_json::from_str(body).expect("JSON");
        let operation = request["operationName"]
            .as_str()
            .expect("a name")
            .to_owned();
        let document = request["query"].as_str().expect("a document");
        assert!(document.contains(&operation), "{document}");
        state.credentials.push(credential.to_owned());
        let fault = state.faults.pop_front();
        if let Some(Fault::Status(status)) = fault {
            return Some((status, json!({"error": "not now"}).to_string()));
        }
        let data = state.answer(&operation, &request["variables"]);
        state.calls.push((operation, request["variables"].clone()));
        (fault != Some(Fault::LostAnswer)).then(|| (200, json!({"data": data}).to_string()))
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String, String)> {
    let (mut path, mut credential, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        } else if let Some((name, value)) = line.split_once(':') {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "authorization" => value.clone_into(&mut credential),
                _ => {}
            }
        } else {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path, credential, String::from_utf8(body).ok()?))
}
