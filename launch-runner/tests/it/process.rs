//! The process runner.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use async_trait::async_trait;
use launch_runner::Runner;
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::conformance::{Fidelity, Harness, fresh_key, watch};
use launch_runner::process::ProcessRunner;
use launch_runner::run::{Run, RunHandle, RunRequest, Workload, run_name};
use tempfile::TempDir;

#[derive(Debug)]
pub(crate) struct Processes {
    state: TempDir,
    tree: TempDir,
}

impl Processes {
    pub(crate) fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            tree: tempfile::tempdir().unwrap(),
        }
    }

    async fn submit(&self, script: &str) -> Box<dyn Run> {
        self.open()
            .await
            .submit(self.script(fresh_key(), script))
            .await
            .unwrap()
    }

    fn run_dir(&self, key: &RunKey) -> std::path::PathBuf {
        self.state.path().join(run_name(key))
    }
}

#[async_trait]
impl Harness for Processes {
    async fn open(&self) -> Box<dyn Runner> {
        Box::new(ProcessRunner::open(self.state.path()).unwrap())
    }

    fn script(&self, key: RunKey, script: &str) -> RunRequest {
        RunRequest::new(key, Workload::Tree(self.tree.path().to_owned()))
            .with_command(["/bin/sh", "-c", script])
    }

    fn fidelity(&self) -> Fidelity {
        Fidelity::Bytes
    }

    fn not_applicable(&self, case: &str) -> Option<&'static str> {
        (case == "the_backend_may_be_away").then_some("processes and their files are always there")
    }

    async fn abandon(&self, request: RunRequest) -> Option<RunHandle> {
        let dir = self.run_dir(&request.key);
        fs_err::create_dir(&dir).unwrap();
        let kept = serde_json::json!({
            "version": 1, "key": request.key, "program": "sh", "tree": "/", "labels": {}
        });
        fs_err::write(dir.join("request.json"), kept.to_string()).unwrap();
        Some(RunHandle::new(
            "process",
            request.key,
            dir.to_str().unwrap(),
        ))
    }
}

conformance!(Some(Processes::new()));

async fn eventually(what: &str, fact: impl Fn() -> bool) {
    for _ in 0..200 {
        if fact() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came true that {what}");
}

fn pid_in(file: &std::path::Path) -> String {
    fs_err::read_to_string(file)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn is_alive(pid: &str) -> bool {
    // A zombie has no command line.
    fs_err::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

#[tokio::test]
async fn a_run_whose_supervisor_was_killed_is_lost_and_does_not_go_on() {
    let processes = Processes::new();
    let run = processes.submit("echo $$ >pid; exec sleep 600").await;
    let file = processes.tree.path().join("pid");
    eventually("the program is up", || pid_in(&file).parse::<i32>().is_ok()).await;
    let supervisor = pid_in(&processes.run_dir(&run.handle().key).join("pid"));
    let pid = rustix::process::Pid::from_raw(supervisor.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Lost);
    let program = pid_in(&file);
    eventually("the program was ended too", || !is_alive(&program)).await;
}

#[tokio::test]
async fn children_that_left_the_group_end_when_the_run_is_killed() {
    let processes = Processes::new();
    let run = processes
        .submit("trap '' TERM; setsid sleep 600 & echo $! >pid; while :; do sleep 1; done")
        .await;
    let file = processes.tree.path().join("pid");
    eventually("the program is up", || pid_in(&file).parse::<i32>().is_ok()).await;
    let child = pid_in(&file);
    run.cancel(Duration::from_millis(300)).await.unwrap();
    watch(&*run, 0).await.assert_reason(Reason::Cancelled);
    eventually("the child was ended", || !is_alive(&child)).await;
}

#[tokio::test]
async fn no_zombie_is_left() {
    let processes = Processes::new();
    let run = processes.submit("exit 0").await;
    watch(&*run, 0).await;
    let supervisor = pid_in(&processes.run_dir(&run.handle().key).join("pid"));
    eventually("the supervisor was waited for", || {
        !std::path::Path::new(&format!("/proc/{supervisor}")).exists()
    })
    .await;
}

#[tokio::test]
async fn secrets_are_in_no_file_and_no_command_line() {
    let processes = Processes::new();
    let request = processes
        .script(
            fresh_key(),
            "tr '\\0' ' ' </proc/$PPID/cmdline; echo ---; env",
        )
        .with_env("PLANTED", "s3cret-value");
    let run = processes.open().await.submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    let text = seen.text();
    let (command, environment) = text.split_once("---").unwrap();
    assert!(
        command.contains("launch-run") && !command.contains("s3cret-value"),
        "{command}"
    );
    assert!(
        environment.contains("PLANTED=s3cret-value"),
        "{environment}"
    );
    assert!(!environment.contains("CARGO"), "{environment}");
    let dir = processes.run_dir(&run.handle().key);
    for path in [&dir, &dir.join("log")] {
        let mode = fs_err::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o77, 0, "{}", path.display());
    }
    for entry in fs_err::read_dir(dir).unwrap().map(Result::unwrap) {
        let holds = fs_err::read_to_string(entry.path())
            .unwrap()
            .contains("s3cret-value");
        assert_eq!(holds, entry.file_name() == "log", "{entry:?}");
    }
}

#[tokio::test]
async fn an_image_is_refused_with_its_name() {
    let processes = Processes::new();
    let image = Workload::Image {
        image: "busybox:1".parse().unwrap(),
        pull: None,
    };
    let request = RunRequest::new(fresh_key(), image).with_command(["sh"]);
    let error = processes.open().await.submit(request).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("image `busybox:1` needs a container"),
        "{error}"
    );
    assert!(processes.open().await.owned().await.unwrap().is_empty());
}

#[tokio::test]
async fn too_large_an_environment_is_refused() {
    let processes = Processes::new();
    let request = processes
        .script(fresh_key(), "exit 0")
        .with_env("BIG", "x".repeat(200 << 10));
    let error = processes.open().await.submit(request).await.unwrap_err();
    assert!(error.to_string().contains("128 KiB"), "{error}");
}

#[tokio::test]
async fn limits_are_set_and_those_that_cannot_be_end_the_run() {
    let processes = Processes::new();
    let limited = |limits: serde_json::Value| {
        let script = "ulimit -n; head -c 2000000 /dev/zero >big";
        processes
            .script(fresh_key(), script)
            .with_resource_args(serde_json::json!({ "ulimit": limits }))
    };
    let runner = processes.open().await;
    let limits = serde_json::json!(["nofile=50", "fsize=1048576"]);
    let run = runner.submit(limited(limits)).await.unwrap();
    let seen = watch(&*run, 0).await;
    assert!(!seen.end.reason.is_success(), "{:?}", seen.end);
    assert!(seen.text().starts_with("50"), "{}", seen.text());
    let error = runner
        .submit(limited(serde_json::json!("nofile=x")))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("nofile"), "{error}");
}
