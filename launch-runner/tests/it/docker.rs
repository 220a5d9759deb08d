//! The Docker runner, against an engine (`LAUNCH_TEST_DOCKER=1`).

use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::CreateContainerOptionsBuilder;
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::config::secret::Secret;
use launch_runner::conformance::{Fidelity, Harness, fresh_key, watch};
use launch_runner::docker::{ATTEMPT_LABEL, DockerRunner, JOB_LABEL, OWNER_LABEL};
use launch_runner::run::{RunHandle, RunRequest, Workload, run_name};
use launch_runner::{Error, Runner};
use serde_json::json;

use crate::docker_wire::{connected, socket};
use crate::door::{Behind, Door};

const IMAGE: &str = "launch-test/busybox:1";
pub(crate) const OWNER: &str = "launch-runner-tests";

#[derive(Debug)]
pub(crate) struct Containers {
    /// The way to the engine, which can be closed.
    door: Door,
}

impl Containers {
    /// The engine, or `None` and a word why not.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub(crate) fn new() -> Option<Self> {
        if std::env::var("LAUNCH_TEST_DOCKER").is_ok_and(|value| value == "1") {
            let door = Door::open(Behind::Socket(socket()));
            return Some(Self { door });
        }
        let why = "LAUNCH_TEST_DOCKER is not 1: no Docker Engine to test with";
        assert!(
            !std::env::var("CI").is_ok_and(|value| value == "true"),
            "{why}"
        );
        eprintln!("skipped: {why}");
        None
    }
}

#[async_trait]
impl Harness for Containers {
    async fn open(&self) -> Box<dyn Runner> {
        Box::new(connected(self.door.address()))
    }

    fn script(&self, key: RunKey, script: &str) -> RunRequest {
        let image = Workload::Image {
            image: IMAGE.parse().unwrap(),
            pull: None,
        };
        RunRequest::new(key, image).with_command(["sh", "-c", script])
    }

    fn fidelity(&self) -> Fidelity {
        Fidelity::Lines
    }

    async fn go_away(&self, time: Duration) -> bool {
        self.door.close_for(time);
        true
    }

    async fn abandon(&self, request: RunRequest) -> Option<RunHandle> {
        let name = run_name(&request.key);
        let labels = [
            (JOB_LABEL.to_owned(), request.key.job.to_string()),
            (ATTEMPT_LABEL.to_owned(), request.key.attempt.to_string()),
            (OWNER_LABEL.to_owned(), OWNER.to_owned()),
        ];
        make(&name, labels.into(), &request.command).await;
        Some(RunHandle::new("docker", request.key, name))
    }
}

async fn make(
    name: &str,
    labels: std::collections::HashMap<String, String>,
    command: &[String],
) -> Docker {
    let docker = Docker::connect_with_defaults().unwrap();
    let body = ContainerCreateBody {
        image: Some(IMAGE.to_owned()),
        cmd: Some(command.to_vec()),
        labels: Some(labels),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    docker.create_container(Some(options), body).await.unwrap();
    docker
}

conformance!(Containers::new());

#[tokio::test]
async fn a_container_whose_maker_died_is_started_by_the_next() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let request = containers.script(fresh_key(), "echo started; exit 2");
    containers.abandon(request.clone()).await.unwrap();
    let run = containers.open().await.submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Failed { code: 2 });
    assert_eq!(seen.text(), "started");
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn a_container_that_is_not_ours_is_left_alone() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let key = fresh_key();
    let name = run_name(&key);
    let docker = make(&name, [].into(), &["true".to_owned()]).await;
    let runner = containers.open().await;
    let error = runner
        .submit(containers.script(key.clone(), "exit 0"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Refused { .. }) && error.to_string().contains(&name),
        "{error}"
    );
    let error = runner
        .attach(&RunHandle::new("docker", key, name.clone()))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error}");
    docker
        .remove_container(
            &name,
            None::<bollard::query_parameters::RemoveContainerOptions>,
        )
        .await
        .expect("it is still there");
}

