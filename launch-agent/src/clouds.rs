//! Runners of managed services, connected when the first job asks for one: finding
//! credentials may ask the machine's metadata server, and most agents never need them.

use std::fmt;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use launch_config::id::RunKey;
use launch_runner::run::{Run, RunHandle, RunRequest};
use launch_runner::{Error, Runner};
use tokio::sync::OnceCell;

use crate::settings::Settings;

/// A runner that is connected at its first use; if that fails, at the next.
pub(crate) struct Late<R> {
    settings: Settings,
    connect: fn(&Settings) -> BoxFuture<'_, Result<R, Error>>,
    name: &'static str,
    runner: OnceCell<R>,
}

impl<R> Late<R> {
    fn new(
        settings: &Settings,
        name: &'static str,
        connect: fn(&Settings) -> BoxFuture<'_, Result<R, Error>>,
    ) -> Self {
        Self {
            settings: settings.clone(),
            connect,
            name,
            runner: OnceCell::new(),
        }
    }

    async fn get(&self) -> Result<&R, Error>
    where
        R: Send + Sync,
    {
        let connect = || (self.connect)(&self.settings);
        self.runner.get_or_try_init(connect).await
    }
}

impl<R> fmt::Debug for Late<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<R> fmt::Display for Late<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[async_trait]
impl<R: Runner> Runner for Late<R> {
    async fn check(&self) -> Result<(), Error> {
        self.get().await?.check().await
    }

    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error> {
        self.get().await?.submit(request).await
    }

    async fn attach(&self, handle: &RunHandle) -> Result<Box<dyn Run>, Error> {
        self.get().await?.attach(handle).await
    }

    async fn owned(&self) -> Result<Vec<RunKey>, Error> {
        self.get().await?.owned().await
    }
}

/// The state directory owns what runs for it: another one leaves it alone.
fn owner(settings: &Settings) -> String {
    settings.state.path().display().to_string()
}

#[cfg(feature = "aws")]
pub(crate) use aws::{Sagemaker, sagemaker};

#[cfg(feature = "aws")]
mod aws {
    use launch_config::environment::Environment;
    use launch_runner::sagemaker::SagemakerRunner;

    use super::{Late, Settings, owner};

    /// Training jobs, in the region of the agent file or of AWS's own configuration.
    pub(crate) type Sagemaker = Late<SagemakerRunner>;

    pub(crate) fn sagemaker(settings: &Settings) -> Sagemaker {
        Late::new(settings, "SageMaker training jobs", |settings| {
            Box::pin(async move {
                let region = match &settings.setup.environment {
                    Environment::Aws { region } => region.as_deref(),
                    _ => None,
                };
                SagemakerRunner::connect(owner(settings), region).await
            })
        })
    }
}

#[cfg(feature = "gcp")]
pub(crate) use gcp::{Vertex, vertex};

#[cfg(feature = "gcp")]
mod gcp {
    use std::process::Command;

    use launch_config::environment::Environment;
    use launch_runner::Error;
    use launch_runner::vertex::VertexRunner;

    use super::{Late, Settings, owner};
    use crate::settings::variable;

    /// Where both APIs are, instead of Google's hosts.
    const ENDPOINT: &str = "LAUNCH_VERTEX_ENDPOINT";

    /// Custom jobs, in the region of the agent file or of Google's own configuration.
    pub(crate) type Vertex = Late<VertexRunner>;

    pub(crate) fn vertex(settings: &Settings) -> Vertex {
        Late::new(settings, "Vertex AI custom jobs", |settings| {
            Box::pin(async move {
                let environment = &settings.setup.environment;
                let region = region(environment).await?;
                let is_gcp = matches!(environment, Environment::Gcp { .. });
                let project = settings.config.environment.project.clone();
                let builder = VertexRunner::builder(region)
                    .with_project(project.filter(|_| is_gcp))
                    .with_owner(owner(settings));
                let builder = match variable(ENDPOINT) {
                    Some(endpoint) => builder.with_endpoint(endpoint),
                    None => builder,
                };
                builder.connect().await
            })
        })
    }

    /// The region of the agent file, else of the `gcloud` program, else of the environment.
    async fn region(environment: &Environment) -> Result<String, Error> {
        if let Environment::Gcp { region } = environment {
            return Ok(region.clone());
        }
        let of_program = tokio::task::spawn_blocking(of_gcloud).await.ok().flatten();
        let of_variable = || variable("GOOGLE_CLOUD_REGION").filter(|region| !region.is_empty());
        of_program
            .or_else(of_variable)
            .ok_or_else(|| Error::Unavailable {
                runner: "vertex",
                missing: "a region (`environment.region`, or GOOGLE_CLOUD_REGION)".to_owned(),
                source: None,
            })
    }

    fn of_gcloud() -> Option<String> {
        let output = Command::new("gcloud")
            .args(["config", "get-value", "compute/region"])
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        let region = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (!region.is_empty() && region != "(unset)").then_some(region)
    }
}
