//! The Docker runner on connections that break, and what it sends on them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bollard::Docker;
use launch_runner::config::outcome::Reason;
use launch_runner::config::secret::Secret;
use launch_runner::conformance::{Harness as _, fresh_key, watch};
use launch_runner::docker::DockerRunner;
use launch_runner::run::{RunRequest, Workload};
use launch_runner::{Error, Runner as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::docker::{Containers, OWNER};

pub(crate) fn connected(address: &str) -> DockerRunner {
    let docker = Docker::connect_with_http(address, 30, bollard::API_DEFAULT_VERSION).unwrap();
    DockerRunner::with(docker, OWNER)
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

pub(crate) fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let path = host.strip_prefix("unix://");
    PathBuf::from(path.unwrap_or("/var/run/docker.sock"))
}

/// A way to the engine on which every connection breaks after `life`. It counts them.
async fn breaking_proxy(life: Duration) -> (String, Arc<AtomicUsize>) {
    let socket = socket();
    let (listener, address) = listener().await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut engine = UnixStream::connect(socket).await.unwrap();
                // At the end of its life both ends are dropped, whatever is under way.
                let _ =
                    tokio::time::timeout(life, copy_bidirectional(&mut client, &mut engine)).await;
            });
        }
    });
    (address, count)
}

#[tokio::test]
async fn output_on_breaking_connections_is_told_once_and_whole() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 4";
    let request = containers.script(fresh_key(), script);
    let run = containers.open().await.submit(request).await.unwrap();
    let (address, count) = breaking_proxy(Duration::from_millis(250)).await;
    let broken = connected(&address).attach(run.handle()).await.unwrap();
    let seen = watch(&*broken, 0).await;
    seen.assert_reason(Reason::Failed { code: 4 });
    let lines: Vec<String> = (0..40).map(|i| format!("line {i}")).collect();
    assert_eq!(seen.text(), lines.join("\n"));
    let connections = count.load(Ordering::Relaxed);
    assert!(
        connections > 8,
        "only {connections} connections: nothing broke"
    );
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn large_output_on_breaking_connections_is_whole() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let script = "for i in 1 2 3 4 5 6 7 8; do yes 0123456789abcde | head -c 262144; sleep 1; done";
    let request = containers.script(fresh_key(), script);
    let run = containers.open().await.submit(request).await.unwrap();
    // Long enough for what a second wrote, too short for all of it.
    let (address, _) = breaking_proxy(Duration::from_millis(1500)).await;
    let broken = connected(&address).attach(run.handle()).await.unwrap();
    let seen = watch(&*broken, 0).await;
    seen.assert_reason(Reason::Succeeded);
    assert_eq!(seen.output.len(), 8 * 262_144);
    assert!(
        seen.output
            .chunks(16)
            .all(|line| line == b"0123456789abcde\n")
    );
    run.clean_up().await.unwrap();
}

/// Reads one request, headers and all.
async fn request_on(client: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !text.contains("\r\n\r\n") {
        let read = client.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request is cut: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    text
}

#[tokio::test]
async fn credentials_of_a_pull_are_url_safe_base64() {
    let (listener, address) = listener().await;
    let (sender, mut sent) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let request = request_on(&mut client).await;
            let body = r#"{"message":"no such thing"}"#;
            let head = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length";
            let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
            client.write_all(answer.as_bytes()).await.unwrap();
            sender.send(request).unwrap();
        }
    });
    // Its bytes are such that plain base64 needs both `+` and `/`.
    let password = Secret::new("~~~???>>>~~~???>>>~?>~?>");
    let image = Workload::Image {
        image: "registry.example/team/train:1".parse().unwrap(),
        pull: Some(("launch".to_owned(), password)),
    };
    let error = connected(&address)
        .submit(RunRequest::new(fresh_key(), image))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Image { .. }), "{error:?}");
    let pull = loop {
        let request = sent.recv().await.unwrap();
        if request.starts_with("POST /images/create") {
            break request;
        }
    };
    assert!(
        pull.contains("fromImage=registry.example%2Fteam%2Ftrain&"),
        "{pull}"
    );
    let header = pull
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("x-registry-auth"))
        .map(|(_, value)| value.to_owned())
        .unwrap();
    assert!(
        header.contains(['-', '_']) && !header.contains(['+', '/']),
        "{header}"
    );
}

#[tokio::test]
async fn a_silent_engine_is_unavailable_within_seconds() {
    let (listener, address) = listener().await;
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((client, _)) = listener.accept().await {
            held.push(client);
        }
    });
    let before = tokio::time::Instant::now();
    let error = connected(&address).check().await.unwrap_err();
    assert!(
        error.to_string().contains("does not answer in time"),
        "{error}"
    );
    assert!(before.elapsed() < Duration::from_secs(10));
    silent.abort();
}
