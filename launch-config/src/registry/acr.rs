//! Azure Container Registry.

use std::fmt;

use super::is_label;

/// A separate part of Azure, with endpoints of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AzureCloud {
    /// The public cloud.
    Public,
    /// Azure Government (US).
    UsGovernment,
    /// Azure in China, operated by 21Vianet.
    China,
}

impl AzureCloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Public, Self::UsGovernment, Self::China];

    /// What the login servers of its registries end with.
    pub fn registry_suffix(self) -> &'static str {
        match self {
            Self::Public => ".azurecr.io",
            Self::UsGovernment => ".azurecr.us",
            Self::China => ".azurecr.cn",
        }
    }

    /// What the hosts of its blob stores end with.
    pub fn blob_suffix(self) -> &'static str {
        match self {
            Self::Public => ".blob.core.windows.net",
            Self::UsGovernment => ".blob.core.usgovcloudapi.net",
            Self::China => ".blob.core.chinacloudapi.cn",
        }
    }
}

/// A repository of Azure Container Registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Acr {
    registry: String,
    cloud: AzureCloud,
    repository: String,
}

impl Acr {
    pub(super) fn read(host: &str, path: &str) -> Option<Self> {
        AzureCloud::ALL.into_iter().find_map(|cloud| {
            let registry = host.strip_suffix(cloud.registry_suffix())?;
            is_label(registry).then(|| Self {
                registry: registry.to_owned(),
                cloud,
                repository: path.to_owned(),
            })
        })
    }

    /// The registry's name; with a dash if it has a label that makes its host unique.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The part of Azure the host is of.
    pub fn cloud(&self) -> AzureCloud {
        self.cloud
    }

    /// The repository's name, which may have slashes.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The host one logs in at.
    pub fn login_server(&self) -> String {
        format!("{}{}", self.registry, self.cloud.registry_suffix())
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.login_server(), self.repository)
    }
}
