//! The engine under test, if there is one.

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::RemoveImageOptionsBuilder;
use launch_builder::Builder;
use launch_builder::conformance::Bench;
use launch_builder::docker::DockerBuilder;
use launch_config::image::ImageRef;

use super::skip::skip;

pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) builder: DockerBuilder,
}

impl Engine {
    pub(crate) fn connect() -> Option<Self> {
        if std::env::var("LAUNCH_TEST_DOCKER").is_ok_and(|value| value == "1") {
            let docker = Docker::connect_with_defaults().unwrap();
            let builder = DockerBuilder::connect().unwrap();
            return Some(Self { docker, builder });
        }
        skipped("LAUNCH_TEST_DOCKER is not 1")
    }
}

/// The value of a variable that names a real part.
pub(crate) fn needed(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Some(value),
        _ => skipped(&format!("{variable} is not set")),
    }
}

/// Nothing, which is told.
pub(crate) fn skipped<T>(why: &str) -> Option<T> {
    skip(why);
    None
}

impl Engine {
    /// The same engine, asked for its old builder.
    pub(crate) fn classic() -> Option<Self> {
        let engine = Self::connect()?;
        let builder = engine.builder.without_buildkit();
        Some(Self { builder, ..engine })
    }
}

#[async_trait]
impl Bench for Engine {
    fn builder(&self) -> &dyn Builder {
        &self.builder
    }

    fn base(&self) -> ImageRef {
        "launch-test/busybox:1".parse().unwrap()
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn holds(&self, image: &ImageRef) -> bool {
        self.docker.inspect_image(&image.to_string()).await.is_ok()
    }

    async fn forget(&self, image: &ImageRef) {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let _ = self
            .docker
            .remove_image(&image.to_string(), Some(options), None)
            .await;
    }
}
