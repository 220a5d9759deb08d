//! Google Cloud's credentials, found as its own tools find them.
//!
//! The places are those of Application Default Credentials, in their order (AIP-4110): the
//! file that `GOOGLE_APPLICATION_CREDENTIALS` names, gcloud's file, the metadata server of the
//! machine (GCE, GKE's workload identity, Cloud Run). A file may be a service account's key, a
//! user's refresh token, an external account (workload identity federation, AIP-4117) or an
//! impersonated service account; all end in an access token for `cloud-platform`, since that
//! is what a registry takes as a password.

#[cfg(feature = "aws")]
mod amazon;
mod executable;
mod external;
mod file;
mod metadata;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use launch_config::secret::Secret;
use tokio::sync::OnceCell;

use self::file::{File, Origin};
use self::metadata::Metadata;
use crate::credentials::http::Http;
use crate::credentials::{Cached, Cloud, Fresh, Identity, NoCredentials, Step, Surroundings};
use crate::oci::network::Network;

/// What the tokens are good for; what more they allow, IAM decides.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

const NAMED_FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const GCLOUD_FILE: &str = "gcloud's file";
const METADATA: &str = "metadata server";

/// Google Cloud's credentials: found when first asked for, renewed before their end.
///
/// ```no_run
/// use launch_registry::gcp::GcpCredentials;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let credentials = GcpCredentials::new();
/// let token = credentials.token().await?;
/// tracing::info!(project = credentials.project().await, "found");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GcpCredentials {
    parts: Arc<Parts>,
}

struct Parts {
    surroundings: Surroundings,
    http: OnceCell<Http>,
    source: OnceCell<Source>,
    token: Cached<Secret>,
}

/// Where tokens come from.
struct Source {
    kind: Kind,
    place: &'static str,
}

enum Kind {
    File(Box<File>),
    Metadata(Metadata),
}

impl Default for GcpCredentials {
    fn default() -> Self {
        Self::new()
    }
}

impl GcpCredentials {
    /// Looks where Google's tools do.
    pub fn new() -> Self {
        Self::of(Surroundings::of_process())
    }

    /// The same with other variables than this process's.
    pub fn of(surroundings: Surroundings) -> Self {
        let (http, source, token) = Default::default();
        let parts = Parts {
            surroundings,
            http,
            source,
            token,
        };
        let parts = Arc::new(parts);
        Self { parts }
    }

    /// An access token for `cloud-platform` as it is now: a bearer token for Google's APIs, and
    /// the password of the user `oauth2accesstoken` at its registries.
    ///
    /// # Errors
    /// [`NoCredentials`], with every place that was looked at.
    pub async fn token(&self) -> Result<Secret, NoCredentials> {
        let http = self.http().await?;
        let source = self.source().await?;
        let fetch = async || {
            let fresh = match &source.kind {
                Kind::File(file) => file.token(http, &self.parts.surroundings).await,
                Kind::Metadata(metadata) => metadata.token(http).await,
            };
            fresh.map_err(|why| no_credentials(vec![Step::new(source.place, why)]))
        };
        self.parts.token.get(fetch).await
    }

    /// The project that is set: `GOOGLE_CLOUD_PROJECT`, the file's, the machine's.
    pub async fn project(&self) -> Option<String> {
        let named = self.parts.surroundings.get("GOOGLE_CLOUD_PROJECT");
        if let Some(project) = named {
            return Some(project.to_owned());
        }
        match &self.source().await.ok()?.kind {
            Kind::File(file) => file.project().map(str::to_owned),
            Kind::Metadata(metadata) => metadata.project(self.http().await.ok()?).await,
        }
    }

    /// Who we are.
    ///
    /// # Errors
    /// [`NoCredentials`], also if no token is to be had.
    pub async fn identity(&self) -> Result<Identity, NoCredentials> {
        self.token().await?;
        let (http, source) = (self.http().await?, self.source().await?);
        let name = match &source.kind {
            Kind::File(file) => file.name(),
            Kind::Metadata(metadata) => metadata.name(http).await,
        };
        Ok(Identity {
            cloud: Cloud::Gcp,
            name,
            place: source.place,
        })
    }

    async fn http(&self) -> Result<&Http, NoCredentials> {
        let wrong = |why| no_credentials(vec![Step::new("HTTP", why)]);
        let make = async || Http::new(&Network::default()).map_err(wrong);
        self.parts.http.get_or_try_init(make).await
    }

    async fn source(&self) -> Result<&Source, NoCredentials> {
        let http = self.http().await?;
        let look = || look(http, &self.parts.surroundings);
        self.parts.source.get_or_try_init(look).await
    }
}

impl fmt::Debug for GcpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpCredentials").finish_non_exhaustive()
    }
}

fn no_credentials(steps: Vec<Step>) -> NoCredentials {
    NoCredentials::new(Cloud::Gcp, steps)
}

/// Looks in one place after the other.
async fn look(http: &Http, surroundings: &Surroundings) -> Result<Source, NoCredentials> {
    let mut steps = Vec::new();
    let named = surroundings.need(NAMED_FILE).map(PathBuf::from);
    for (place, path) in [
        (NAMED_FILE, named),
        (GCLOUD_FILE, gcloud_file(surroundings)),
    ] {
        let read = match path {
            Ok(path) => File::read(&path),
            Err(why) => Err(Origin::Missing(why)),
        };
        match read {
            Ok(file) => {
                let kind = Kind::File(Box::new(file));
                return Ok(Source { kind, place });
            }
            // A file that somebody named must be there.
            Err(Origin::Missing(why))
                if place == GCLOUD_FILE || surroundings.get(NAMED_FILE).is_none() =>
            {
                steps.push(Step::new(place, why));
            }
            Err(Origin::Missing(why) | Origin::Broken(why)) => {
                steps.push(Step::new(place, why));
                return Err(no_credentials(steps));
            }
        }
    }
    match Metadata::find(http, surroundings).await {
        Ok(metadata) => Ok(Source {
            kind: Kind::Metadata(metadata),
            place: METADATA,
        }),
        Err(why) => {
            steps.push(Step::new(METADATA, why));
            Err(no_credentials(steps))
        }
    }
}

fn gcloud_file(surroundings: &Surroundings) -> Result<PathBuf, String> {
    let own = surroundings.get("CLOUDSDK_CONFIG").map(PathBuf::from);
    let usual = || Some(surroundings.home()?.join(".config/gcloud"));
    let directory = own.or_else(usual).ok_or("HOME is not set")?;
    Ok(directory.join("application_default_credentials.json"))
}

/// A token and its life as most services answer it.
#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: Secret,
    expires_in: Option<u64>,
}

impl TokenAnswer {
    fn fresh(self) -> Fresh<Secret> {
        let life = self.expires_in.unwrap_or(300);
        Fresh {
            value: self.access_token,
            life: Some(std::time::Duration::from_secs(life)),
        }
    }
}
