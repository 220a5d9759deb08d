//! Builds in a cluster, as the agent's surroundings set them up: where contexts go, and
//! with what a build logs in to its registry.

mod identity;
mod store;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_builder::kaniko::{
    ContextPlace, ContextStore, KanikoBuilder, KanikoSettings, Login, Logins, StoreError,
    Surroundings, VolumeStore,
};
use launch_config::agent::{AgentConfig, BuilderKind};
use launch_config::image::ImageRef;
use launch_registry::Registry;

use crate::failure::Failure;
use crate::settings::{Settings, variable};

/// Where a pod finds the name of its namespace.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Set to anything, contexts stay in their store after a build.
const KEEP_CONTEXTS: &str = "LAUNCH_KEEP_CONTEXTS";
/// What dropped builds left must be gone in this time, or the next agent finds it.
const SETTLED: Duration = Duration::from_secs(20);

/// The builder, or why there is none; nothing if nobody asked for it.
pub(crate) type Kaniko = Option<Result<KanikoBuilder, Failure>>;

/// Connects the builder if the settings name it. A cluster that does not answer, or a store
/// that is missing, is the job's failure and not the agent's.
pub(crate) async fn connect(settings: &Settings, registry: &Arc<dyn Registry>) -> Kaniko {
    if settings.builder() != Some(BuilderKind::Kaniko) {
        return None;
    }
    Some(build(settings, registry).await)
}

async fn build(
    settings: &Settings,
    registry: &Arc<dyn Registry>,
) -> Result<KanikoBuilder, Failure> {
    let config = &settings.config;
    let namespace = fs_err::read_to_string(NAMESPACE).ok();
    let around = Surroundings::read(variable, namespace);
    let kaniko = KanikoSettings::read(config, &around)?;
    if settings.destination().is_none() {
        let problem = "builder `kaniko` pushes its images, and there is no `destination`";
        return Err(Failure::usage(problem).with_hint("set `builder.destination`"));
    }
    let contexts = contexts(config, &around).await?;
    let builder = KanikoBuilder::connect(kaniko, contexts).await?;
    // The state directory owns what is built for it: another one leaves it alone.
    let owner = settings.state.path().display().to_string();
    let builder = builder
        .with_owner(owner)
        .with_logins(Arc::new(RegistryLogins(Arc::clone(registry))));
    if variable(KEEP_CONTEXTS).is_some_and(|value| !value.is_empty()) {
        return Ok(builder.with_kept_contexts());
    }
    Ok(builder)
}

async fn contexts(
    config: &AgentConfig,
    around: &Surroundings,
) -> Result<Arc<dyn ContextStore>, Failure> {
    match ContextPlace::read(config, around)? {
        ContextPlace::Volume(claim, mount) => Ok(Arc::new(VolumeStore::new(claim, mount))),
        ContextPlace::Store(uri) => store::open(&uri, &config.environment).await,
        other => Err(Failure::usage(format!(
            "a place for contexts of a newer kind: {other:?}"
        ))),
    }
}

/// Waits until builds that were cancelled are gone from the cluster.
pub(crate) async fn settle(kaniko: &Kaniko) {
    if let Some(Ok(builder)) = kaniko
        && tokio::time::timeout(SETTLED, builder.settle())
            .await
            .is_err()
    {
        tracing::warn!("a cancelled build is not gone yet");
    }
}

/// The agent's own logins, for the pods that push.
#[derive(Debug)]
struct RegistryLogins(Arc<dyn Registry>);

#[async_trait]
impl Logins for RegistryLogins {
    async fn login(&self, image: &ImageRef) -> Result<Option<Login>, StoreError> {
        let credentials = self.0.credentials(image).await?;
        Ok(credentials.map(|credentials| Login {
            user: credentials.user,
            password: credentials.password,
        }))
    }
}
