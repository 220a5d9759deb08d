//! A bucket of moto's.

use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use launch_builder::kaniko::{ContextStore, StoreError};

use super::http::{Answer, ask};

/// Any signature of the right form is let in.
const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                         SignedHeaders=host, Signature=none";

#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    authority: String,
    name: String,
}

impl Bucket {
    pub(crate) async fn make(endpoint: &str, name: &str) -> Self {
        let authority = endpoint.trim_start_matches("http://").to_owned();
        let name = name.to_owned();
        let bucket = Self { authority, name };
        assert_eq!(bucket.ask("PUT", "", Vec::new()).await.status, 200);
        bucket
    }

    async fn ask(&self, verb: &str, key: &str, body: Vec<u8>) -> Answer {
        let headers = [
            ("Authorization", SIGNATURE),
            ("Content-Type", "application/gzip"),
        ];
        ask(
            verb,
            &self.authority,
            &format!("/{}/{key}", self.name),
            &headers,
            body,
        )
        .await
    }

    /// The keys in it.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let answer = self.ask("GET", "", Vec::new()).await;
        let text = String::from_utf8(answer.body).unwrap();
        let parts = text.split("<Key>").skip(1);
        parts
            .map(|part| part.split('<').next().unwrap().to_owned())
            .collect()
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/contexts", self.name)
    }
}

#[async_trait]
impl ContextStore for Bucket {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn put(&self, name: &str, archive: &Path) -> Result<String, StoreError> {
        let bytes = fs_err::read(archive)?;
        let answer = self.ask("PUT", &format!("contexts/{name}"), bytes).await;
        assert_eq!(answer.status, 200);
        Ok(format!("{self}/{name}"))
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let answer = self
            .ask("DELETE", &format!("contexts/{name}"), Vec::new())
            .await;
        assert_eq!(answer.status, 204);
        Ok(())
    }

    fn claim(&self) -> Option<&str> {
        None
    }
}
