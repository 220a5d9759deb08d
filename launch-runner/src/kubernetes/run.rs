//! One run of a cluster.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use kube::Error as ApiError;
use kube::api::{DeleteParams, DynamicObject};
use serde::Deserialize;
use serde_json::json;

use super::cluster::Cluster;
use super::end::{self, Noted, of_run};
use super::failure::{absent_is_none, answered, backend, gone_is_fine};
use super::hub::{Pod, View};
use super::manifest::{BESIDE_ANNOTATION, Kind, OBJECT_ANNOTATION};
use super::{NAME, Patience, output, stand, watch};
use crate::Error;
use crate::run::{Run, RunEnd, RunEvent, RunHandle};

/// A run, found by its record: a secret without data that is named after it.
#[derive(Clone)]
pub(super) struct KubernetesRun {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    /// The name of its record.
    pub(super) name: String,
    pub(super) patience: Patience,
    pub(super) handle: RunHandle,
}

impl fmt::Debug for KubernetesRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesRun")
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}

/// Which object is a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Identity {
    pub(super) kind: Kind,
    pub(super) name: String,
}

impl Identity {
    /// What a run's record says.
    pub(super) fn of(record: &DynamicObject) -> Option<Self> {
        let annotations = record.metadata.annotations.as_ref()?;
        serde_json::from_str(annotations.get(OBJECT_ANNOTATION)?).ok()
    }
}

/// An object beside a run.
#[derive(Debug, Deserialize)]
struct BesideRun {
    kind: Kind,
    namespace: String,
    name: String,
}

impl KubernetesRun {
    pub(super) fn failed(&self, action: &'static str, error: &ApiError) -> Error {
        backend(action, &self.handle.key, error)
    }

    pub(super) async fn record(&self) -> Result<Option<DynamicObject>, ApiError> {
        let api = self.cluster.api(&Kind::secret(), &self.namespace);
        absent_is_none(answered(api.get(&self.name)).await)
    }

    /// The object that is the run, if there is one.
    pub(super) async fn main(
        &self,
        identity: &Identity,
    ) -> Result<Option<DynamicObject>, ApiError> {
        let api = self.cluster.api(&identity.kind, &self.namespace);
        let found = absent_is_none(answered(api.get(&identity.name)).await)?;
        // One of another run may have the same name.
        Ok(found.filter(|found| super::is_of(found, &self.name)))
    }

    pub(super) async fn pods(&self) -> Result<Vec<Pod>, ApiError> {
        let api = self
            .cluster
            .api(&Kind::new("", "v1", "Pod"), &self.namespace);
        let pods = answered(api.list(&of_run(&self.name))).await?;
        Ok(View::of(None, pods.items.iter()).pods)
    }

    /// How the run ended, asked of the cluster.
    pub(super) async fn verdict(
        &self,
        identity: &Identity,
        main: &DynamicObject,
    ) -> Result<Option<RunEnd>, ApiError> {
        let api = self
            .cluster
            .api(&Kind::new("", "v1", "Pod"), &self.namespace);
        let pods = answered(api.list(&of_run(&self.name))).await?;
        let view = View::of(Some(main), pods.items.iter());
        let stand = stand::of(&identity.kind, &view);
        // An end that only we know of is none until it is noted: the object goes on.
        Ok(stand.end.filter(|_| !stand.must_note))
    }

    /// Whether anything of it may still run, or be made to.
    async fn is_alive(&self, record: &DynamicObject) -> Result<bool, ApiError> {
        let Some(identity) = Identity::of(record) else {
            return Ok(false);
        };
        match self.main(&identity).await? {
            Some(main) => Ok(self.verdict(&identity, &main).await?.is_none()),
            None => Ok(false),
        }
    }

