//! Runs as Jobs and custom resources of a Kubernetes cluster.
//!
//! The queue's `resource_args` are a manifest: of a Job, or of any kind that runs pods
//! (Volcano, Kubeflow, Ray …). [`manifest`] makes the run's objects of it, a pure
//! function; this runner sends them, once, and follows them. The cluster keeps a run when
//! we die, and after its end, until [`Run::clean_up`].
//!
//! Decisions:
//! - Every run has a *record*: a secret without data, named after the run's key. It is made
//!   first, says which object the run is, and is removed last; so everything of a run is
//!   found again, also by a process that knows its key alone, and whatever its kind is.
//! - Secrets, services and the record belong to the run's object: when somebody removes
//!   that, the cluster removes them.
//! - One watch for each namespace and kind is shared by all runs of a runner. A run that
//!   does not change costs the API nothing.
//! - A Job ends by its own conditions. How its program ended is told by its pods.
//! - What keeps a run from starting is told at once, and ends it when it lasts: see
//!   [`Patience`].
//! - Taken-away pods (eviction, preemption, node shutdown) end a run as
//!   [`Reason::Preempted`], which may be put back; a Job somebody deleted ends it as
//!   [`Reason::Lost`].
//! - The output is that of the first container of the first pod, and of the pods that
//!   replace it. Nodes rotate logs (10 MiB by default): what a rotation drops while nobody
//!   watches is missing.
//! - Cancelling a Job keeps its output: see the pods' own grace period, which counts where
//!   it is shorter than ours. Other kinds are deleted.
//!
//! [`Reason::Preempted`]: launch_config::outcome::Reason::Preempted
//! [`Reason::Lost`]: launch_config::outcome::Reason::Lost

mod cluster;
mod conflict;
mod end;
mod failure;
mod hub;
mod manifest;
mod output;
mod patience;
mod place;
mod ready;
mod run;
mod stand;
mod start;
mod watch;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client, Error as ApiError};
use launch_config::id::RunKey;
use serde_json::{Map, Value};

use self::cluster::Cluster;
pub use self::cluster::ClusterRef;
pub use self::conflict::{Conflict, conflict};
use self::failure::{answered, backend, code, refused, unavailable};
pub use self::manifest::{
    ATTEMPT_ANNOTATION, BESIDE_LABEL, Beside, JOB_ANNOTATION, Kind, Manifest, OWNER_LABEL, Object,
    RUN_LABEL, Site, manifest,
};
pub use self::patience::Patience;
use self::place::Place;
use self::run::KubernetesRun;
#[cfg(doc)]
use crate::run::Run as _;
use crate::run::{Run, RunHandle, RunRequest, run_name};
use crate::{Error, Runner};

/// What handles of this runner say.
const NAME: &str = "kubernetes";
/// How long [`Runner::check`] waits for the cluster.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs jobs on a cluster.
///
/// ```no_run
/// use launch_runner::Runner as _;
/// use launch_runner::kubernetes::{KubernetesRunner, Site};
///
/// # async fn example() -> Result<(), launch_runner::Error> {
/// // The namespace of the kubeconfig's context counts where a queue names none.
/// let runner = KubernetesRunner::new("agent-1");
/// runner.check().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct KubernetesRunner {
    site: Site,
    namespace: Option<String>,
    patience: Patience,
    clusters: Arc<Mutex<HashMap<ClusterRef, Cluster>>>,
    /// The namespaces runs went to, for agents that may not look into all.
    namespaces: Arc<Mutex<HashSet<(ClusterRef, String)>>>,
}

impl KubernetesRunner {
    /// Runs of `owner`, on the cluster each queue names: the agent's kubeconfig or service
    /// account where it names none. Nothing is asked of a cluster yet.
    pub fn new(owner: impl Into<String>) -> Self {
        Self::at(Site::new("default", owner))
    }

    /// As [`new`](Self::new), with what else all runs have in common; the namespace of the
    /// site gives way to that of the kubeconfig.
    pub fn at(site: Site) -> Self {
        Self {
            site,
            namespace: None,
            patience: Patience::default(),
            clusters: Arc::default(),
            namespaces: Arc::default(),
        }
    }

    /// Sends runs to this namespace if their queue names none.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets how long runs may take to start.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Speaks to the cluster `client` is connected to, where a queue names none.
    #[must_use]
    pub fn with_client(self, client: Client) -> Self {
        let namespace = client.default_namespace().to_owned();
        let cluster = Cluster::new(client, namespace, &self.site.owner);
        lock(&self.clusters).insert(ClusterRef::default(), cluster);
        self
    }

    async fn cluster(&self, reference: &ClusterRef) -> Result<Cluster, Error> {
        let known = lock(&self.clusters).get(reference).cloned();
        if let Some(cluster) = known {
            return Ok(cluster);
        }
        let mut cluster = Cluster::connect(reference, &self.site.owner).await?;
        if let Some(namespace) = &self.namespace {
            cluster.namespace.clone_from(namespace);
        }
        // Who came first made the one whose watches are shared.
        let mut clusters = lock(&self.clusters);
        Ok(clusters.entry(reference.clone()).or_insert(cluster).clone())
    }

