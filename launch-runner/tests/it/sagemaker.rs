//! The SageMaker runner: its states against a stand-in, what it sends against Moto
//! (`LAUNCH_TEST_AWS_ENDPOINT`, the server's URL).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use launch_runner::config::id::RunKey;
use launch_runner::config::outcome::Reason;
use launch_runner::conformance::{Fidelity, Harness, fresh_key, watch};
use launch_runner::run::{RunHandle, RunRequest, Workload, run_name};
use launch_runner::sagemaker::SagemakerRunner;
use launch_runner::sagemaker::aws_config::{Region, SdkConfig};
use launch_runner::{Error, Runner};
use serde_json::{Value, json};

use crate::clouds::{PACE, StandIn};

const OWNER: &str = "/var/lib/launch-runner-tests";

fn config(url: &str, credentials: SharedCredentialsProvider) -> SdkConfig {
    SdkConfig::builder()
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(credentials)
        .build()
}

fn keys() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(
        "key",
        "stand-in-secret",
        None,
        None,
        "test",
    ))
}

fn runner(url: &str, credentials: SharedCredentialsProvider) -> SagemakerRunner {
    let runner = SagemakerRunner::with(&config(url, credentials), OWNER).unwrap();
    runner.with_pace(PACE.0, PACE.1, PACE.2)
}

fn args() -> Value {
    json!({
        "RoleArn": "trainer",
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/prefix"},
    })
}

fn request(key: RunKey, script: &str) -> RunRequest {
    let image = Workload::Image {
        image: "registry.example/train:1".parse().unwrap(),
        pull: None,
    };
    RunRequest::new(key, image)
        .with_command(["sh", "-c", script])
        .with_resource_args(args())
}

#[derive(Debug)]
pub(crate) struct TrainingJobs(StandIn);

impl TrainingJobs {
    /// Every seventh request is refused as one too many.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&["--throttle", "7"])
    }

    fn with(args: &[&str]) -> Option<Self> {
        StandIn::start("sagemaker", args).map(Self)
    }

    fn runner(&self) -> SagemakerRunner {
        runner(&self.0.url(), keys())
    }
}

#[async_trait]
impl Harness for TrainingJobs {
    async fn open(&self) -> Box<dyn Runner> {
        Box::new(self.runner())
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
            .then_some("CreateTrainingJob makes and starts in one step")
    }

    async fn go_away(&self, time: Duration) -> bool {
        self.0.go_away(time).await;
        true
    }
}

conformance!(TrainingJobs::new());

#[tokio::test]
async fn a_lost_reply_creates_nothing_twice() {
    let Some(jobs) = TrainingJobs::with(&[]) else {
        return;
    };
    jobs.0.lose_reply("SageMaker.CreateTrainingJob").await;
    let key = fresh_key();
    let run = jobs
        .runner()
        .submit(request(key.clone(), "exit 3"))
        .await
        .unwrap();
    watch(&*run, 0)
        .await
        .assert_reason(Reason::Failed { code: 3 });
    assert_eq!(jobs.0.counts().await["SageMaker.CreateTrainingJob"], 2);
    assert_eq!(jobs.runner().owned().await.unwrap(), [key]);
}

#[tokio::test]
async fn a_name_that_others_took_is_refused() {
    let Some(jobs) = TrainingJobs::with(&[]) else {
        return;
    };
    let named = |key| request(key, "exit 0").with_env("WANDB_RUN_ID", "r1");
    let first = jobs.runner().submit(named(fresh_key())).await.unwrap();
    assert_eq!(first.handle().id, "r1");
    let error = jobs.runner().submit(named(fresh_key())).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(
        error.to_string().contains("`r1` that is not of this run"),
        "{error}"
    );
    let mut again = fresh_key();
    again.attempt = 1;
    let second = jobs.runner().submit(named(again)).await.unwrap();
    assert_eq!(second.handle().id, "r1-1");
}

#[tokio::test]
async fn a_job_that_runs_too_long_has_timed_out() {
    let Some(jobs) = TrainingJobs::with(&["--grace", "0.5"]) else {
        return;
    };
    let mut request = request(fresh_key(), "echo up; exec sleep 600");
    request.resource_args["StoppingCondition"]["MaxRuntimeInSeconds"] = json!(1);
    let run = jobs.runner().submit(request).await.unwrap();
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::TimedOut);
    assert_eq!(seen.text(), "up");
}

#[tokio::test]
async fn what_the_service_will_not_take_is_refused_in_its_words() {
    let Some(jobs) = TrainingJobs::with(&[]) else {
        return;
    };
    let request = request(fresh_key(), "exit 0").with_env("a-b", "planted");
    let error = jobs.runner().submit(request).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("environment"), "{error}");
    assert!(!format!("{error:?}").contains("planted"));
}

/// Gives credentials that have ended already, then good ones.
#[derive(Debug)]
struct Rotating(Arc<AtomicUsize>);

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let id = match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => "old-key",
            _ => "key",
        };
        let secret = "stand-in-secret";
        future::ProvideCredentials::ready(Ok(Credentials::new(id, secret, None, None, "test")))
    }
}

#[tokio::test]
async fn credentials_that_end_are_renewed() {
    let Some(jobs) = TrainingJobs::with(&[]) else {
        return;
    };
    let asked = Arc::new(AtomicUsize::new(0));
    let rotating = SharedCredentialsProvider::new(Rotating(Arc::clone(&asked)));
    let runner = runner(&jobs.0.url(), rotating);
    let run = runner.submit(request(fresh_key(), "exit 0")).await.unwrap();
    watch(&*run, 0).await.assert_reason(Reason::Succeeded);
    assert_eq!(
        asked.load(Ordering::Relaxed),
        2,
        "one renewal, and then kept"
    );
}

#[tokio::test]
async fn wrong_credentials_are_known_at_once() {
    let Some(jobs) = TrainingJobs::with(&[]) else {
        return;
    };
    let wrong = Credentials::new("key", "other-secret", None, None, "test");
    let runner = runner(&jobs.0.url(), SharedCredentialsProvider::new(wrong));
    let error = runner.check().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    jobs.runner().check().await.unwrap();
}

/// Moto knows the service's shapes: it takes the request, and finds by the tags. It ends
/// jobs at once and cannot stop them.
#[tokio::test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
async fn moto_takes_what_is_sent() {
    let Ok(url) = std::env::var("LAUNCH_TEST_AWS_ENDPOINT") else {
        let why = "LAUNCH_TEST_AWS_ENDPOINT is not set: no Moto to test with";
        assert!(
            !std::env::var("CI").is_ok_and(|value| value == "true"),
            "{why}"
        );
        eprintln!("skipped: {why}");
        return;
    };
    let runner = runner(&url, keys());
    runner.check().await.unwrap();
    let key = fresh_key();
    let run = runner.submit(request(key.clone(), "exit 0")).await.unwrap();
    assert_eq!(run.handle().id, run_name(&key));
    let seen = watch(&*run, 0).await;
    seen.assert_reason(Reason::Succeeded);
    assert!(runner.owned().await.unwrap().contains(&key));
    let attached = runner.attach(run.handle()).await.unwrap();
    attached.clean_up().await.unwrap();
    assert!(!runner.owned().await.unwrap().contains(&key));
    let error = runner.attach(run.handle()).await.unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error:?}");
}
