//! Passwords from ECR's API.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use launch_config::registry::RegistryUri;

use super::api::Api;
use crate::aws::AwsCredentials;
use crate::cloud::registry_of;
use crate::credentials::Cached;
use crate::oci::{Keychain, Login};
use crate::{Credentials, Error};

/// Logs in at ECR's hosts with AWS's credentials.
#[derive(Clone)]
pub struct EcrKeychain {
    api: Api,
    /// One for each host: a password is good for all that its owner may see, but regions and
    /// partitions do not share them.
    logins: Arc<Mutex<HashMap<String, Arc<Cached<Credentials>>>>>,
}

impl EcrKeychain {
    /// With these credentials.
    pub fn new(credentials: AwsCredentials) -> Self {
        Self::of(Api::new(credentials, None))
    }

    pub(super) fn of(api: Api) -> Self {
        let logins = Arc::default();
        Self { api, logins }
    }
}

#[async_trait]
impl Keychain for EcrKeychain {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        let Some(RegistryUri::Ecr(ecr)) = registry_of(host) else {
            return Ok(None);
        };
        let cached = {
            let logins = self.logins.lock();
            let mut logins = logins.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(logins.entry(host.to_owned()).or_default())
        };
        let login = cached.get(async || self.api.password(&ecr, host).await);
        Ok(Some(Login::Password(login.await?)))
    }
}

impl fmt::Debug for EcrKeychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcrKeychain")
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}
