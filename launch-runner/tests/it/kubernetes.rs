//! The Kubernetes runner, against a cluster (`LAUNCH_TEST_KUBECONFIG`).

mod fates;
mod manifest;
mod support;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::conformance::{Fidelity, Harness, fresh_key, watch};
use launch_runner::kubernetes::{KubernetesRunner, Patience};
use launch_runner::run::{RunHandle, RunRequest, Workload, run_name};
use launch_runner::{Error, Runner};
use serde_json::json;

use self::support::{IMAGE, NAMESPACE, OWNER, kubeconfig};
use crate::door::{Behind, Door};

/// The first process of a container hears no signal it has no handler for, and cannot end
/// itself by one. So the script is a child, as it is wherever an init starts it.
const INIT: &str = r#"sh -c "$0" & child=$!
# What a shell says of a killed child is not its output.
exec 2>/dev/null
trap 'kill -TERM $child 2>/dev/null' TERM
while :; do
  wait $child; code=$?
  kill -0 $child 2>/dev/null || exit $code
done"#;

#[derive(Debug)]
pub(crate) struct Jobs {
    /// The way to the API server, which can be closed.
    door: Door,
}

impl Jobs {
    /// The cluster, or `None` and a word why not.
    pub(crate) fn new() -> Option<Self> {
        let file = kubeconfig()?;
        let door = Door::open(Behind::Address(support::server_of(&file)));
        Some(Self { door })
    }
}

#[async_trait]
impl Harness for Jobs {
    async fn open(&self) -> Box<dyn Runner> {
        let patience = Patience::default().with_fault(Some(Duration::from_secs(30)));
        let runner = KubernetesRunner::new(OWNER)
            .with_client(support::client_through(self.door.address()).await)
            .with_patience(patience);
        Box::new(runner)
    }

    fn script(&self, key: RunKey, script: &str) -> RunRequest {
        let image = Workload::Image {
            image: IMAGE.parse().unwrap(),
            pull: None,
        };
        let pod =
            json!({"containers": [{"name": "main", "image": IMAGE, "imagePullPolicy": "Never"}]});
        RunRequest::new(key, image)
            .with_command(["sh", "-c", INIT, script])
            .with_resource_args(json!({
                "metadata": {"namespace": NAMESPACE},
                "spec": {"template": {"spec": pod}},
            }))
    }

    fn fidelity(&self) -> Fidelity {
        Fidelity::Lines
    }

    async fn go_away(&self, time: Duration) -> bool {
        self.door.close_for(time);
        true
    }

    fn large_output(&self) -> usize {
        20 << 20
    }

    async fn abandon(&self, request: RunRequest) -> Option<RunHandle> {
        support::make_record(&request.key).await;
        let id = format!("{NAMESPACE}/{}", run_name(&request.key));
        Some(RunHandle::new("kubernetes", request.key, id))
    }
}

conformance!(Jobs::new());

#[tokio::test]
async fn a_job_that_is_not_ours_is_left_alone() {
    let Some(jobs) = Jobs::new() else { return };
    let key = fresh_key();
    let name = format!("taken-{}", run_name(&key));
    support::make_job(&name).await;
    let mut request = jobs.script(key, "exit 0");
    request.resource_args["metadata"]["name"] = json!(name);
    let runner = jobs.open().await;
    let error = runner.submit(request.clone()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { .. }) && error.to_string().contains(&name),
        "{error}"
    );
    assert!(support::exists("Job", &name).await, "it is still there");
    support::delete("Job", &name).await;
    assert!(!runner.owned().await.unwrap().contains(&request.key));
}

#[tokio::test]
async fn everything_vanishes_with_a_job_somebody_deletes() {
    let Some(jobs) = Jobs::new() else { return };
    let request = jobs
        .script(fresh_key(), "echo up; sleep 600")
        .with_env("WANDB_API_KEY", "planted-key");
    let run = jobs.open().await.submit(request).await.unwrap();
    let job = support::job_of(run.handle()).await;
    let watched = jobs.open().await.attach(run.handle()).await.unwrap();
    let watching = tokio::spawn(async move { watch(&*watched, 0).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    support::delete("Job", &job).await;
    let seen = watching.await.unwrap();
    seen.assert_reason(Reason::Lost);
    assert!(seen.end.message.contains("deleted"), "{}", seen.end.message);
    support::wait_for("nothing to be left", async || {
        support::left_of(run.handle()).await.is_empty()
    })
    .await;
    let error = jobs.open().await.attach(run.handle()).await.unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error}");
}

#[tokio::test]
async fn the_key_is_in_a_secret_and_arrives() {
    let Some(jobs) = Jobs::new() else { return };
    let request = jobs
        .script(fresh_key(), "echo key $WANDB_API_KEY")
        .with_env("WANDB_API_KEY", "planted-key");
    let run = jobs.open().await.submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    assert_eq!(seen.text(), "key planted-key");
    let job = support::get("Job", &support::job_of(run.handle()).await).await;
    assert!(!job.to_string().contains("planted-key"), "{job}");
    run.clean_up().await.unwrap();
    assert_eq!(support::left_of(run.handle()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_with_retries_and_completions_ends_by_its_conditions() {
    let Some(jobs) = Jobs::new() else { return };
    // The first pod fails, later ones do not: a volume of the node would tell them apart,
    // but none may be mounted. Time does.
    let soon = "[ $(date +%s) -ge $DEADLINE ]";
    let mut request = jobs.script(fresh_key(), &format!("echo try; {soon}"));
    let deadline = support::now() + 4;
    request = request.with_env("DEADLINE", deadline.to_string());
    request.resource_args["spec"]["backoffLimit"] = json!(4);
    request.resource_args["spec"]["completions"] = json!(2);
    let run = jobs.open().await.submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Succeeded);
    assert!(seen.text().starts_with("try"), "{}", seen.text());
    run.clean_up().await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_unavailable() {
    let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    let runner = KubernetesRunner::new(OWNER).with_client(client);
    let error = runner.check().await.unwrap_err();
    assert!(
        error.is_retryable() && matches!(error, Error::Unavailable { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_context_that_is_not_there_is_named_with_those_that_are() {
    let Some(jobs) = Jobs::new() else { return };
    let mut request = jobs.script(fresh_key(), "exit 0");
    request.resource_args["configFile"] = json!(kubeconfig().unwrap());
    request.resource_args["context"] = json!("no-such-context");
    let runner = jobs.open().await;
    let error = runner.submit(request.clone()).await.unwrap_err();
    assert!(error.to_string().contains("no-such-context"), "{error}");
    let context = support::current_context();
    assert!(error.to_string().contains(&context), "{error}");
    request.resource_args["context"] = json!(context);
    let run = runner.submit(request).await.unwrap();
    let found = jobs.open().await.attach(run.handle()).await.unwrap();
    watch(&*found, 0).await.assert_reason(Reason::Succeeded);
    found.clean_up().await.unwrap();
}
