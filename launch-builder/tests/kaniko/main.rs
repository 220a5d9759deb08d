//! Builds with kaniko on a real cluster, from contexts in S3 (moto) or a volume, pushed to
//! real registries. The executor is a stand-in that takes kaniko's arguments.

#![cfg(all(feature = "kaniko", feature = "conformance"))]
#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it")]

mod bench;
mod http;
mod manifest;
mod restart;
mod store;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bench::{Bench, Project};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::Api;
use launch_builder::event::{Event, Events};
use launch_builder::kaniko::{KanikoSettings, Login, Logins, StoreError, VolumeStore};
use launch_builder::{Builder as _, BuiltImage, Error, conformance};
use launch_config::image::ImageRef;
use launch_config::secret::Secret;

macro_rules! conforms {
    ($($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if let Some(bench) = Bench::start(stringify!($name)).await {
                conformance::$name(&bench).await;
                bench.assert_nothing_left().await;
            }
        }
    )*};
}

conforms!(
    same_plan_same_image,
    another_file_another_image,
    a_failing_build_shows_its_end,
    a_changed_context_is_refused,
    a_dropped_build_leaves_nothing,
);

/// What a build said, as it said it.
fn recorded() -> (Events, Arc<Mutex<Vec<Event>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&said);
    let events = Events::new(move |event| sink.lock().unwrap().push(event));
    (events, said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_streamed_and_its_image_is_pinned() {
    let Some(bench) = Bench::start("streamed").await else {
        return;
    };
    bench.builder.check().await.unwrap();
    let project = Project::new(
        &bench,
        "ARG WORD\nRUN echo word-$WORD-$((40+2)) > /word.txt",
        &[("WORD", "given")],
    );
    let (events, said) = recorded();
    let built = bench
        .builder
        .build(project.request(), &events)
        .await
        .unwrap();
    let BuiltImage::Pushed(pinned) = built else {
        panic!("{built:?}")
    };
    assert_eq!(
        pinned.digest().to_string(),
        bench.digest(&project.image).await.unwrap()
    );
    let said = said.lock().unwrap().clone();
    let logged = |word: &str| {
        said.iter()
            .any(|event| matches!(event, Event::Log(line) if line.contains(word)))
    };
    assert!(logged("INFO Getting context from s3://"), "{said:?}");
    assert!(logged("INFO Pushed "), "{said:?}");
    bench.assert_nothing_left().await;
}

/// A login for one registry.
#[derive(Debug)]
struct Launch;

#[async_trait]
impl Logins for Launch {
    async fn login(&self, _: &ImageRef) -> Result<Option<Login>, StoreError> {
        let (user, password) = ("launch".to_owned(), Secret::new("s3cret-basic"));
        Ok(Some(Login { user, password }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_a_secret_of_the_job() {
    let Some(mut bench) = Bench::start("login").await else {
        return;
    };
    let Some(host) = bench::variable("LAUNCH_TEST_REGISTRY_BASIC") else {
        return;
    };
    bench.push_to(&format!("{host}/kaniko/login"));
    let project = Project::new(&bench, "RUN sleep 4", &[]);
    let denied = bench
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap_err();
    assert!(denied.to_string().contains("401"), "{denied}");
    bench.builder = bench.builder.clone().with_logins(Arc::new(Launch));
    let secrets: Api<KubeSecret> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let seen = async {
        loop {
            let all = secrets
                .list(&kube::api::ListParams::default().labels("wandb=launch"))
                .await
                .unwrap();
            if let Some(secret) = all.items.into_iter().next() {
                return secret;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (events, _) = recorded();
    let (built, secret) = tokio::join!(bench.builder.build(project.request(), &events), seen);
    assert!(matches!(built.unwrap(), BuiltImage::Pushed(_)));
    let owners = secret.metadata.owner_references.unwrap();
    assert_eq!(owners[0].kind, "Job");
    assert!(owners[0].name.starts_with("wandb-launch-container-build-"));
    bench.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_may_come_from_a_volume() {
    let Some(mut bench) = Bench::start("volume").await else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let claim = bench.make_volume(directory.path()).await;
    bench.use_store(Arc::new(VolumeStore::new(claim, directory.path())));
    bench.builder.check().await.unwrap();
    let project = Project::new(&bench, "RUN cat /job/content.txt", &[]);
    let built = bench
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    assert!(matches!(built, BuiltImage::Pushed(_)));
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 0);
    bench.remove_volume().await;
    bench.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_is_kept_on_request() {
    let Some(mut bench) = Bench::start("kept").await else {
        return;
    };
    bench.builder = bench.builder.clone().with_kept_contexts();
    let project = Project::new(&bench, "", &[]);
    bench
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    assert_eq!(bench.contexts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_cannot_begin_says_why() {
    let Some(mut bench) = Bench::start("obstacle").await else {
        return;
    };
    let settings = bench
        .settings
        .clone()
        .with_image("launch-test/there-is-no-such-image:1");
    bench.use_settings(settings);
    bench.builder = bench.builder.clone().with_timeout(Duration::from_secs(12));
    let (events, said) = recorded();
    let project = Project::new(&bench, "", &[]);
    let error = bench
        .builder
        .build(project.request(), &events)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no end after 12 s (ErrImageNeverPull"),
        "{error}"
    );
    let warned =
        |event: &Event| matches!(event, Event::Warning(text) if text.contains("ErrImageNeverPull"));
    assert!(said.lock().unwrap().iter().any(warned));
    bench.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_refuses_is_told_and_the_context_goes() {
    let Some(mut bench) = Bench::start("refused").await else {
        return;
    };
    let mut config = bench.settings.config.clone();
    config["spec"]["template"]["spec"]["restartPolicy"] = "Sometimes".into();
    bench.use_settings(bench.settings.clone().with_config(config));
    let project = Project::new(&bench, "", &[]);
    let error = bench
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap_err();
    let message = error.to_string();
    assert!(message.contains("restartPolicy"), "{message}");
    assert!(matches!(error, Error::Settings { .. }) && !error.is_retryable());
    bench.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_is_not_there_is_told() {
    let Some(mut bench) = Bench::start("missing").await else {
        return;
    };
    bench.use_settings(
        bench
            .settings
            .clone()
            .with_namespace("there-is-no-such-namespace"),
    );
    let project = Project::new(&bench, "", &[]);
    let error = bench
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("there-is-no-such-namespace"),
        "{error}"
    );
    assert_eq!(bench.contexts().await.len(), 0);
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_is_unavailable() {
    let config = kube::Config::new("http://127.0.0.1:9".parse().unwrap());
    let client = kube::Client::try_from(config).unwrap();
    let store = Arc::new(VolumeStore::new("claim", "/tmp"));
    let builder = launch_builder::kaniko::KanikoBuilder::with(client, KanikoSettings::new(), store);
    let error = builder.check().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unavailable {
                builder: "kaniko",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_retryable());
}
