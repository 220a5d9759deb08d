//! Artifacts: what they are, and the bytes of their files.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use launch_config::wandb_ref::ArtifactRef;
use reqwest::header::RANGE;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::WandbQueue;
use super::api::Api;
use super::failure::Failure;
use super::operations::{ARTIFACT, ARTIFACT_BY_ID, ARTIFACT_NAME, FILE_URLS, MANIFEST};
use crate::error::Error;

/// So many addresses come with one answer.
const PAGE: u32 = 5000;

/// The addresses of so many artifacts are remembered.
const REMEMBERED: usize = 16;

/// A manifest is no longer than this.
const LONGEST_MANIFEST: usize = 256 << 20;

/// An artifact as the server knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Artifact {
    /// The server's id.
    pub id: String,
    /// `job`, `code` …
    pub kind: String,
}

/// The bytes of a file, as they come.
#[derive(Debug)]
pub struct FileBody {
    response: Response,
    /// What the server sends before what was asked for, if it knows no ranges.
    surplus: u64,
    store: String,
}

impl FileBody {
    /// The next bytes; nothing at the end.
    ///
    /// # Errors
    /// [`Error::Backend`] if the connection breaks.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let chunk = self.response.chunk().await.map_err(Failure::of_request);
            let chunk = chunk.map_err(|failure| failure.outward(&self.store, "read a file"))?;
            let Some(mut chunk) = chunk else {
                return Ok(None);
            };
            let cut = usize::try_from(self.surplus).unwrap_or(usize::MAX);
            let cut = cut.min(chunk.len());
            self.surplus -= cut as u64;
            let rest = chunk.split_off(cut);
            if !rest.is_empty() {
                return Ok(Some(rest));
            }
        }
    }
}

/// The addresses of files, by artifact and name. They are signed, and end.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    known: Mutex<HashMap<String, Arc<HashMap<String, String>>>>,
}

impl Addresses {
    async fn of(&self, api: &Api, artifact: &str) -> Result<Arc<HashMap<String, String>>, Failure> {
        let mut known = self.known.lock().await;
        if let Some(found) = known.get(artifact) {
            return Ok(Arc::clone(found));
        }
        let found = Arc::new(addresses(api, artifact).await?);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(artifact.to_owned(), Arc::clone(&found));
        Ok(found)
    }

    async fn forget(&self, artifact: &str) {
        self.known.lock().await.remove(artifact);
    }
}

async fn addresses(api: &Api, artifact: &str) -> Result<HashMap<String, String>, Failure> {
    let (mut found, mut cursor) = (HashMap::new(), Value::Null);
    loop {
        let variables = json!({"id": artifact, "cursor": cursor, "perPage": PAGE});
        let mut data = api.call(&FILE_URLS, variables).await?;
        let files = data["artifact"]["files"].take();
        for edge in files["edges"].as_array().into_iter().flatten() {
            let node = &edge["node"];
            if let (Some(name), Some(url)) = (node["name"].as_str(), node["directUrl"].as_str()) {
                found.insert(name.to_owned(), url.to_owned());
            }
        }
        if files["pageInfo"]["hasNextPage"] != true {
            return Ok(found);
        }
        cursor = files["pageInfo"]["endCursor"].clone();
    }
}

