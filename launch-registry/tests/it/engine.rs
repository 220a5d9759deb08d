//! A Docker Engine pulls what we push, and runs it.

use std::path::Path;
use std::process::{Command, Output};

use launch_registry::Registry as _;
use launch_registry::conformance::Sample;
use serde_json::json;

use crate::support::{anonymous, real, silent};

fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// A static busybox of this machine, else none.
fn busybox() -> Option<Vec<u8>> {
    let places = ["/bin/busybox", "/usr/bin/busybox"];
    places
        .into_iter()
        .map(Path::new)
        .find(|path| path.exists())
        .map(|path| fs_err::read(path).unwrap())
}

fn rootfs(busybox: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(busybox.len() as u64);
    header.set_mode(0o755);
    tar.append_data(&mut header, "bin/busybox", busybox)
        .unwrap();
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    link.set_mode(0o777);
    tar.append_link(&mut link, "bin/sh", "busybox").unwrap();
    tar.into_inner().unwrap()
}

#[tokio::test]
async fn docker_runs_what_we_push() {
    let (Some(host), Some(_)) = (real("LAUNCH_TEST_REGISTRY"), real("LAUNCH_TEST_DOCKER")) else {
        return;
    };
    let Some(busybox) = busybox() else {
        eprintln!("skipped: there is no busybox on this machine");
        return;
    };
    let command = ["/bin/sh", "-c", "echo it runs as $WHO; exit 7"];
    let process = json!({ "Cmd": command, "Env": ["PATH=/bin", "WHO=launch"] });
    let layout = tempfile::tempdir().unwrap();
    Sample::new()
        .with_layer(rootfs(&busybox))
        .with_process(process)
        .write(layout.path())
        .unwrap();
    let name = format!("{host}/launch-registry/engine:v1").parse().unwrap();
    let pushed = anonymous()
        .push(layout.path(), &name, &silent())
        .await
        .unwrap()
        .to_string();

    let pulled = docker(&["pull", &pushed]);
    assert!(pulled.status.success(), "{}", text(&pulled.stderr));
    let run = docker(&["run", "--rm", "--network", "none", &pushed]);
    let removed = docker(&["rmi", &pushed]);
    assert_eq!(
        text(&run.stdout),
        "it runs as launch",
        "{}",
        text(&run.stderr)
    );
    assert_eq!(run.status.code(), Some(7));
    assert!(removed.status.success(), "{}", text(&removed.stderr));
}
