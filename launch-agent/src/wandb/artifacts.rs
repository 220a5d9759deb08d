//! Artifacts of the server, for whoever fetches sources.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use launch_builder::source::artifact::{
    ArtifactStore, Content, Manifest, ManifestFile, StoreError,
};
use launch_config::wandb_ref::ArtifactRef;
use launch_queue::Error;
use launch_queue::wandb::{Artifact, FileBody, WandbQueue};
use tokio::sync::Mutex;
use tokio_util::io::StreamReader;

/// The artifacts of a server. Each is looked up once.
#[derive(Debug)]
pub(super) struct Artifacts {
    queue: Arc<WandbQueue>,
    found: Mutex<HashMap<ArtifactRef, Artifact>>,
}

impl Artifacts {
    pub(super) fn new(queue: Arc<WandbQueue>) -> Self {
        let found = Mutex::default();
        Self { queue, found }
    }

    async fn find(&self, artifact: &ArtifactRef) -> Result<Artifact, StoreError> {
        let mut found = self.found.lock().await;
        if let Some(known) = found.get(artifact) {
            return Ok(known.clone());
        }
        let looked_up = self.queue.artifact(artifact).await.map_err(outward)?;
        let known = looked_up.ok_or(StoreError::Absent)?;
        found.insert(artifact.clone(), known.clone());
        Ok(known)
    }
}

fn outward(error: Error) -> StoreError {
    if error.is_retryable() {
        StoreError::unavailable(error)
    } else {
        StoreError::refused(error)
    }
}

#[async_trait]
impl ArtifactStore for Artifacts {
    async fn manifest(&self, artifact: &ArtifactRef) -> Result<Manifest, StoreError> {
        let artifact = self.find(artifact).await?;
        let text = self.queue.artifact_manifest(&artifact).await;
        Manifest::from_json(&text.map_err(outward)?).map_err(StoreError::refused)
    }

    async fn open(
        &self,
        artifact: &ArtifactRef,
        file: &ManifestFile,
        offset: u64,
    ) -> Result<Content, StoreError> {
        let artifact = self.find(artifact).await?;
        let body = self.queue.artifact_file(&artifact, &file.path, offset);
        let body = body.await.map_err(outward)?;
        let body =
            body.ok_or_else(|| StoreError::refused(format!("it has no file `{}`", file.path)))?;
        Ok(Box::new(StreamReader::new(Box::pin(stream::unfold(
            body,
            |mut body: FileBody| async move {
                let chunk = body.chunk().await.map_err(io::Error::other).transpose()?;
                Some((chunk, body))
            },
        )))))
    }
}
