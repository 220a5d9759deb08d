//! What the clouds' registries have in common.

use std::sync::Arc;

use async_trait::async_trait;
use launch_config::image::ImageRef;
use launch_config::registry::RegistryUri;

use crate::Error;
use crate::oci::{DockerKeychain, Keychain, Login};

/// The registry of a host, as if it were asked for some repository there.
pub(crate) fn registry_of(host: &str) -> Option<RegistryUri> {
    let image: ImageRef = format!("{host}/project/repository/image").parse().ok()?;
    Some(RegistryUri::of(&image)).filter(RegistryUri::is_recognised)
}

/// A cloud's login for its own hosts; docker's for all others, and where the cloud has no
/// credentials at all.
///
/// The cloud goes first: what `docker login` left for a cloud's host ends after hours, and
/// nobody notices.
#[derive(Debug, Clone)]
pub(crate) struct CloudKeychain<K> {
    cloud: K,
    docker: Arc<dyn Keychain>,
}

impl<K> CloudKeychain<K> {
    pub(crate) fn new(cloud: K) -> Self {
        let docker = Arc::new(DockerKeychain::default());
        Self { cloud, docker }
    }
}

#[async_trait]
impl<K: Keychain> Keychain for CloudKeychain<K> {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        match self.cloud.login(host).await {
            Ok(None) => self.docker.login(host).await,
            Err(Error::NoCredentials(missing)) => {
                let docker = self.docker.login(host).await?;
                docker.map(Some).ok_or(Error::NoCredentials(missing))
            }
            login => login,
        }
    }
}

/// Adds to a refusal what is missing, where the cloud did not say it itself. The permission's
/// name is what stands between the first backticks.
pub(crate) fn naming(permission: &str, error: Error) -> Error {
    let name = permission.split('`').nth(1).unwrap_or(permission);
    match error {
        Error::Denied {
            registry,
            repository,
            action,
            said,
        } if !said.contains(name) => {
            let before = if said.is_empty() { said } else { said + "; " };
            Error::Denied {
                registry,
                repository,
                action,
                said: format!("{before}it takes {permission}"),
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(said: &str) -> Error {
        Error::Denied {
            registry: "r".to_owned(),
            repository: "a".to_owned(),
            action: "push to",
            said: said.to_owned(),
        }
    }

    #[test]
    fn the_permission_is_named_once() {
        let said = |said| naming("`a.b`", denied(said)).to_string();
        let start = "registry `r` does not allow us to push to `a`: ";
        assert_eq!(said(""), format!("{start}it takes `a.b`"));
        assert_eq!(said("no"), format!("{start}no; it takes `a.b`"));
        assert_eq!(said("a.b is missing"), format!("{start}a.b is missing"));
    }

    #[test]
    fn hosts_are_recognised_in_every_partition_and_cloud() {
        let kind = |host| match registry_of(host) {
            Some(RegistryUri::Ecr(_)) => "ecr",
            Some(RegistryUri::ArtifactRegistry(_)) => "gar",
            Some(RegistryUri::Acr(_)) => "acr",
            _ => "none",
        };
        for (host, expected) in [
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "ecr"),
            ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
            ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "ecr"),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "ecr",
            ),
            ("us-central1-docker.pkg.dev", "gar"),
            ("europe-docker.pkg.dev", "gar"),
            ("gcr.io", "gar"),
            ("eu.gcr.io", "gar"),
            ("team.azurecr.io", "acr"),
            ("team-abc.azurecr.us", "acr"),
            ("team.azurecr.cn", "acr"),
            ("ghcr.io", "none"),
            ("azurecr.io", "none"),
            (
                "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
                "none",
            ),
            ("team.azurecr.io.evil.example", "none"),
            ("docker.pkg.dev", "none"),
        ] {
            assert_eq!(kind(host), expected, "{host}");
        }
    }
}
