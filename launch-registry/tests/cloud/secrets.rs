//! What is planted is seen nowhere: in no log, error, event, value, or list of processes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use launch_registry::Registry;
use launch_registry::conformance::{Log, Sample};

use crate::support::{
    ACR, AWS_SECRET, Clouds, ECR, ENTRA_SECRET, GAR, chain, image, shown, unique,
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Looks at the processes all the time, until it is told to stop; every line it saw.
fn watched_processes() -> impl FnOnce() -> String {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let watcher = std::thread::spawn(move || {
        let mut lines = BTreeSet::new();
        while !stopped.load(Ordering::Relaxed) {
            lines.extend(processes().lines().map(str::to_owned));
            std::thread::sleep(Duration::from_millis(2));
        }
        lines
    });
    move || {
        stop.store(true, Ordering::Relaxed);
        let lines = watcher.join().expect("the watcher ends when told to");
        lines.into_iter().collect::<Vec<_>>().join("\n")
    }
}

/// The arguments of this process and of all it has started.
fn processes() -> String {
    let mut ours = vec![std::process::id().to_string()];
    let mut text = String::new();
    let entries = fs_err::read_dir("/proc").unwrap().flatten();
    let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let Ok(status) = fs_err::read_to_string(path.join("status")) else {
            continue;
        };
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t"));
        let pid = path.file_name().unwrap().to_string_lossy().into_owned();
        if ours.contains(&pid)
            || parent.is_some_and(|parent| ours.iter().any(|ours| ours == parent))
        {
            let line = fs_err::read(path.join("cmdline")).unwrap_or_default();
            text += &String::from_utf8_lossy(&line).replace('\0', " ");
            text.push('\n');
            ours.push(pid);
        }
    }
    text
}

/// Everything a caller gets to see of a registry.
async fn used(registry: Arc<dyn Registry>, host: &str) -> String {
    let layout = tempfile::tempdir().unwrap();
    Sample::random(4000).write(layout.path()).unwrap();
    let mut text = String::new();
    for path in [
        "launch-test/shown",
        "launch-test/readonly/shown",
        "launch-test/secret/shown",
    ] {
        let name = image(host, &format!("{}:v1", unique(path)));
        let log = Log::default();
        let checked = registry.check(&name).await;
        let found = registry.find(&name).await;
        let pushed = registry.push(layout.path(), &name, &log.events()).await;
        let credentials = registry.credentials(&name).await;
        let errors = [checked.err(), found.err(), pushed.err()];
        for error in errors.iter().flatten() {
            text += &format!("{error:?} {} {:?}\n", chain(error), error.hint());
        }
        text += &format!("{log:?} {} {}\n", shown(&credentials), shown(&registry));
        if let Ok(Some(credentials)) = credentials {
            let file = credentials.to_docker_config(host);
            text += &format!("{file:?} {:?}\n", credentials.to_engine_auth(host));
        }
    }
    text
}

#[tokio::test]
async fn no_secret_is_shown() {
    let Some(clouds) = Clouds::get() else { return };
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let registries: Vec<(Arc<dyn Registry>, &str)> = vec![
        (Arc::new(clouds.ecr("AKIALAUNCH")), ECR[0]),
        (Arc::new(clouds.ecr("AKIANOBODY")), ECR[0]),
        (Arc::new(clouds.ecr("AKIASTRANGER")), ECR[1]),
        (Arc::new(clouds.gar(clouds.google())), GAR[0]),
        (
            Arc::new(clouds.gar(clouds.google_file("service-account.json"))),
            GAR[0],
        ),
        (
            Arc::new(clouds.gar(clouds.google_file("external-url.json"))),
            GAR[0],
        ),
        (
            Arc::new(clouds.gar(clouds.google_file("revoked-user.json"))),
            GAR[0],
        ),
        (
            Arc::new(clouds.gar(clouds.google_file("stranger-user.json"))),
            GAR[0],
        ),
        (Arc::new(clouds.acr(clouds.azure(ENTRA_SECRET))), ACR[0]),
        (
            Arc::new(clouds.acr(clouds.azure("planted-stranger"))),
            ACR[0],
        ),
        (Arc::new(clouds.acr(clouds.azure("planted-wrong"))), ACR[0]),
    ];
    let processes = watched_processes();
    let mut text = String::new();
    for (registry, host) in registries {
        text += &used(registry, host).await;
    }
    let processes = processes();
    assert!(!processes.is_empty(), "this process is among those seen");
    text += &processes;
    text += &String::from_utf8_lossy(&lines.0.lock().unwrap());
    assert!(
        text.contains("Denied") && text.contains("Unauthorized"),
        "errors are among it"
    );
    assert!(text.contains("answered"), "logs are among it");
    let key = fs_err::read_to_string(clouds.file("service-account.key")).unwrap();
    let key = key.lines().nth(3).unwrap();
    // The last is Moto's password for ECR, alone and as basic authentication sends it.
    for secret in [
        "planted",
        AWS_SECRET,
        key,
        "auth-token",
        "MTIzNDU2Nzg5MDEyLWF1dGgtdG9rZW4",
    ] {
        let at = text.find(secret);
        let around = at.map(|at| &text[at.saturating_sub(300)..(at + 60).min(text.len())]);
        assert_eq!(around, None, "{secret} is shown");
    }
}