    fn run(
        &self,
        cluster: Cluster,
        reference: &ClusterRef,
        namespace: &str,
        key: RunKey,
    ) -> KubernetesRun {
        let name = run_name(&key);
        let known = (reference.clone(), namespace.to_owned());
        lock(&self.namespaces).insert(known);
        let id = Place {
            reference: reference.clone(),
            namespace: namespace.to_owned(),
        };
        KubernetesRun {
            cluster,
            namespace: namespace.to_owned(),
            patience: self.patience,
            handle: RunHandle::new(NAME, key, id.id(&name)),
            name,
        }
    }

    async fn list_owned(&self, reference: &ClusterRef) -> Result<HashSet<RunKey>, Error> {
        let cluster = self.cluster(reference).await?;
        let digest = manifest::owner_digest(&self.site.owner);
        let params = ListParams::default().labels(&format!("{OWNER_LABEL}={digest},{RUN_LABEL}"));
        let everywhere = cluster::resource(&Kind::secret());
        let all: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &everywhere);
        let problem =
            |error: ApiError| unavailable("the cluster does not list secrets", Some(&error));
        match answered(all.list_metadata(&params)).await {
            Ok(found) => return Ok(keys(&found.items)),
            Err(error) if code(&error) == Some(403) => {}
            Err(error) => return Err(problem(error)),
        }
        let mut namespaces: HashSet<String> = lock(&self.namespaces)
            .iter()
            .filter(|(other, _)| other == reference)
            .map(|(_, namespace)| namespace.clone())
            .collect();
        namespaces.insert(cluster.namespace.clone());
        let mut owned = HashSet::new();
        for namespace in namespaces {
            let api = cluster.api(&Kind::secret(), &namespace);
            let found = answered(api.list_metadata(&params))
                .await
                .map_err(problem)?;
            owned.extend(keys(&found.items));
        }
        Ok(owned)
    }
}

fn keys(records: &[kube::core::PartialObjectMeta<DynamicObject>]) -> HashSet<RunKey> {
    let key = |record: &kube::core::PartialObjectMeta<DynamicObject>| {
        let annotations = record.metadata.annotations.as_ref()?;
        let job = annotations.get(JOB_ANNOTATION)?.parse().ok()?;
        Some(RunKey::new(
            job,
            annotations.get(ATTEMPT_ANNOTATION)?.parse().ok()?,
        ))
    };
    records.iter().filter_map(key).collect()
}

impl fmt::Display for KubernetesRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects of a Kubernetes cluster")
    }
}

#[async_trait]
impl Runner for KubernetesRunner {
    async fn check(&self) -> Result<(), Error> {
        let cluster = self.cluster(&ClusterRef::default()).await?;
        let version = tokio::time::timeout(CHECK_TIMEOUT, cluster.client.apiserver_version());
        match version.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(unavailable("the cluster does not answer", Some(&error))),
            Err(_) => Err(unavailable("the cluster does not answer in time", None)),
        }
    }

    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error> {
        let args = match &request.resource_args {
            Value::Object(map) => map.clone(),
            _ => Map::new(),
        };
        let reference = ClusterRef::of(&args);
        let cluster = self.cluster(&reference).await?;
        let mut site = self.site.clone();
        site.namespace.clone_from(&cluster.namespace);
        let key = request.key.clone();
        let manifest = manifest(&request, &site).map_err(|why| refused(&key, why))?;
        let run = self.run(cluster, &reference, &manifest.namespace, key);
        // It holds the whole conversation with the cluster.
        Box::pin(start::submit(&run, manifest)).await?;
        Ok(Box::new(run))
    }

    async fn attach(&self, handle: &RunHandle) -> Result<Box<dyn Run>, Error> {
        let key = handle.key.clone();
        if handle.runner != NAME {
            return Err(Error::Handle {
                key,
                runner: handle.runner.clone(),
            });
        }
        let Some(place) = Place::of(&handle.id) else {
            return Err(Error::Lost(key));
        };
        let cluster = self.cluster(&place.reference).await?;
        let run = self.run(cluster, &place.reference, &place.namespace, key);
        let key = &run.handle.key;
        let record = run
            .record()
            .await
            .map_err(|error| backend("find", key, &error))?;
        if record.is_some_and(|record| start::is_of_key(&record, key)) {
            return Ok(Box::new(run));
        }
        Err(Error::Lost(key.clone()))
    }

    async fn owned(&self) -> Result<Vec<RunKey>, Error> {
        let mut references: HashSet<ClusterRef> = lock(&self.clusters).keys().cloned().collect();
        references.insert(ClusterRef::default());
        let mut owned = HashSet::new();
        for reference in references {
            owned.extend(self.list_owned(&reference).await?);
        }
        Ok(owned.into_iter().collect())
    }
}

/// Whether an object is of the run with this name.
fn is_of(object: &DynamicObject, run: &str) -> bool {
    let labels = object.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(RUN_LABEL))
        .is_some_and(|name| name == run)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
