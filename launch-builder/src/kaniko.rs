//! Builds with kaniko, as a Job of a Kubernetes cluster.
//!
//! The context goes to a [`ContextStore`] that both sides reach; the Job reads it, builds,
//! and pushes by itself. Whoever built knows the image by the digest its pod left behind.
//!
//! A Job is named after its run, so an agent that starts again finds the build it began
//! and waits for it, rather than to build twice. What a build needs beside its Job (a
//! Secret with logins) belongs to the Job and goes with it; the context is removed after
//! the build; and a Job whose agent never comes back goes an hour after its end.
//!
//! ```no_run
//! use std::sync::Arc;
//! use launch_builder::Builder as _;
//! use launch_builder::kaniko::{KanikoBuilder, KanikoSettings, VolumeStore};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = KanikoSettings::new().with_namespace("builds");
//! let contexts = Arc::new(VolumeStore::new("build-contexts", "/contexts"));
//! let builder = KanikoBuilder::connect(settings, contexts).await?.with_owner("agent-1");
//! builder.check().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Kaniko needs root in its container and passes Kubernetes' *baseline* pod security. The
//! steps of a Dockerfile run in that container and can read what is mounted there: give the
//! build a service account of its own.

mod args;
mod build;
mod cluster;
mod credentials;
mod follower;
mod fragment;
mod guard;
mod manifest;
mod mounts;
mod names;
mod settings;
mod state;
mod store;
mod surroundings;
mod watch;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kube::{Client, Config};
use rustls::crypto::{CryptoProvider, ring};
use tokio::task::JoinHandle;

pub use self::credentials::{Login, Logins};
pub use self::manifest::{KanikoBuild, KanikoObjects, docker_config_secret, objects};
pub use self::names::{docker_config_name, job_name};
pub use self::settings::{DEFAULT_IMAGE, DEFAULT_JOB_NAME, DEFAULT_NAMESPACE, KanikoSettings};
pub use self::store::{ContextStore, MOUNT, StoreError, VolumeStore};
pub use self::surroundings::{ContextPlace, Surroundings};
pub use kube;

use self::cluster::Cluster;
use crate::error::Error;
use crate::event::Events;
use crate::{BuildRequest, Builder, BuiltImage};

/// How this builder is called in messages.
pub(crate) const NAME: &str = "kaniko";

/// A build without an end is ended after this, if nobody set another limit: three times
/// what a pod may take, for it may have to wait for a node.
const LIMIT: Duration = Duration::from_secs(3 * manifest::DEADLINE);

/// A [`Builder`] that asks a cluster.
///
/// Dropping the future of [`Builder::build`] removes the Job, its pods and the context, in
/// a task of the same runtime: wait for it with [`KanikoBuilder::settle`] before the
/// runtime ends.
#[derive(Clone)]
pub struct KanikoBuilder(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    cluster: Cluster,
    settings: KanikoSettings,
    store: Arc<dyn ContextStore>,
    logins: Option<Arc<dyn Logins>>,
    owner: Option<String>,
    limit: Duration,
    keeps_contexts: bool,
    /// Clean-ups of builds that were dropped.
    leaving: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl KanikoBuilder {
    /// A builder for the cluster of the kubeconfig (`KUBECONFIG`, `~/.kube/config`), or the
    /// one this process runs in. Nothing is sent yet: [`Builder::check`] does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if neither names a cluster.
    pub async fn connect(
        settings: KanikoSettings,
        store: Arc<dyn ContextStore>,
    ) -> Result<Self, Error> {
        let config = Config::infer().await;
        let client = config
            .map_err(|error| unreachable(error.into()))
            .and_then(|config| {
                // The library takes the process's provider: ours, unless somebody chose one.
                if CryptoProvider::get_default().is_none() {
                    let _ = ring::default_provider().install_default();
                }
                Client::try_from(config).map_err(|error| unreachable(error.into()))
            })?;
        Ok(Self::with(client, settings, store))
    }

    /// A builder for a cluster that is connected already.
    pub fn with(client: Client, settings: KanikoSettings, store: Arc<dyn ContextStore>) -> Self {
        Self(Arc::new(Inner {
            cluster: Cluster::new(client, &settings.namespace),
            settings,
            store,
            logins: None,
            owner: None,
            limit: LIMIT,
            keeps_contexts: false,
            leaving: Arc::default(),
        }))
    }

    /// Labels Jobs with their owner, who then finds the build of an image again under
    /// whatever run's name it was begun.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).owner = Some(owner.into());
        self
    }

    /// Asks for registry logins, which builds get in a Secret.
    #[must_use]
    pub fn with_logins(mut self, logins: Arc<dyn Logins>) -> Self {
        Arc::make_mut(&mut self.0).logins = Some(logins);
        self
    }

    /// Gives up a build after this long. An hour and a half if not said.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        Arc::make_mut(&mut self.0).limit = limit;
        self
    }

    /// Leaves contexts in their store, for those who want to look at them.
    #[must_use]
    pub fn with_kept_contexts(mut self) -> Self {
        Arc::make_mut(&mut self.0).keeps_contexts = true;
        self
    }

    /// Removes what an earlier build of this request may have left behind: for those who
    /// found its image in the registry after a crash.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Store`].
    pub async fn clean_up(&self, request: &BuildRequest) -> Result<(), Error> {
        build::clean_up(&self.0, request).await
    }

    /// Waits until what dropped builds left is gone.
    pub async fn settle(&self) {
        guard::settle(&self.0.leaving).await;
    }
}

impl fmt::Debug for KanikoBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KanikoBuilder")
            .field("settings", &self.0.settings)
            .field("store", &self.0.store)
            .field("owner", &self.0.owner)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for KanikoBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl Builder for KanikoBuilder {
    async fn check(&self) -> Result<(), Error> {
        if self.0.cluster.may_build().await? == Some(false) {
            let namespace = &self.0.settings.namespace;
            return Err(Error::Unavailable {
                builder: NAME,
                missing: format!("the right to create Jobs in namespace `{namespace}`"),
                source: None,
            });
        }
        let checked = self.0.store.check().await;
        checked.map_err(|source| guard::store_failed(&self.0, "use", source))
    }

    async fn build(&self, request: BuildRequest, events: &Events) -> Result<BuiltImage, Error> {
        Box::pin(build::build(&self.0, &request, events)).await
    }
}

fn unreachable(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Unavailable {
        builder: NAME,
        missing: "no cluster to connect to (`KUBECONFIG`, `~/.kube/config`, or the pod's own)"
            .into(),
        source: Some(error),
    }
}
