//! The object store of an agent's contexts: the registry crate's, as the builder takes it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use launch_builder::kaniko::{ContextStore, StoreError};
use launch_config::agent::EnvironmentConfig;
use launch_config::store::StoreUri;
use launch_registry::store::{self, StoreOptions};

use super::identity;
use crate::failure::Failure;
use crate::settings::variable;

/// Other servers than the cloud's own, as the cloud's tools name them.
const ENDPOINTS: [(&str, &[&str]); 3] = [
    ("s3://", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
    ("gs://", &["STORAGE_EMULATOR_HOST"]),
    ("https://", &["AZURE_STORAGE_ENDPOINT"]),
];

/// Opens the store at an address, as whoever the environment says we are.
pub(super) async fn open(
    uri: &StoreUri,
    environment: &EnvironmentConfig,
) -> Result<Arc<dyn ContextStore>, Failure> {
    let mut options = StoreOptions::new(identity::of(uri)?);
    if let Some(region) = &environment.region {
        options = options.with_region(region);
    }
    if let Some((name, text)) = endpoint(uri, variable) {
        let endpoint = text
            .parse()
            .map_err(|error| Failure::usage(format!("{name}: `{text}` is no URL: {error}")))?;
        options = options.with_endpoint(endpoint);
    }
    let opened = store::open(uri, options).await.map_err(|error| {
        Failure::doing("no store for build contexts", &error).maybe_hint(error.hint())
    })?;
    Ok(Arc::new(Bridge(opened)))
}

fn endpoint(
    uri: &StoreUri,
    env: impl Fn(&str) -> Option<String>,
) -> Option<(&'static str, String)> {
    let uri = uri.to_string();
    let (_, names) = ENDPOINTS
        .iter()
        .find(|(scheme, _)| uri.starts_with(scheme))?;
    let given = |name: &&'static str| Some((*name, env(name).filter(|text| !text.is_empty())?));
    names.iter().find_map(given)
}

/// A store of the one crate as a store of the other: they know nothing of each other.
#[derive(Debug)]
struct Bridge(Arc<dyn store::ContextStore>);

impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ContextStore for Bridge {
    async fn check(&self) -> Result<(), StoreError> {
        Ok(self.0.check().await?)
    }

    async fn put(&self, name: &str, archive: &Path) -> Result<String, StoreError> {
        Ok(self.0.put(name, archive).await?.to_string())
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        Ok(self.0.delete(name).await?)
    }

    fn claim(&self) -> Option<&str> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let pair = pairs.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn an_endpoint_is_the_clouds_own_unless_a_variable_names_another() {
        let s3 = "s3://b/p".parse().unwrap();
        assert_eq!(endpoint(&s3, env(&[("STORAGE_EMULATOR_HOST", "x")])), None);
        let both = [
            ("AWS_ENDPOINT_URL", "http://a"),
            ("AWS_ENDPOINT_URL_S3", "http://s3"),
        ];
        let found = endpoint(&s3, env(&both));
        assert_eq!(found, Some(("AWS_ENDPOINT_URL_S3", "http://s3".to_owned())));
    }
}
