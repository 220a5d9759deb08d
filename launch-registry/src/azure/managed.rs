//! The identity of the machine or the service we run in.

use launch_config::secret::Secret;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use url::Url;

use super::{Lookup, TokenAnswer, arc};
use crate::credentials::http::{Http, Question};
use crate::credentials::{Fresh, Surroundings};

/// A virtual machine's instance metadata service.
const INSTANCE: &str = "http://169.254.169.254";

pub(super) struct Managed {
    endpoint: Url,
    service: Service,
    /// A user-assigned identity, of several.
    client: Option<String>,
}

/// Who answers at the endpoint.
enum Service {
    /// A virtual machine's metadata service.
    Instance,
    /// App Service wants the value of a variable back.
    App(Secret),
    /// Azure Arc's agent on a machine elsewhere: its answer is a challenge to show that we
    /// may read a file only administrators may.
    Arc,
}

impl Managed {
    pub(super) fn find(from: &Surroundings) -> Result<Self, Lookup> {
        let client = from.get("AZURE_CLIENT_ID").map(str::to_owned);
        let parse = |text: &str, name: &str| {
            Url::parse(text).map_err(|_| Lookup::Broken(format!("{name} holds no URL")))
        };
        if let Some(endpoint) = from.get("IDENTITY_ENDPOINT") {
            let service = match (from.get("IDENTITY_HEADER"), from.get("IMDS_ENDPOINT")) {
                (Some(header), _) => Service::App(Secret::new(header)),
                (None, Some(_)) => Service::Arc,
                (None, None) => {
                    let why = "IDENTITY_ENDPOINT is set, and neither IDENTITY_HEADER (App \
                               Service) nor IMDS_ENDPOINT (Azure Arc) is";
                    return Err(Lookup::Absent(why.to_owned()));
                }
            };
            return Ok(Self {
                endpoint: parse(endpoint, "IDENTITY_ENDPOINT")?,
                service,
                client,
            });
        }
        let host = from
            .get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
            .unwrap_or(INSTANCE);
        let mut endpoint = parse(host, "AZURE_POD_IDENTITY_AUTHORITY_HOST")?;
        endpoint.set_path("/metadata/identity/oauth2/token");
        Ok(Self {
            endpoint,
            service: Service::Instance,
            client,
        })
    }

    pub(super) async fn token(&self, http: &Http, scope: &str) -> Result<Fresh<Secret>, Lookup> {
        let mut question = self.question(scope);
        if matches!(self.service, Service::Arc) {
            question = arc::answered(http, question).await?;
        }
        let answer: Result<TokenAnswer, _> = http.json(&question).await;
        let is_instance = matches!(self.service, Service::Instance);
        answer
            .map(TokenAnswer::fresh)
            .map_err(|refusal| match refusal.status {
                // Nobody there, or a machine without an identity: "Error handling" of the
                // metadata service says 400 for that.
                None | Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) if is_instance => {
                    Lookup::Absent(refusal.text)
                }
                _ => Lookup::Broken(refusal.text),
            })
    }

    /// "How to use managed identities on a VM", "REST endpoint reference" of App Service.
    fn question(&self, scope: &str) -> Question {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let version = match self.service {
            Service::Instance => "2018-02-01",
            Service::App(_) => "2019-08-01",
            Service::Arc => "2020-06-01",
        };
        let mut url = self.endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("api-version", version)
                .append_pair("resource", resource);
            // A machine of Arc has one identity only.
            let client = self.client.iter();
            let client = client.filter(|_| !matches!(self.service, Service::Arc));
            query.extend_pairs(client.map(|client| ("client_id", client)));
        }
        let question = Question::get(url).at_metadata();
        match &self.service {
            Service::App(header) => {
                question.with_secret(HeaderName::from_static("x-identity-header"), header)
            }
            Service::Instance | Service::Arc => question.with_header("metadata", "true"),
        }
    }
}
