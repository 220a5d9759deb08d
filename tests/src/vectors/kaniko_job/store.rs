//! A store that remembers what it was given, and the logins of the vectors.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use launch_builder::kaniko::{ContextStore, Login, Logins, StoreError};
use launch_config::image::ImageRef;
use launch_config::registry::RegistryUri;
use launch_config::secret::Secret;
use launch_config::store::StoreUri;
use serde_json::{Value, json};

/// What was put into stores.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Vec<Value>>>);

impl Recorder {
    pub(super) fn uploads(&self) -> Value {
        json!(*self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn at(self, place: StoreUri) -> RecordingStore {
        RecordingStore {
            place,
            uploads: self,
        }
    }
}

#[derive(Debug)]
pub(super) struct RecordingStore {
    place: StoreUri,
    uploads: Recorder,
}

impl fmt::Display for RecordingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

#[async_trait::async_trait]
impl ContextStore for RecordingStore {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn put(&self, name: &str, _: &Path) -> Result<String, StoreError> {
        let address = format!("{}/{name}", self.place);
        let upload = upload(&address.parse()?);
        let mut uploads = self
            .uploads
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        uploads.push(upload);
        Ok(address)
    }

    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn claim(&self) -> Option<&str> {
        None
    }
}

/// An upload in the words of the vectors.
fn upload(place: &StoreUri) -> Value {
    match place {
        StoreUri::S3 { bucket, key } => {
            json!({"store": "s3", "bucket": bucket.as_str(), "key": key.as_str()})
        }
        StoreUri::Gcs { bucket, key } => {
            json!({"store": "gcs", "bucket": bucket.as_str(), "key": key.as_str()})
        }
        StoreUri::AzureBlob {
            account,
            cloud,
            container,
            path,
        } => json!({
            "store": "azure",
            "account": format!("https://{}{}", account.as_str(), cloud.blob_suffix()),
            "container": container.as_str(),
            "path": path.as_str(),
            "overwrite": true,
        }),
        other => json!({"store": other.to_string()}),
    }
}

/// The logins clouds give in the vectors.
#[derive(Debug)]
pub(super) struct Tokens;

#[async_trait::async_trait]
impl Logins for Tokens {
    async fn login(&self, image: &ImageRef) -> Result<Option<Login>, StoreError> {
        let (user, password) = match RegistryUri::of(image) {
            RegistryUri::Ecr(_) => ("AWS", "ecr-password"),
            RegistryUri::ArtifactRegistry(_) => ("oauth2accesstoken", "gar-token"),
            _ => return Ok(None),
        };
        let (user, password) = (user.to_owned(), Secret::new(password));
        Ok(Some(Login { user, password }))
    }
}
