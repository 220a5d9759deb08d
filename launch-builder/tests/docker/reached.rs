//! Whether an engine is there, and what it knows.

use bollard::Docker;
use launch_builder::docker::DockerBuilder;
use launch_builder::{Builder as _, Error};

use super::engine::Engine;

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_checked_and_asked_for_bases() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    engine.builder.check().await.unwrap();
    let digest = async |image: &str| {
        engine
            .builder
            .base_digest(&image.parse().unwrap())
            .await
            .unwrap()
    };
    assert!(digest("launch-test/busybox:1").await.is_some());
    assert_eq!(digest("127.0.0.1:9/none/none:1").await, None);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable() {
    let docker = Docker::connect_with_http("http://127.0.0.1:9", 5, bollard::API_DEFAULT_VERSION);
    let builder = DockerBuilder::with(docker.unwrap());
    let error = builder.check().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unavailable {
                builder: "docker",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let docker = Docker::connect_with_http(&url, 60, bollard::API_DEFAULT_VERSION).unwrap();
    let error = DockerBuilder::with(docker).check().await.unwrap_err();
    assert!(
        error.to_string().contains("did not answer within 5 s"),
        "{error}"
    );
}
