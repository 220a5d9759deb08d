//! Who we are to a store.

use std::error::Error;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use launch_config::secret::Secret;

/// What a store accepts as proof of who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// An access key of AWS; requests are signed with it, and it is never sent.
    AwsKey {
        /// The key's id, which is no secret.
        id: String,
        /// The key.
        key: Secret,
        /// What belongs to a key that is good for a while only.
        session: Option<Secret>,
    },
    /// An access token of Google or of Microsoft Entra.
    Bearer(Secret),
    /// The key of an Azure storage account, in base64; requests are signed with it.
    AccountKey(Secret),
}

impl Credential {
    /// A key of AWS without an end.
    pub fn aws(id: impl Into<String>, key: Secret) -> Self {
        Self::AwsKey {
            id: id.into(),
            key,
            session: None,
        }
    }

    fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::AwsKey { key, session, .. } => {
                std::iter::once(key).chain(session).cloned().collect()
            }
            Self::Bearer(secret) | Self::AccountKey(secret) => vec![secret.clone()],
        }
    }

    /// What it is, for an error about what was expected instead.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::AwsKey { .. } => "a key of AWS",
            Self::Bearer(_) => "an access token",
            Self::AccountKey(_) => "the key of an Azure account",
        }
    }
}

/// Where a store's credential comes from.
///
/// It is asked before every request. So it keeps what it has, and renews that in time: a long
/// upload then outlives the credential it began with. A [`Credential`] is its own source.
#[async_trait]
pub trait CredentialSource: Debug + Send + Sync + 'static {
    /// The credential to use now.
    ///
    /// # Errors
    /// If there is none: which steps were tried, and why each failed.
    async fn credential(&self) -> Result<Credential, Box<dyn Error + Send + Sync>>;
}

#[async_trait]
impl CredentialSource for Credential {
    async fn credential(&self) -> Result<Credential, Box<dyn Error + Send + Sync>> {
        Ok(self.clone())
    }
}

/// The secrets in use, for masking what a store says.
#[derive(Debug, Default)]
pub(super) struct InUse(Mutex<Vec<Secret>>);

impl InUse {
    pub(super) fn remember(&self, credential: &Credential) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = credential.secrets();
    }

    pub(super) fn secrets(&self) -> Vec<Secret> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
