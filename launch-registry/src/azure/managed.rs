//! The identity of the machine or the service we run in.

use launch_config::secret::Secret;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use url::Url;

use super::{Lookup, TokenAnswer};
use crate::credentials::http::{Http, Question};
use crate::credentials::{Fresh, Surroundings};

/// A virtual machine's instance metadata service.
const INSTANCE: &str = "http://169.254.169.254";

pub(super) struct Managed {
    endpoint: Url,
    /// App Service wants the value of a variable back.
    header: Option<Secret>,
    /// A user-assigned identity, of several.
    client: Option<String>,
}

impl Managed {
    pub(super) fn find(from: &Surroundings) -> Result<Self, Lookup> {
        let client = from.get("AZURE_CLIENT_ID").map(str::to_owned);
        let parse = |text: &str, name: &str| {
            Url::parse(text).map_err(|_| Lookup::Broken(format!("{name} holds no URL")))
        };
        if let Some(endpoint) = from.get("IDENTITY_ENDPOINT") {
            let header = from.need("IDENTITY_HEADER");
            let header = header.map_err(|why| {
                Lookup::Absent(format!(
                    "IDENTITY_ENDPOINT is set and {why}: Azure Arc is not supported"
                ))
            })?;
            return Ok(Self {
                endpoint: parse(endpoint, "IDENTITY_ENDPOINT")?,
                header: Some(Secret::new(header)),
                client,
            });
        }
        let host = from
            .get("AZURE_POD_IDENTITY_AUTHORITY_HOST")
            .unwrap_or(INSTANCE);
        let mut endpoint = parse(host, "AZURE_POD_IDENTITY_AUTHORITY_HOST")?;
        endpoint.set_path("/metadata/identity/oauth2/token");
        let header = None;
        Ok(Self {
            endpoint,
            header,
            client,
        })
    }

    pub(super) async fn token(&self, http: &Http, scope: &str) -> Result<Fresh<Secret>, Lookup> {
        let answer: Result<TokenAnswer, _> = http.json(&self.question(scope)).await;
        answer
            .map(TokenAnswer::fresh)
            .map_err(|refusal| match refusal.status {
                // Nobody there, or a machine without an identity: "Error handling" of the
                // metadata service says 400 for that.
                None | Some(StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
                    if self.header.is_none() =>
                {
                    Lookup::Absent(refusal.text)
                }
                _ => Lookup::Broken(refusal.text),
            })
    }

    /// "How to use managed identities on a VM", "REST endpoint reference" of App Service.
    fn question(&self, scope: &str) -> Question {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let version = if self.header.is_some() {
            "2019-08-01"
        } else {
            "2018-02-01"
        };
        let mut url = self.endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("api-version", version)
                .append_pair("resource", resource);
            query.extend_pairs(self.client.iter().map(|client| ("client_id", client)));
        }
        let question = Question::get(url).at_metadata();
        match &self.header {
            Some(header) => {
                question.with_secret(HeaderName::from_static("x-identity-header"), header)
            }
            None => question.with_header("metadata", "true"),
        }
    }
}
