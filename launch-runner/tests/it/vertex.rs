//! The Vertex AI runner, against a stand-in written from the public API.

use std::time::Duration;

use async_trait::async_trait;
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::conformance::{Fidelity, Harness, fresh_key, watch};
use launch_runner::run::{RunHandle, RunRequest, Workload};
use launch_runner::vertex::VertexRunner;
use launch_runner::{Error, Runner};
use serde_json::{Value, json};

use crate::clouds::{PACE, StandIn};

const OWNER: &str = "/var/lib/launch-runner-tests";

/// Credentials of a user, whose tokens the stand-in gives out.
fn credentials(url: &str) -> Value {
    json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": format!("{url}/token"), "quota_project_id": "team",
    })
}

async fn runner(url: &str) -> VertexRunner {
    VertexRunner::builder("europe-west4")
        .with_owner(OWNER)
        .with_endpoint(url)
        .with_credentials(credentials(url))
        .with_pace(PACE.0, PACE.1, PACE.2)
        .connect()
        .await
        .unwrap()
}

fn request(key: RunKey, script: &str) -> RunRequest {
    let image = Workload::Image {
        image: "europe-docker.pkg.dev/team/r/train:1".parse().unwrap(),
        pull: None,
    };
    RunRequest::new(key, image)
        .with_command(["sh", "-c", script])
        .with_resource_args(json!({"spec": {
            "worker_pool_specs": [{
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {"image_uri": "europe-docker.pkg.dev/team/r/train:1"},
            }],
            "staging_bucket": "gs://stage",
        }}))
}

#[derive(Debug)]
pub(crate) struct CustomJobs(StandIn);

impl CustomJobs {
    /// Every seventh request is refused as one too many.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&["--throttle", "7"])
    }

    fn with(args: &[&str]) -> Option<Self> {
        StandIn::start("vertex", args).map(Self)
    }

    async fn runner(&self) -> VertexRunner {
        runner(&self.0.url()).await
    }
}

#[async_trait]
impl Harness for CustomJobs {
    async fn open(&self) -> Box<dyn Runner> {
        Box::new(self.runner().await)
    }

    fn script(&self, key: RunKey, script: &str) -> RunRequest {
        request(key, script)
    }

    fn fidelity(&self) -> Fidelity {
        Fidelity::Lines
    }

    async fn abandon(&self, _request: RunRequest) -> Option<RunHandle> {
        None
    }

    fn not_applicable(&self, case: &str) -> Option<&'static str> {
        (case == "cancelling_before_the_start")
            .then_some("customJobs.create makes and starts in one step")
    }

    async fn go_away(&self, time: Duration) -> bool {
        self.0.go_away(time).await;
        true
    }
}

conformance!(CustomJobs::new());

#[tokio::test]
async fn a_lost_reply_creates_nothing_twice() {
    let Some(jobs) = CustomJobs::with(&[]) else {
        return;
    };
    jobs.0.lose_reply("create").await;
    let key = fresh_key();
    let run = jobs
        .runner()
        .await
        .submit(request(key.clone(), "exit 3"))
        .await
        .unwrap();
    watch(&*run, 0)
        .await
        .assert_reason(Reason::Failed { code: 3 });
    assert_eq!(jobs.0.counts().await["create"], 1);
    assert_eq!(jobs.runner().await.owned().await.unwrap(), [key]);
}

#[tokio::test]
async fn tokens_are_renewed() {
    let Some(jobs) = CustomJobs::with(&["--token", "2"]) else {
        return;
    };
    let run = jobs
        .runner()
        .await
        .submit(request(fresh_key(), "sleep 6; exit 4"))
        .await
        .unwrap();
    watch(&*run, 0)
        .await
        .assert_reason(Reason::Failed { code: 4 });
    let tokens = jobs.0.counts().await["token"].as_u64().unwrap();
    assert!(tokens >= 2, "only {tokens} tokens");
}

#[tokio::test]
async fn what_the_service_will_not_take_is_refused_in_its_words() {
    let Some(jobs) = CustomJobs::with(&[]) else {
        return;
    };
    let mut request = request(fresh_key(), "exit 0");
    request.resource_args["spec"]["labels"] = json!({"Team": "red"});
    let error = jobs.runner().await.submit(request).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("Team"), "{error}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable() {
    let error = runner("http://127.0.0.1:9")
        .await
        .check()
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}
