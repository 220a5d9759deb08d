//! Entra's token for the registry's.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use launch_config::registry::{AzureCloud, RegistryUri};
use launch_config::secret::Secret;
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::azure::AzureCredentials;
use crate::cloud::registry_of;
use crate::credentials::http::{Http, Question};
use crate::credentials::{Cached, Fresh, NoCredentials, jwt};
use crate::oci::{Keychain, Login, Network};
use crate::{Error, clock};

/// The user whose password is a refresh token.
const USER: &str = "00000000-0000-0000-0000-000000000000";
/// What Entra's token is for. Registries may be set to refuse the older one.
pub(crate) const AUDIENCE: &str = "https://containerregistry.azure.net/.default";
/// Three hours is what registries give.
const LIFE: Duration = Duration::from_hours(3);

/// Logs in at Azure's registries with Azure's credentials.
#[derive(Clone)]
pub struct AcrKeychain {
    credentials: AzureCredentials,
    network: Network,
    parts: Arc<Parts>,
}

#[derive(Default)]
struct Parts {
    http: OnceCell<Http>,
    /// One refresh token for each host.
    tokens: Mutex<HashMap<String, Arc<Cached<Secret>>>>,
}

impl AcrKeychain {
    /// With these credentials.
    pub fn new(credentials: AzureCredentials) -> Self {
        let (network, parts) = Default::default();
        Self {
            credentials,
            network,
            parts,
        }
    }

    /// How registries are reached.
    #[must_use]
    pub fn with_network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    async fn exchange(&self, host: &str, cloud: AzureCloud) -> Result<Fresh<Secret>, Error> {
        let entra = self.entra(cloud).await?;
        let config = |why: String| Error::Config {
            origin: "the HTTP settings of this system".to_owned(),
            source: why.into(),
        };
        let make = async || Http::new(&self.network).map_err(config);
        let http = self.parts.http.get_or_try_init(make).await?;
        let url = Url::parse(&format!("https://{host}/oauth2/exchange"));
        let url = url.map_err(|error| config(error.to_string()))?;
        let fields = [
            ("grant_type", "access_token"),
            ("service", host),
            ("access_token", entra.expose()),
        ];
        let answer = http.json(&Question::form(url, &fields, &[&entra])).await;
        let Answer { refresh_token } = answer.map_err(|refusal| {
            let (registry, said) = (host.to_owned(), refusal.text);
            match refusal.status {
                Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Error::Unauthorized {
                    registry,
                    repository: "*".to_owned(),
                    said,
                },
                Some(status) => Error::Protocol {
                    registry,
                    status: status.as_u16(),
                    request: "POST /oauth2/exchange".to_owned(),
                    said,
                },
                None => Error::Unreachable {
                    registry,
                    tries: 3,
                    seconds: 1,
                    source: said.into(),
                },
            }
        })?;
        let life = Some(life(&refresh_token));
        Ok(Fresh {
            value: refresh_token,
            life,
        })
    }

    /// A tenant may not know the registries' own audience; the resource manager's is known
    /// everywhere.
    async fn entra(&self, cloud: AzureCloud) -> Result<Secret, NoCredentials> {
        let credentials = self.credentials.with_cloud(cloud);
        let missing = match credentials.token(AUDIENCE).await {
            Ok(token) => return Ok(token),
            Err(missing) => missing,
        };
        let is_audience = |why: &str| {
            ["AADSTS500011", "AADSTS500014", "invalid_resource"]
                .iter()
                .any(|code| why.contains(code))
        };
        if !missing
            .steps()
            .last()
            .is_some_and(|step| is_audience(&step.why))
        {
            return Err(missing);
        }
        let manager = match cloud {
            AzureCloud::UsGovernment => "https://management.usgovcloudapi.net/.default",
            AzureCloud::China => "https://management.chinacloudapi.cn/.default",
            _ => "https://management.azure.com/.default",
        };
        credentials.token(manager).await.map_err(|_| missing)
    }
}

#[derive(Deserialize)]
struct Answer {
    refresh_token: Secret,
}

/// As long as the token says, if it does.
fn life(token: &Secret) -> Duration {
    let claims = jwt::claims(token);
    let end = claims.as_ref().and_then(|claims| claims.get("exp"));
    let end = end.and_then(Value::as_u64).map(Duration::from_secs);
    let end = end.map(|end| SystemTime::UNIX_EPOCH + end);
    let left = end.map(|end| end.duration_since(clock::now()).unwrap_or_default());
    left.unwrap_or(LIFE)
}

#[async_trait]
impl Keychain for AcrKeychain {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        let Some(RegistryUri::Acr(acr)) = registry_of(host) else {
            return Ok(None);
        };
        let cached = {
            let tokens = self.parts.tokens.lock();
            let mut tokens = tokens.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry(host.to_owned()).or_default())
        };
        let token = cached.get(async || self.exchange(host, acr.cloud()).await);
        Ok(Some(Login::password(USER, token.await?)))
    }
}

impl fmt::Debug for AcrKeychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcrKeychain")
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