impl WandbQueue {
    /// Looks an artifact up; nothing if there is none, or it was deleted.
    ///
    /// # Errors
    /// [`Error::Refused`] if it may not be looked at, [`Error::Backend`] if the server does
    /// not answer.
    pub async fn artifact(&self, reference: &ArtifactRef) -> Result<Option<Artifact>, Error> {
        let found = self.look_up(reference).await;
        let found = found.map_err(|failure| self.outward(failure, "look an artifact up"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let is_there = found["id"].is_string() && found["state"] != "DELETED";
        Ok(is_there.then(|| Artifact {
            id: text(&found["id"]),
            kind: text(&found["artifactType"]["name"]),
        }))
    }

    /// The whole name of an artifact, `entity/project/name:vN`, as programs of W&B take it;
    /// nothing if there is none.
    ///
    /// # Errors
    /// As [`artifact`](Self::artifact).
    pub async fn artifact_name(&self, reference: &ArtifactRef) -> Result<Option<String>, Error> {
        let id = match reference {
            ArtifactRef::Name(name) => return Ok(Some(name.to_string())),
            ArtifactRef::Id(id) => id,
            _ => return Ok(None),
        };
        let data = self.api.call(&ARTIFACT_NAME, json!({"id": id})).await;
        let data = data.map_err(|failure| self.outward(failure, "look an artifact up"))?;
        Ok(qualified(&data["artifact"]))
    }

    async fn look_up(&self, reference: &ArtifactRef) -> Result<Value, Failure> {
        match reference {
            ArtifactRef::Id(id) => {
                let mut data = self.api.call(&ARTIFACT_BY_ID, json!({"id": id})).await?;
                Ok(data["artifact"].take())
            }
            ArtifactRef::Name(name) => {
                let variables = json!({
                    "entity": name.entity(),
                    "project": name.project(),
                    "name": format!("{}:{}", name.name(), name.alias()),
                });
                let mut data = self.api.call(&ARTIFACT, variables).await?;
                Ok(data["project"]["artifactCollectionMembership"]["artifact"].take())
            }
            _ => Err(Failure::Shape("artifact of this kind")),
        }
    }

    /// The text of an artifact's manifest.
    ///
    /// # Errors
    /// As [`artifact`](Self::artifact).
    pub async fn artifact_manifest(&self, artifact: &Artifact) -> Result<Vec<u8>, Error> {
        let manifest = async {
            let data = self.api.call(&MANIFEST, json!({"id": artifact.id})).await?;
            let url = data["artifact"]["currentManifest"]["file"]["directUrl"].as_str();
            let url = url.ok_or(Failure::Shape("manifest"))?;
            let mut response = get(&self.api, url, 0).await?;
            let mut text = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(Failure::of_request)? {
                text.extend_from_slice(&chunk);
                if text.len() > LONGEST_MANIFEST {
                    return Err(Failure::Shape("manifest of sensible size"));
                }
            }
            Ok(text)
        };
        let manifest = manifest.await;
        manifest.map_err(|failure| self.outward(failure, "read a manifest"))
    }

    /// The bytes of a file from `offset` on; nothing if the artifact has no such file.
    ///
    /// # Errors
    /// As [`artifact`](Self::artifact).
    pub async fn artifact_file(
        &self,
        artifact: &Artifact,
        path: &str,
        offset: u64,
    ) -> Result<Option<FileBody>, Error> {
        let opened = self.open(&artifact.id, path, offset).await;
        opened.map_err(|failure| self.outward(failure, "read a file"))
    }

    async fn open(
        &self,
        artifact: &str,
        path: &str,
        offset: u64,
    ) -> Result<Option<FileBody>, Failure> {
        let mut is_anew = false;
        loop {
            let addresses = self.addresses.of(&self.api, artifact).await?;
            let Some(url) = addresses.get(path) else {
                return Ok(None);
            };
            let response = match get(&self.api, url, offset).await {
                // Signatures end; the server makes new ones.
                Err(Failure::Status { status, .. })
                    if !is_anew && matches!(status.as_u16(), 401 | 403) =>
                {
                    self.addresses.forget(artifact).await;
                    is_anew = true;
                    continue;
                }
                answer => answer?,
            };
            let is_partial = response.status() == StatusCode::PARTIAL_CONTENT;
            return Ok(Some(FileBody {
                surplus: if is_partial { 0 } else { offset },
                response,
                store: self.name.clone(),
            }));
        }
    }
}

fn qualified(artifact: &Value) -> Option<String> {
    let sequence = &artifact["artifactSequence"];
    let project = &sequence["project"];
    let entity = project["entity"]["name"].as_str()?;
    let (project, name) = (project["name"].as_str()?, sequence["name"].as_str()?);
    let version = artifact["versionIndex"].as_u64()?;
    Some(format!("{entity}/{project}/{name}:v{version}"))
}

async fn get(api: &Api, url: &str, offset: u64) -> Result<Response, Failure> {
    let mut request = api.file(Method::GET, url).await?;
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
    }
    let response = request.send().await.map_err(Failure::of_request)?;
    let (status, said, wait) = (response.status(), String::new(), None);
    if status.is_success() {
        return Ok(response);
    }
    Err(Failure::Status { status, said, wait })
}
