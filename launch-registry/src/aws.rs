//! AWS's credentials, found as its own tools find them.
//!
//! The chain is that of AWS's SDKs, in their order (AWS SDKs and Tools Reference Guide,
//! "Standardized credential providers"): variables of the environment; the profile of the
//! shared files, with its roles, sources, processes and single sign-on; a web identity (EKS's
//! IRSA); the container's endpoint (ECS, EKS's Pod Identity); the instance's metadata (version 2).

mod chain;

use std::fmt;
use std::sync::Arc;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use launch_config::secret::Secret;
use tokio::sync::OnceCell;

use self::chain::{Chain, Found};
use crate::clock;
use crate::credentials::{Cached, Cloud, Fresh, Identity, NoCredentials, Step, one_line};

/// The place of keys that were given outright.
const GIVEN: &str = "the program itself";

/// AWS's credentials: found when first asked for, renewed before their end.
///
/// The variables are those of this process: `AWS_PROFILE`, `AWS_CONFIG_FILE`,
/// `AWS_ENDPOINT_URL` and all others that AWS's own tools read.
///
/// ```no_run
/// use launch_registry::aws::AwsCredentials;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let credentials = AwsCredentials::new();
/// let keys = credentials.keys().await?;
/// tracing::info!(id = keys.access_key_id, region = credentials.region().await, "found");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AwsCredentials {
    parts: Arc<Parts>,
}

struct Parts {
    profile: Option<String>,
    given: Option<Credentials>,
    chain: OnceCell<Chain>,
    found: Cached<Found>,
    identity: OnceCell<String>,
}

/// Keys with which a request is signed.
///
/// ```
/// use launch_registry::aws::{AwsCredentials, AwsKeys};
/// use launch_registry::config::secret::Secret;
///
/// let keys = AwsKeys::new("AKIAEXAMPLE", Secret::new("hunter2"));
/// let credentials = AwsCredentials::of_keys(&keys);
/// assert!(!format!("{keys:?} {credentials:?}").contains("hunter2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsKeys {
    /// Names the secret key; not secret by itself.
    pub access_key_id: String,
    /// Signs.
    pub secret_access_key: Secret,
    /// Goes with temporary keys.
    pub session_token: Option<Secret>,
}

impl AwsKeys {
    /// Keys that do not end.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: Secret) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key,
            session_token: None,
        }
    }

    /// The token that goes with temporary keys.
    #[must_use]
    pub fn with_session_token(self, token: Secret) -> Self {
        let session_token = Some(token);
        Self {
            session_token,
            ..self
        }
    }
}

impl Default for AwsCredentials {
    fn default() -> Self {
        Self::new()
    }
}

impl AwsCredentials {
    /// Looks where AWS's tools do.
    pub fn new() -> Self {
        Self::made(None, None)
    }

    /// These keys and no others.
    pub fn of_keys(keys: &AwsKeys) -> Self {
        let credentials = Credentials::new(
            &keys.access_key_id,
            keys.secret_access_key.expose(),
            keys.session_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            None,
            GIVEN,
        );
        Self::made(None, Some(credentials))
    }

    /// The same with this profile of the shared files instead of `AWS_PROFILE`'s.
    #[must_use]
    pub fn with_profile(&self, profile: impl Into<String>) -> Self {
        Self::made(Some(profile.into()), None)
    }

    fn made(profile: Option<String>, given: Option<Credentials>) -> Self {
        let (chain, found, identity) = Default::default();
        let parts = Parts {
            profile,
            given,
            chain,
            found,
            identity,
        };
        let parts = Arc::new(parts);
        Self { parts }
    }

    /// The keys as they are now.
    ///
    /// # Errors
    /// [`NoCredentials`], with every place that was looked at.
    pub async fn keys(&self) -> Result<AwsKeys, NoCredentials> {
        let credentials = self.found().await?.credentials;
        Ok(AwsKeys {
            access_key_id: credentials.access_key_id().to_owned(),
            secret_access_key: Secret::new(credentials.secret_access_key()),
            session_token: credentials.session_token().map(Secret::new),
        })
    }

    /// The region that is set: `AWS_REGION`, the profile's, the instance's.
    pub async fn region(&self) -> Option<String> {
        self.chain().await.region().await
    }

    /// Who we are, as AWS says it (STS, `GetCallerIdentity`: needs no permission).
    ///
    /// # Errors
    /// [`NoCredentials`], also if STS does not accept those that were found.
    pub async fn identity(&self) -> Result<Identity, NoCredentials> {
        let place = self.found().await?.place;
        let ask = || self.caller(place);
        let name = self.parts.identity.get_or_try_init(ask).await?.clone();
        let cloud = Cloud::Aws;
        Ok(Identity { cloud, name, place })
    }

    async fn caller(&self, place: &'static str) -> Result<String, NoCredentials> {
        let refused = |why| NoCredentials::new(Cloud::Aws, vec![Step::new(place, why)]);
        let region = self
            .region()
            .await
            .unwrap_or_else(|| "us-east-1".to_owned());
        let config = self.sdk_config(&region).await;
        let answer = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await;
        let answer = answer
            .map_err(|error| refused(format!("STS does not accept them: {}", one_line(&error))))?;
        let arn = answer.arn().or_else(|| answer.account());
        arn.map(str::to_owned)
            .ok_or_else(|| refused("STS says nobody".to_owned()))
    }

    /// What a client of AWS's SDK for `region` is made of.
    pub(crate) async fn sdk_config(&self, region: &str) -> aws_config::SdkConfig {
        let chain = self.chain().await;
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(chain.http().clone())
            .region(aws_config::Region::new(region.to_owned()))
            .credentials_provider(self.clone())
            // Ours keeps them already, and would be asked too seldom behind another.
            .identity_cache(aws_config::identity::IdentityCache::no_cache());
        if let Some(profile) = &self.parts.profile {
            loader = loader.profile_name(profile);
        }
        loader.load().await
    }

    async fn chain(&self) -> &Chain {
        let profile = self.parts.profile.clone();
        self.parts
            .chain
            .get_or_init(async || Chain::new(profile))
            .await
    }

    async fn found(&self) -> Result<Found, NoCredentials> {
        if let Some(given) = &self.parts.given {
            return Ok(Found {
                credentials: given.clone(),
                place: GIVEN,
            });
        }
        let chain = self.chain().await;
        let fetch = async || {
            let found = chain.look().await?;
            let end = found.credentials.expiry();
            let life = end.map(|end| end.duration_since(clock::now()).unwrap_or_default());
            Ok(Fresh { value: found, life })
        };
        self.parts.found.get(fetch).await
    }
}

/// For clients of AWS's SDK.
impl ProvideCredentials for AwsCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let found = self.found().await;
            let found = found.map_err(CredentialsError::not_loaded)?;
            Ok::<Credentials, _>(found.credentials)
        })
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials")
            .field("profile", &self.parts.profile)
            .finish_non_exhaustive()
    }
}
