//! A server that answers as a test says, and keeps what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What to answer: status, further header lines, body; a status of 0 ends the connection.
pub(crate) type Reply = (u16, &'static str, &'static str);
type Answering = Arc<dyn Fn(&Seen) -> Reply + Send + Sync>;

#[derive(Debug)]
pub(crate) struct FakeStore {
    pub(crate) url: String,
    seen: Arc<Mutex<VecDeque<Seen>>>,
    server: JoinHandle<()>,
}

impl Drop for FakeStore {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeStore {
    pub(crate) async fn start(answering: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<VecDeque<Seen>>> = Arc::default();
        let (log, answering): (_, Answering) = (Arc::clone(&seen), Arc::new(answering));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&answering)));
            }
        });
        Self { url, seen, server }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().cloned().collect()
    }
}

async fn serve(stream: TcpStream, log: Arc<Mutex<VecDeque<Seen>>>, answering: Answering) {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read(&mut stream).await {
        let (status, headers, body) = answering(&seen);
        let is_head = seen.method == "HEAD";
        log.lock().unwrap().push_back(seen);
        if status == 0 {
            stream.get_ref().set_zero_linger().unwrap();
            return;
        }
        let length = body.len();
        let mut text = format!("HTTP/1.1 {status} -\r\nContent-Length: {length}\r\n{headers}\r\n");
        if !is_head {
            text.push_str(body);
        }
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Seen {
        method,
        target,
        head,
        body,
    })
}
