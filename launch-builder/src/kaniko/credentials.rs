//! With what a build's pod logs in, and what is mounted for that.

use std::fmt::Debug;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use launch_config::image::ImageRef;
use launch_config::registry::{Acr, RegistryUri};
use launch_config::secret::Secret;
use serde_json::json;

use super::manifest::KanikoBuild;
use super::settings::{KanikoSettings, settings as wrong};
use super::store::StoreError;
use crate::error::Error;

/// The secret with the key of the Azure storage account, and the key it is under.
pub(super) const AZURE_SECRET: (&str, &str) = ("azure-storage-access-key", "password");

/// User and password of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password or token.
    pub password: Secret,
}

/// Where logins come from: asked just before a Job is made, as tokens live for hours only.
#[async_trait]
pub trait Logins: Debug + Send + Sync + 'static {
    /// The login for pushing `image`; `None` if none is needed, or we have none.
    ///
    /// # Errors
    /// Why it cannot be had.
    async fn login(&self, image: &ImageRef) -> Result<Option<Login>, StoreError>;
}

/// How the build logs in to the image's registry.
pub(super) enum Credentials {
    /// As its pod: the cloud's identity, or nobody.
    Pod,
    /// As the pod, through Azure's helper.
    AzureHelper(Acr),
    /// With a secret that holds a whole docker configuration.
    Own(String),
    /// With a cloud's credentials from a secret, and a login if there is one.
    Cloud {
        kind: CloudKind,
        secret: (String, String),
        login: Option<(String, Login)>,
    },
    /// With a login of the agent.
    Login(String, Login),
}

/// Whose credentials a secret holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CloudKind {
    Aws,
    Google,
}

impl Credentials {
    pub(super) fn of(settings: &KanikoSettings, build: &KanikoBuild) -> Result<Self, Error> {
        if let Some(secret) = &settings.docker_config_secret {
            return Ok(Self::Own(secret.clone()));
        }
        let repository = build.image.name();
        let login = build.login.clone();
        let kind = match RegistryUri::of(&build.image) {
            RegistryUri::Ecr(_) => CloudKind::Aws,
            RegistryUri::ArtifactRegistry(_) => CloudKind::Google,
            registry => return Self::elsewhere(settings, registry, repository, login),
        };
        Ok(match settings.cloud_secret.clone() {
            None => Self::Pod,
            Some(secret) => {
                let login = login.map(|login| (repository, login));
                Self::Cloud {
                    kind,
                    secret,
                    login,
                }
            }
        })
    }

    fn elsewhere(
        settings: &KanikoSettings,
        registry: RegistryUri,
        repository: String,
        login: Option<Login>,
    ) -> Result<Self, Error> {
        if settings.cloud_secret.is_some() {
            return Err(wrong(format!(
                "`secret-name` holds credentials of AWS or Google Cloud, and `{repository}` is in \
                 neither: name a docker configuration in WANDB_LAUNCH_KANIKO_AUTH_SECRET"
            )));
        }
        Ok(match (registry, login) {
            (RegistryUri::Acr(acr), _) => Self::AzureHelper(acr),
            (_, Some(login)) => Self::Login(repository, login),
            (_, None) => Self::Pod,
        })
    }

    /// Whether a login of the agent would be of use to a build of `image`.
    pub(super) fn take_login(settings: &KanikoSettings, image: &ImageRef) -> bool {
        let is_for_cloud = settings.cloud_secret.is_some();
        settings.docker_config_secret.is_none()
            && match RegistryUri::of(image) {
                RegistryUri::Ecr(_) | RegistryUri::ArtifactRegistry(_) => is_for_cloud,
                RegistryUri::Acr(_) => false,
                _ => true,
            }
    }

    pub(super) fn uses_workload_identity(&self) -> bool {
        matches!(self, Self::AzureHelper(_))
    }

    /// The content of docker's `config.json`, if we have to bring one.
    pub(super) fn into_docker_config(self) -> Option<Secret> {
        let config = match self {
            Self::AzureHelper(acr) => json!({"credHelpers": {acr.login_server(): "acr-env"}}),
            Self::Login(repository, login)
            | Self::Cloud {
                login: Some((repository, login)),
                ..
            } => {
                let pair = format!("{}:{}", login.user, login.password.expose());
                json!({"auths": {repository: {"auth": STANDARD.encode(pair)}}})
            }
            Self::Pod | Self::Own(_) | Self::Cloud { login: None, .. } => return None,
        };
        Some(Secret::new(config.to_string()))
    }

    /// Where our docker configuration is mounted, if we bring one.
    pub(super) fn docker_config_mount(&self) -> Option<&'static str> {
        match self {
            // As admission rules of teams know it.
            Self::AzureHelper(_) => Some("/kaniko/.docker/"),
            Self::Login(..) | Self::Cloud { login: Some(_), .. } => Some("/kaniko/.docker"),
            Self::Pod | Self::Own(_) | Self::Cloud { login: None, .. } => None,
        }
    }
}
