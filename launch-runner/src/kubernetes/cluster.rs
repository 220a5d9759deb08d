//! Which cluster a run goes to, and how it is reached.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Config};
use serde_json::{Map, Value};

use super::failure::{answered, unavailable};
use super::hub::Hub;
use super::manifest::Kind;
use crate::Error;

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The namespace of those who name none.
const DEFAULT_NAMESPACE: &str = "default";

/// What a queue says about the cluster its runs go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ClusterRef {
    /// The kubeconfig, if not the agent's own.
    pub config_file: Option<String>,
    /// The context of the kubeconfig, if not its current one.
    pub context: Option<String>,
}

impl ClusterRef {
    /// Reads `configFile` and `context` of a queue's arguments; empty ones say nothing.
    pub fn of(args: &Map<String, Value>) -> Self {
        let text = |key: &str| {
            let text = args.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Self {
            config_file: text("configFile"),
            context: text("context"),
        }
    }
}

/// A cluster that can be asked.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    /// Where objects go whose manifest names no namespace.
    pub(super) namespace: String,
    pub(super) hub: Hub,
    kinds: Arc<Mutex<HashMap<Kind, Kind>>>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: String, owner: &str) -> Self {
        Self {
            hub: Hub::new(client.clone(), owner),
            client,
            namespace,
            kinds: Arc::default(),
        }
    }

    /// Reads the configuration a queue names; nothing is asked of the cluster yet.
    pub(super) async fn connect(reference: &ClusterRef, owner: &str) -> Result<Self, Error> {
        let mut config = configuration(reference).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| {
            unavailable("the cluster's configuration cannot be used", Some(&error))
        })?;
        Ok(Self::new(client, namespace, owner))
    }

    pub(super) fn api(&self, kind: &Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource(kind))
    }

    /// Pods, for their logs.
    pub(super) fn logs(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// The kind with the plural the cluster has for it; the guess where it says nothing.
    pub(super) async fn resolve(&self, kind: &Kind) -> Kind {
        if kind.group.is_empty() || kind.group == "batch" {
            return kind.clone();
        }
        let known = self.lock().get(kind).cloned();
        if let Some(known) = known {
            return known;
        }
        let gvk = GroupVersionKind::gvk(&kind.group, &kind.version, &kind.kind);
        let asked = answered(kube::discovery::pinned_kind(&self.client, &gvk)).await;
        let Ok((found, _)) = asked else {
            return kind.clone();
        };
        let resolved = Kind {
            plural: found.plural,
            ..kind.clone()
        };
        self.lock().insert(kind.clone(), resolved.clone());
        resolved
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Kind, Kind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn resource(kind: &Kind) -> ApiResource {
    ApiResource {
        group: kind.group.clone(),
        version: kind.version.clone(),
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        plural: kind.plural.clone(),
    }
}

/// A named kubeconfig, else the user's own, else the service account of the agent's pod.
async fn configuration(reference: &ClusterRef) -> Result<Config, Error> {
    let own = own_kubeconfig();
    let file = reference.config_file.as_ref().map(PathBuf::from).or(own);
    match (file, &reference.context) {
        (Some(file), context) => from_file(&file, context.as_deref()).await,
        (None, Some(context)) => Err(unavailable(
            format!("context `{context}` needs a kubeconfig, and there is none"),
            None,
        )),
        (None, None) => in_cluster(),
    }
}

/// `KUBECONFIG`, else `~/.kube/config` where it exists.
fn own_kubeconfig() -> Option<PathBuf> {
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return Some(PathBuf::from(list));
    }
    let home = std::env::var_os("HOME")?;
    let file = Path::new(&home).join(".kube/config");
    file.exists().then_some(file)
}

async fn from_file(file: &Path, context: Option<&str>) -> Result<Config, Error> {
    let problem = |error: kube::config::KubeconfigError| {
        let file = file.display();
        unavailable(
            format!("kubeconfig `{file}`"),
            Some(&kube::Error::from(error)),
        )
    };
    let kubeconfig = merged(file).map_err(problem)?;
    if let Some(context) = context {
        let names: Vec<&str> = kubeconfig
            .contexts
            .iter()
            .map(|c| c.name.as_str())
            .collect();
        if !names.contains(&context) {
            let (file, names) = (file.display(), names.join("`, `"));
            let missing =
                format!("kubeconfig `{file}` has no context `{context}`; it has `{names}`");
            return Err(unavailable(missing, None));
        }
    }
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(problem)
}

/// `KUBECONFIG` may be a list of files, of which the first counts where they disagree.
fn merged(list: &Path) -> Result<Kubeconfig, kube::config::KubeconfigError> {
    let mut files = std::env::split_paths(list).filter(|file| !file.as_os_str().is_empty());
    let first = Kubeconfig::read_from(files.next().unwrap_or_default())?;
    files.try_fold(first, |merged, file| {
        merged.merge(Kubeconfig::read_from(file)?)
    })
}

fn in_cluster() -> Result<Config, Error> {
    let mut config = Config::incluster().map_err(|error| {
        let missing = "no kubeconfig (KUBECONFIG, ~/.kube/config), and we are in no pod of a \
                       cluster";
        tracing::debug!(%error, "not in a cluster");
        unavailable(missing, None)
    })?;
    // As other W&B agents do: their queues count on it, not on the agent's own namespace.
    DEFAULT_NAMESPACE.clone_into(&mut config.default_namespace);
    Ok(config)
}
