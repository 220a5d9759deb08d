//! The stand-ins for clouds: programs of ours, each test its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How often runners ask, so that tests take seconds.
pub(crate) const PACE: (Duration, Duration, Duration) = (
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_millis(150),
);

/// A stand-in that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    child: Child,
    address: String,
}

impl StandIn {
    /// Starts `NAME.py` with these arguments, or says why not.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub(crate) fn start(name: &str, args: &[&str]) -> Option<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in");
        let child = Command::new("python3")
            .arg(dir.join(format!("{name}.py")))
            .args(args)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                let why = format!("no `python3` to run a stand-in with: {error}");
                assert!(
                    !std::env::var("CI").is_ok_and(|value| value == "true"),
                    "{why}"
                );
                eprintln!("skipped: {why}");
                return None;
            }
        };
        let mut port = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut port).unwrap();
        let address = format!("127.0.0.1:{}", port.trim());
        Some(Self { child, address })
    }

    /// Where it listens, as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes it silent for a while.
    pub(crate) async fn go_away(&self, time: Duration) {
        self.control(&json!({"down": time.as_secs_f64()})).await;
    }

    /// Has it do the next `action`, and say nothing.
    pub(crate) async fn lose_reply(&self, action: &str) {
        self.control(&json!({ "lose": action })).await;
    }

    /// How often it was asked for each action.
    pub(crate) async fn counts(&self) -> Value {
        self.control(&json!({})).await["counts"].take()
    }

    async fn control(&self, wanted: &Value) -> Value {
        let body = wanted.to_string();
        let head = "POST /_control HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length";
        let request = format!("{head}: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
