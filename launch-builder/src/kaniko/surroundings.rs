//! What a process finds around itself, and where it follows that contexts go.

use std::path::PathBuf;

use launch_config::agent::{AgentConfig, EnvironmentKind};
use launch_config::store::StoreUri;

use super::settings::settings;
use crate::error::Error;

/// The variables that steer builds, as the agent's Helm chart sets them.
pub(super) const SERVICE_ACCOUNT: &str = "WANDB_LAUNCH_SERVICE_ACCOUNT_NAME";
const CLAIM: &str = "WANDB_LAUNCH_KANIKO_PVC_NAME";
const CLAIM_MOUNT: &str = "WANDB_LAUNCH_KANIKO_PVC_MOUNT_PATH";
pub(super) const AUTH_SECRET: &str = "WANDB_LAUNCH_KANIKO_AUTH_SECRET";
const DEFAULT_CLAIM_MOUNT: &str = "/kaniko";

/// What the process finds around itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Surroundings {
    /// The namespace the process runs in; `None` outside a cluster.
    pub namespace: Option<String>,
    /// `WANDB_LAUNCH_SERVICE_ACCOUNT_NAME`.
    pub service_account: Option<String>,
    /// `WANDB_LAUNCH_KANIKO_AUTH_SECRET`.
    pub docker_config_secret: Option<String>,
    /// `WANDB_LAUNCH_KANIKO_PVC_NAME`, and where that volume is mounted here
    /// (`WANDB_LAUNCH_KANIKO_PVC_MOUNT_PATH`, `/kaniko` if not set).
    pub volume: Option<(String, PathBuf)>,
}

impl Surroundings {
    /// Reads variables, and the namespace a pod of the cluster finds on its disk.
    pub fn read(variable: impl Fn(&str) -> Option<String>, namespace: Option<String>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mount = filled(CLAIM_MOUNT).unwrap_or_else(|| DEFAULT_CLAIM_MOUNT.to_owned());
        let mount = PathBuf::from(mount.trim_end_matches('/'));
        let namespace = namespace.map(|text| text.trim().to_owned());
        Self {
            namespace: namespace.filter(|text| !text.is_empty()),
            service_account: variable(SERVICE_ACCOUNT),
            docker_config_secret: filled(AUTH_SECRET),
            volume: filled(CLAIM).map(|claim| (claim, mount)),
        }
    }
}

/// Where an agent file puts contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextPlace {
    /// In an object store.
    Store(StoreUri),
    /// In a volume: its claim, and where it is mounted here.
    Volume(String, PathBuf),
}

impl ContextPlace {
    /// Reads the agent file. A volume goes before a store.
    ///
    /// # Errors
    /// [`Error::Settings`] if there is neither, or if the store is of another cloud than
    /// the environment, whose credentials write to it.
    pub fn read(config: &AgentConfig, surroundings: &Surroundings) -> Result<Self, Error> {
        let store = store(config)?;
        if let Some((claim, mount)) = &surroundings.volume {
            return Ok(Self::Volume(claim.clone(), mount.clone()));
        }
        store.map(Self::Store).ok_or_else(|| {
            settings("contexts have nowhere to go: `build-context-store` is missing, and no volume is shared")
        })
    }
}

fn store(config: &AgentConfig) -> Result<Option<StoreUri>, Error> {
    let Some(text) = &config.builder.kaniko.build_context_store else {
        return Ok(None);
    };
    let store: StoreUri = text
        .parse()
        .map_err(|error| settings(format!("`build-context-store`: {error}")))?;
    let (cloud, name) = match store {
        StoreUri::S3 { .. } => (EnvironmentKind::Aws, "aws"),
        StoreUri::Gcs { .. } => (EnvironmentKind::Gcp, "gcp"),
        _ => (EnvironmentKind::Azure, "azure"),
    };
    if config.environment.kind == Some(cloud) {
        return Ok(Some(store));
    }
    Err(settings(format!(
        "`{store}` needs an `environment` of type `{name}`, whose credentials write to it"
    )))
}

#[cfg(test)]
mod tests {
    use launch_config::load::agent_text;

    use super::*;

    const AWS: &str = "environment: {type: aws, region: us-east-1}\n";

    fn file(text: &str) -> AgentConfig {
        agent_text("f", text).unwrap().value
    }

    fn around(variables: &[(&str, &str)]) -> Surroundings {
        let found = |name: &str| {
            let pair = variables.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        };
        Surroundings::read(found, None)
    }

    #[test]
    fn contexts_go_to_a_store_of_the_environment_or_to_a_volume() {
        let place = |text: &str, around| ContextPlace::read(&file(text), &around);
        let s3 = format!("{AWS}builder: {{build-context-store: 's3://b/p/'}}");
        let found = place(&s3, around(&[])).unwrap();
        assert_eq!(found, ContextPlace::Store("s3://b/p".parse().unwrap()));
        let volume = [(CLAIM, "claim"), (CLAIM_MOUNT, "/mnt/x//")];
        let expected = ContextPlace::Volume("claim".to_owned(), PathBuf::from("/mnt/x"));
        assert_eq!(place(&s3, around(&volume)).unwrap(), expected);
        assert_eq!(place("{}", around(&volume)).unwrap(), expected);
        let usual = place("{}", around(&[(CLAIM, "c")])).unwrap();
        assert_eq!(
            usual,
            ContextPlace::Volume("c".to_owned(), "/kaniko".into())
        );
        for text in [
            AWS.to_owned(),
            "builder: {build-context-store: 's3://b/p'}".to_owned(),
        ] {
            let error = place(&text, around(&[])).unwrap_err();
            assert!(error.to_string().contains("store") || error.to_string().contains("s3://b"));
        }
    }
}
