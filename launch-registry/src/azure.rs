//! Azure's credentials, found as its own tools find them.
//!
//! The order is that of `DefaultAzureCredential` in Azure's SDKs: variables of the environment
//! (an application's secret or certificate), workload identity (AKS), managed identity, the
//! Azure CLI. `AZURE_TOKEN_CREDENTIALS` narrows it as it does there: `prod`, `dev`, or the name
//! of one. Tokens are asked for with the protocol alone, "Microsoft identity platform and the
//! OAuth 2.0 client credentials flow".

mod application;
mod arc;
mod cli;
mod managed;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use launch_config::registry::AzureCloud;
use launch_config::secret::Secret;
use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use self::application::Application;
use self::managed::Managed;
use crate::credentials::http::Http;
use crate::credentials::{Cached, Cloud, Fresh, Identity, NoCredentials, Step, Surroundings, jwt};
use crate::oci::network::Network;

const ENVIRONMENT: &str = "environment";
const WORKLOAD: &str = "workload identity";
const MANAGED: &str = "managed identity";
const CLI: &str = "Azure CLI";

/// What a place gives: nothing, because; or the token, or why it is broken.
pub(crate) enum Lookup {
    /// This place is not set up.
    Absent(String),
    /// It is, and does not work.
    Broken(String),
}

/// Azure's credentials: found when first asked for, renewed before their end.
///
/// ```no_run
/// use launch_registry::azure::AzureCredentials;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let credentials = AzureCredentials::new();
/// let token = credentials.token("https://storage.azure.com/.default").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AzureCredentials {
    parts: Arc<Parts>,
}

struct Parts {
    surroundings: Surroundings,
    cloud: AzureCloud,
    http: OnceCell<Http>,
    /// One token for each scope.
    tokens: Mutex<HashMap<String, Arc<Cached<Found>>>>,
}

#[derive(Clone)]
struct Found {
    token: Secret,
    place: &'static str,
}

impl Default for AzureCredentials {
    fn default() -> Self {
        Self::new()
    }
}

impl AzureCredentials {
    /// Looks where Azure's tools do, in the public cloud.
    pub fn new() -> Self {
        Self::of(Surroundings::of_process())
    }

    /// The same with other variables than this process's.
    pub fn of(surroundings: Surroundings) -> Self {
        Self::made(surroundings, AzureCloud::Public)
    }

    /// The same in another cloud. `AZURE_AUTHORITY_HOST` goes before it.
    #[must_use]
    pub fn with_cloud(&self, cloud: AzureCloud) -> Self {
        if cloud == self.parts.cloud {
            return self.clone();
        }
        Self::made(self.parts.surroundings.clone(), cloud)
    }

    fn made(surroundings: Surroundings, cloud: AzureCloud) -> Self {
        let (http, tokens) = Default::default();
        let parts = Parts {
            surroundings,
            cloud,
            http,
            tokens,
        };
        let parts = Arc::new(parts);
        Self { parts }
    }

    /// An access token for `scope` as it is now, such as `https://storage.azure.com/.default`.
    ///
    /// # Errors
    /// [`NoCredentials`], with every place that was looked at.
    pub async fn token(&self, scope: &str) -> Result<Secret, NoCredentials> {
        Ok(self.found(scope).await?.token)
    }

    /// Who we are, as the token for `scope` says it: a user's name or an application's id,
    /// and the tenant.
    ///
    /// # Errors
    /// [`NoCredentials`], also if no token is to be had.
    pub async fn identity(&self, scope: &str) -> Result<Identity, NoCredentials> {
        let found = self.found(scope).await?;
        Ok(Identity {
            cloud: Cloud::Azure,
            name: name(&found.token),
            place: found.place,
        })
    }

