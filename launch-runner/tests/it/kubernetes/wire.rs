//! The runner against an API server of a test's own, which fails as real ones do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use launch_runner::Runner as _;
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::kubernetes::KubernetesRunner;
use launch_runner::run::{RunEnd, RunEvent, RunHandle, run_name};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const JOB: &str = "train";

/// What a request is answered.
enum Reply {
    /// A status and an object.
    Object(u16, Value),
    /// The events of a watch, which then stays open.
    Watch(Vec<Value>),
}

/// Answers the n-th request for something.
type Script = dyn Fn(&str, usize) -> Option<Reply> + Send + Sync;

#[derive(Clone)]
struct Fake {
    script: Arc<Script>,
    /// How often each thing was asked for.
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Fake {
    /// Serves until the test ends. The script knows `list jobs`, `watch jobs`, `get jobs`
    /// and the like; what it says nothing of is answered as by a quiet cluster.
    async fn start(
        script: impl Fn(&str, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> (Self, KubernetesRunner) {
        let fake = Self {
            script: Arc::new(script),
            asked: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        (fake, KubernetesRunner::new("wire").with_client(client))
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let mut first = String::new();
            if stream.read_line(&mut first).await.ok()? == 0 {
                return None;
            }
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                stream.read_line(&mut line).await.ok()?;
            }
            let target = first.split(' ').nth(1)?.to_owned();
            let what = name_of(&target);
            let count = {
                let mut asked = self.asked.lock().unwrap();
                let count = asked.entry(what.clone()).or_default();
                *count += 1;
                *count
            };
            let reply = (self.script)(&what, count).unwrap_or_else(|| quiet(&what));
            answer(&mut stream, reply).await?;
        }
    }
}

/// `verb kind` of a request.
fn name_of(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let kinds = ["secrets", "jobs", "pods", "events"];
    let kind = kinds
        .into_iter()
        .find(|kind| path.contains(&format!("/{kind}")))
        .unwrap_or("else");
    let verb = match () {
        () if query.contains("watch=true") => "watch",
        () if path.ends_with(kind) => "list",
        () => "get",
    };
    format!("{verb} {kind}")
}

fn quiet(what: &str) -> Reply {
    match what {
        "get secrets" => Reply::Object(200, record()),
        "get jobs" => Reply::Object(200, job(&json!({}))),
        "list jobs" => Reply::Object(200, list(&[job(&json!({}))])),
        watch if watch.starts_with("watch") => Reply::Watch(Vec::new()),
        _ => Reply::Object(200, list(&[])),
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, reply: Reply) -> Option<()> {
    match reply {
        Reply::Object(status, object) => {
            let body = object.to_string();
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream
                .write_all(format!("{head}{body}").as_bytes())
                .await
                .ok()?;
        }
        Reply::Watch(events) => {
            let head = "HTTP/1.1 200 x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await.ok()?;
            for event in events {
                let line = format!("{event}\n");
                let chunk = format!("{:x}\r\n{line}\r\n", line.len());
                stream.write_all(chunk.as_bytes()).await.ok()?;
            }
            stream.flush().await.ok()?;
            std::future::pending::<()>().await;
        }
    }
    stream.flush().await.ok()
}

fn key() -> RunKey {
    RunKey::new("k3x9".parse().unwrap(), 0)
}

fn record() -> Value {
    let object = json!({"kind": {"group": "batch", "version": "v1", "kind": "Job", "plural": "jobs"},
        "name": JOB});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {
        "name": run_name(&key()), "namespace": "n",
        "annotations": {"launch.job": "k3x9", "launch.attempt": "0", "launch.object": object.to_string()},
    }})
}

fn job(status: &Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": JOB, "namespace": "n", "uid": "u1", "resourceVersion": "5",
            "labels": {"launch.run": run_name(&key())}},
        "spec": {"backoffLimit": 0},
        "status": status,
    })
}

fn complete() -> Value {
    job(&json!({"conditions": [{"type": "Complete", "status": "True"}]}))
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "10"}, "items": items})
}

fn expired() -> Value {
    json!({"type": "ERROR", "object": {"apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": 410, "reason": "Expired", "message": "too old resource version"}})
}

fn bookmark(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"resourceVersion": version, "creationTimestamp": null}}})
}

/// The end of the run, and the warnings before it.
async fn end(runner: &KubernetesRunner) -> (RunEnd, Vec<String>) {
    let handle = RunHandle::new("kubernetes", key(), format!("n/{}", run_name(&key())));
    let run = runner.attach(&handle).await.unwrap();
    let mut warnings = Vec::new();
    let mut events = run.events(0);
    let following = async {
        while let Some(event) = events.next().await {
            match event {
                RunEvent::Ended(end) => return end,
                RunEvent::Warning(text) => warnings.push(text),
                _ => {}
            }
        }
        panic!("events end with `Ended`");
    };
    let end = tokio::time::timeout(Duration::from_mins(1), following)
        .await
        .unwrap();
    (end, warnings)
}

#[tokio::test]
async fn a_watch_that_expired_lists_again_and_goes_on() {
    let (fake, runner) = Fake::start(|what, count| match (what, count) {
        ("watch jobs", 1) => Some(Reply::Watch(vec![bookmark("7"), expired()])),
        ("watch jobs", 2) => Some(Reply::Watch(vec![
            json!({"type": "MODIFIED", "object": complete()}),
        ])),
        ("get jobs", 2..) => Some(Reply::Object(200, complete())),
        _ => None,
    })
    .await;
    let (end, warnings) = end(&runner).await;
    assert_eq!((end.reason, warnings), (Reason::Succeeded, Vec::new()));
    assert_eq!((fake.asked("list jobs"), fake.asked("watch jobs")), (2, 2));
}

#[tokio::test]
async fn what_was_deleted_while_the_watch_was_away_is_noticed() {
    let (_, runner) = Fake::start(|what, count| match (what, count) {
        ("watch jobs", 1) => Some(Reply::Watch(vec![expired()])),
        ("list jobs", 2..) => Some(Reply::Object(200, list(&[]))),
        ("get jobs", 2..) => Some(Reply::Object(
            404,
            json!({"kind": "Status", "code": 404, "reason": "NotFound"}),
        )),
        _ => None,
    })
    .await;
    let (end, _) = end(&runner).await;
    assert_eq!(end.reason, Reason::Lost);
    assert!(end.message.contains("deleted"), "{end:?}");
}

#[tokio::test]
async fn an_api_that_fails_is_not_hammered() {
    let error = || {
        Reply::Object(
            500,
            json!({"kind": "Status", "code": 500, "message": "etcd is away"}),
        )
    };
    let (fake, runner) = Fake::start(move |what, count| match (what, count) {
        ("list jobs", ..5) => Some(error()),
        ("list jobs", _) => Some(Reply::Object(200, list(&[complete()]))),
        _ => None,
    })
    .await;
    let start = tokio::time::Instant::now();
    let (end, _) = end(&runner).await;
    assert_eq!(end.reason, Reason::Succeeded);
    // 0.2 + 0.4 + 0.8 + 1.6 s.
    assert!(
        start.elapsed() > Duration::from_millis(2900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(fake.asked("list jobs"), 5);
}

#[tokio::test]
async fn a_quiet_run_asks_for_nothing() {
    let (fake, runner) = Fake::start(|_, _| None).await;
    let watching = tokio::spawn(async move { end(&runner).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    let all = || fake.asked.lock().unwrap().values().sum::<usize>();
    let before = all();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(all(), before, "{:?}", fake.asked.lock().unwrap());
    watching.abort();
}