#[tokio::test]
async fn a_container_somebody_removed_is_lost() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let runner = containers.open().await;
    let run = runner
        .submit(containers.script(fresh_key(), "sleep 600"))
        .await
        .unwrap();
    let docker = Docker::connect_with_defaults().unwrap();
    let watching = tokio::spawn({
        let run = runner.attach(run.handle()).await.unwrap();
        async move { watch(&*run, 0).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let options = bollard::query_parameters::RemoveContainerOptionsBuilder::new().force(true);
    docker
        .remove_container(&run.handle().id, Some(options.build()))
        .await
        .unwrap();
    // The watcher may be in time to see the killed container before it goes.
    let seen = watching.await.unwrap();
    let killed = Reason::Failed { code: 137 };
    assert!(
        [Reason::Lost, killed].contains(&seen.end.reason),
        "{:?}",
        seen.end
    );
    watch(&*run, 0).await.assert_reason(Reason::Lost);
}

#[tokio::test]
async fn a_paused_container_can_be_cancelled() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let request = containers.script(
        fresh_key(),
        "trap 'exit 0' TERM; while :; do sleep 0.1; done",
    );
    let run = containers.open().await.submit(request).await.unwrap();
    let docker = Docker::connect_with_defaults().unwrap();
    docker.pause_container(&run.handle().id).await.unwrap();
    run.cancel(Duration::from_secs(30)).await.unwrap();
    watch(&*run, 0).await.assert_reason(Reason::Cancelled);
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn options_reach_the_engine() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let script = "pwd; ulimit -n; echo $A; df -k /dev/shm | tail -1";
    let request = containers
        .script(fresh_key(), script)
        .with_resource_args(json!({
            "memory": "64m", "cpus": 1, "workdir": "/etc", "ulimit": ["nofile=77:88"],
            "env": ["A=from the queue"], "shm-size": "8m"
        }));
    let run = containers.open().await.submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Succeeded);
    let text = seen.text();
    assert!(
        text.starts_with("/etc\n77\nfrom the queue\n") && text.contains("8192"),
        "{text}"
    );
    let docker = Docker::connect_with_defaults().unwrap();
    let options = None::<bollard::query_parameters::InspectContainerOptions>;
    let host = docker
        .inspect_container(&run.handle().id, options)
        .await
        .unwrap();
    let host = host.host_config.unwrap();
    assert_eq!(
        (host.memory, host.nano_cpus),
        (Some(64 << 20), Some(1_000_000_000))
    );
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn a_line_without_end_is_one_line() {
    let Some(containers) = Containers::new() else {
        return;
    };
    // The engine cuts lines after 16 KiB.
    let script = "yes | tr -d '\\n' | head -c 100000; echo; echo end";
    let run = containers
        .open()
        .await
        .submit(containers.script(fresh_key(), script))
        .await
        .unwrap();
    let seen = watch(&*run, 0).await;
    let whole = seen.output == format!("{}\nend\n", "y".repeat(100_000)).into_bytes();
    assert!(whole, "{} bytes", seen.output.len());
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn running_out_of_memory_is_said() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let script = "x=x; while :; do x=$x$x; done";
    let request = containers
        .script(fresh_key(), script)
        .with_resource_args(json!({"memory": "16m", "memory-swap": "16m"}));
    let run = containers.open().await.submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Failed { code: 137 });
    assert!(
        seen.end.message.contains("ran out of memory"),
        "{}",
        seen.end.message
    );
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_said_in_the_engines_words() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let image = Workload::Image {
        image: "127.0.0.1:9/no/such:1".parse().unwrap(),
        pull: Some(("launch".to_owned(), Secret::new("planted-secret"))),
    };
    let request = RunRequest::new(fresh_key(), image);
    let error = containers.open().await.submit(request).await.unwrap_err();
    assert!(matches!(error, Error::Image { .. }), "{error:?}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("127.0.0.1:9"), "{source}");
    assert!(
        !format!("{error:?}{error}{source}").contains("planted"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refused_option_makes_nothing() {
    let Some(containers) = Containers::new() else {
        return;
    };
    let request = containers
        .script(fresh_key(), "exit 0")
        .with_resource_args(json!({"detach": "true"}));
    let key = request.key.clone();
    let runner = containers.open().await;
    let error = runner.submit(request).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`detach`: no option of `docker run`"),
        "{error}"
    );
    assert!(!runner.owned().await.unwrap().contains(&key));
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable() {
    let docker = Docker::connect_with_http("127.0.0.1:9", 5, bollard::API_DEFAULT_VERSION).unwrap();
    let error = DockerRunner::with(docker, OWNER).check().await.unwrap_err();
    assert!(
        error.is_retryable() && matches!(error, Error::Unavailable { .. }),
        "{error:?}"
    );
}