    async fn found(&self, scope: &str) -> Result<Found, NoCredentials> {
        let wrong = |why| NoCredentials::new(Cloud::Azure, vec![Step::new("HTTP", why)]);
        let make = async || Http::new(&Network::default()).map_err(wrong);
        let http = self.parts.http.get_or_try_init(make).await?;
        let cached = {
            let tokens = self.parts.tokens.lock();
            let mut tokens = tokens.unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry(scope.to_owned()).or_default())
        };
        cached.get(async || self.look(http, scope).await).await
    }

    /// Looks in one place after the other.
    async fn look(&self, http: &Http, scope: &str) -> Result<Fresh<Found>, NoCredentials> {
        let mut steps = Vec::new();
        for place in [ENVIRONMENT, WORKLOAD, MANAGED, CLI] {
            let got = match self.excluded(place) {
                Some(why) => Err(Lookup::Absent(why)),
                None => self.ask(place, http, scope).await,
            };
            match got {
                Ok(fresh) => {
                    tracing::debug!(place, "Azure credentials found");
                    let value = Found {
                        token: fresh.value,
                        place,
                    };
                    let life = fresh.life;
                    return Ok(Fresh { value, life });
                }
                Err(Lookup::Absent(why)) => steps.push(Step::new(place, why)),
                Err(Lookup::Broken(why)) => {
                    steps.push(Step::new(place, why));
                    break;
                }
            }
        }
        Err(NoCredentials::new(Cloud::Azure, steps))
    }

    async fn ask(
        &self,
        place: &'static str,
        http: &Http,
        scope: &str,
    ) -> Result<Fresh<Secret>, Lookup> {
        let surroundings = &self.parts.surroundings;
        match place {
            ENVIRONMENT => {
                let application = Application::of_environment(surroundings, &self.authority()?)?;
                application.token(http, scope).await
            }
            WORKLOAD => {
                let application = Application::of_workload(surroundings, &self.authority()?)?;
                application.token(http, scope).await
            }
            MANAGED => Managed::find(surroundings)?.token(http, scope).await,
            _ => cli::token(surroundings, scope).await,
        }
    }

    /// Where tokens are asked for.
    fn authority(&self) -> Result<Url, Lookup> {
        let usual = match self.parts.cloud {
            AzureCloud::UsGovernment => "https://login.microsoftonline.us",
            AzureCloud::China => "https://login.chinacloudapi.cn",
            _ => "https://login.microsoftonline.com",
        };
        let own = self.parts.surroundings.get("AZURE_AUTHORITY_HOST");
        let text = own.unwrap_or(usual);
        let wrong = |_| Lookup::Broken("AZURE_AUTHORITY_HOST names no host".to_owned());
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        Url::parse(&text).map_err(wrong)
    }

    /// Why `AZURE_TOKEN_CREDENTIALS` leaves a place out.
    fn excluded(&self, place: &'static str) -> Option<String> {
        let wanted = self.parts.surroundings.get("AZURE_TOKEN_CREDENTIALS")?;
        let is_wanted = match wanted.to_ascii_lowercase().as_str() {
            "prod" => place != CLI,
            "environmentcredential" => place == ENVIRONMENT,
            "workloadidentitycredential" => place == WORKLOAD,
            "managedidentitycredential" => place == MANAGED,
            "dev" | "azureclicredential" => place == CLI,
            _ => false,
        };
        (!is_wanted).then(|| format!("AZURE_TOKEN_CREDENTIALS is `{wanted}`"))
    }
}

impl fmt::Debug for AzureCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureCredentials")
            .field("cloud", &self.parts.cloud)
            .finish_non_exhaustive()
    }
}

/// "Access token claims reference": a user has a name, an application an id.
fn name(token: &Secret) -> String {
    let claims = jwt::claims(token).unwrap_or_default();
    let claim = |name: &str| claims.get(name).and_then(Value::as_str);
    let who = [
        "upn",
        "preferred_username",
        "unique_name",
        "appid",
        "azp",
        "oid",
    ];
    let who = who.into_iter().find_map(claim).unwrap_or("unknown");
    match claim("tid") {
        Some(tenant) => format!("{who} in tenant {tenant}"),
        None => who.to_owned(),
    }
}

/// A token as Azure's services answer it. Managed identities write numbers as texts.
#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    expires_in: Option<Value>,
    expires_on: Option<Value>,
}

impl TokenAnswer {
    fn fresh(self) -> Fresh<Secret> {
        let life = self.expires_in.as_ref().and_then(seconds);
        let end = self.expires_on.as_ref().and_then(seconds);
        let left = end.map(|end| end.saturating_sub(now()));
        let life = life.or(left).unwrap_or(300);
        Fresh {
            value: self.access_token,
            life: Some(std::time::Duration::from_secs(life)),
        }
    }
}

fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = crate::clock::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