    async fn remove_all(&self, record: &DynamicObject) -> Result<(), ApiError> {
        if let Some(identity) = Identity::of(record)
            && self.main(&identity).await?.is_some()
        {
            self.delete(&identity.kind, &self.namespace, &identity.name)
                .await?;
        }
        let annotations = record.metadata.annotations.iter().flatten();
        let beside = annotations.filter(|(key, _)| *key == BESIDE_ANNOTATION);
        for (_, list) in beside {
            let beside: Vec<BesideRun> = serde_json::from_str(list).unwrap_or_default();
            for BesideRun {
                kind,
                namespace,
                name,
            } in beside
            {
                self.delete_beside(&kind, &namespace, &name).await?;
            }
        }
        let secrets = self.cluster.api(&Kind::secret(), &self.namespace);
        let owned = answered(secrets.list_metadata(&of_run(&self.name))).await?;
        let names = owned
            .items
            .into_iter()
            .filter_map(|secret| secret.metadata.name);
        for name in names.filter(|name| *name != self.name) {
            self.delete(&Kind::secret(), &self.namespace, &name).await?;
        }
        // The record goes last: as long as it is there, the rest is found.
        self.delete(&Kind::secret(), &self.namespace, &self.name)
            .await
    }

    async fn delete_beside(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
    ) -> Result<(), ApiError> {
        let api = self.cluster.api(kind, namespace);
        let found = absent_is_none(answered(api.get_metadata(name)).await)?;
        let label = |found: &kube::core::PartialObjectMeta<DynamicObject>| {
            found
                .metadata
                .labels
                .as_ref()?
                .get(super::BESIDE_LABEL)
                .cloned()
        };
        if found.as_ref().and_then(label).as_deref() == Some(&self.name) {
            self.delete(kind, namespace, name).await?;
        }
        Ok(())
    }

    async fn delete(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), ApiError> {
        let api = self.cluster.api(kind, namespace);
        gone_is_fine(answered(api.delete(name, &DeleteParams::background())).await)
    }

    /// Makes the record and what else there is vanish with the run's object.
    pub(super) async fn adopt(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        owner: &DynamicObject,
        owner_kind: &Kind,
    ) -> Result<(), ApiError> {
        // An owner of another namespace is none.
        if namespace != self.namespace {
            return Ok(());
        }
        let change = json!({"metadata": {"ownerReferences": [{
            "apiVersion": owner_kind.api_version(),
            "kind": owner_kind.kind,
            "name": owner.metadata.name,
            "uid": owner.metadata.uid,
        }]}});
        let api = self.cluster.api(kind, namespace);
        let patch = kube::api::Patch::Merge(change);
        let patched = answered(api.patch(name, &kube::api::PatchParams::default(), &patch)).await;
        gone_is_fine(patched)
    }
}

#[async_trait]
impl Run for KubernetesRun {
    fn handle(&self) -> &RunHandle {
        &self.handle
    }

    fn events(&self, log_offset: u64) -> BoxStream<'static, RunEvent> {
        watch::events(self.clone(), log_offset)
    }

    async fn logs(&self, offset: u64, limit: usize) -> Result<Bytes, Error> {
        let failed = |error| self.failed("read the output of", &error);
        if self.record().await.map_err(failed)?.is_none() {
            return Err(Error::Lost(self.handle.key.clone()));
        }
        output::slice(self, offset, limit).await.map_err(failed)
    }

    async fn cancel(&self, grace: Duration) -> Result<(), Error> {
        let failed = |error| self.failed("cancel", &error);
        let noted = end::note(self, &RunEnd::cancelled())
            .await
            .map_err(failed)?;
        if noted == Noted::Over {
            return Ok(());
        }
        end::stop(self, grace).await.map_err(failed)
    }

    async fn clean_up(&self) -> Result<(), Error> {
        let failed = |error| self.failed("clean up", &error);
        let Some(record) = self.record().await.map_err(failed)? else {
            return Ok(());
        };
        if self.is_alive(&record).await.map_err(failed)? {
            return Err(Error::Backend {
                runner: NAME,
                action: "clean up",
                key: self.handle.key.clone(),
                source: "it has not ended".into(),
            });
        }
        self.remove_all(&record).await.map_err(failed)
    }
}
