//! Calls to Vertex AI's and Cloud Logging's REST APIs.

use std::fmt;

use google_cloud_auth::credentials::{AccessTokenCredentials, Builder};
use reqwest::{Method, StatusCode};
use rustls::crypto::ring;
use serde_json::{Value, json};

use super::request::Location;
use crate::managed::{Fault, Http, Reply};

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Where the APIs are.
#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    pub(super) vertex: String,
    pub(super) logging: String,
}

impl Endpoints {
    /// Google's.
    pub(super) fn of(region: &str) -> Self {
        Self {
            vertex: format!("https://{region}-aiplatform.googleapis.com"),
            logging: "https://logging.googleapis.com".to_owned(),
        }
    }
}

/// A region of a project.
pub(super) struct Api {
    http: Http,
    pub(super) endpoints: Endpoints,
    pub(super) location: Location,
    credentials: AccessTokenCredentials,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("endpoints", &self.endpoints)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// The credentials of this machine (Application Default Credentials), which renew
/// themselves.
pub(super) fn default_credentials() -> Result<AccessTokenCredentials, String> {
    install_ring();
    let builder = Builder::default().with_scopes([SCOPE]);
    let built = builder.build_access_token_credentials();
    built.map_err(|error| error.to_string())
}

/// Credentials as a file of Google's holds them.
pub(super) fn credentials_of(json: Value) -> Result<AccessTokenCredentials, String> {
    use google_cloud_auth::credentials::{external_account, service_account, user_account};
    install_ring();
    let built = match json["type"].as_str() {
        Some("authorized_user") => user_account::Builder::new(json)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        Some("service_account") => service_account::Builder::new(json)
            .with_access_specifier(service_account::AccessSpecifier::from_scopes([SCOPE]))
            .build_access_token_credentials(),
        Some("external_account") => external_account::Builder::new(json)
            .with_scopes([SCOPE])
            .build_access_token_credentials(),
        other => return Err(format!("credentials of type {other:?} are not known")),
    };
    built.map_err(|error| error.to_string())
}

/// Google's library takes the process's crypto provider. Where one is set, it stays.
fn install_ring() {
    // It fails if there is one, and then there is nothing to do.
    let _ = ring::default_provider().install_default();
}

impl Api {
    pub(super) fn new(
        location: Location,
        endpoints: Endpoints,
        credentials: AccessTokenCredentials,
    ) -> Result<Self, String> {
        let loopback = ["http://127.", "http://localhost", "http://[::1]"];
        let loopback = loopback
            .iter()
            .any(|start| endpoints.vertex.starts_with(start));
        Ok(Self {
            http: Http::new(loopback).map_err(|error| error.to_string())?,
            endpoints,
            location,
            credentials,
        })
    }

    /// Makes a custom job. Not to be repeated blindly: the service would make another.
    pub(super) async fn create(&self, job: &Value) -> Result<Value, Fault> {
        let path = format!("v1/{}/customJobs", self.location.parent());
        self.vertex(Method::POST, &path, Some(job)).await
    }

    /// All custom jobs that `filter` fits.
    pub(super) async fn list(&self, filter: &str) -> Result<Vec<Value>, Fault> {
        let (mut jobs, mut page) = (Vec::new(), String::new());
        loop {
            let url = format!(
                "{}/v1/{}/customJobs",
                self.endpoints.vertex,
                self.location.parent()
            );
            let query = [
                ("filter", filter),
                ("pageSize", "100"),
                ("pageToken", &page),
            ];
            let url = reqwest::Url::parse_with_params(&url, query);
            let url = url.map_err(|error| Fault::Refused(error.to_string()))?;
            let answer = self.send(Method::GET, url.as_str(), None).await?;
            jobs.extend(answer["customJobs"].as_array().cloned().unwrap_or_default());
            match answer["nextPageToken"].as_str() {
                Some(token) if !token.is_empty() => token.clone_into(&mut page),
                _ => return Ok(jobs),
            }
        }
    }

    /// Asks a job to end.
    pub(super) async fn cancel(&self, name: &str) -> Result<(), Fault> {
        let path = format!("v1/{name}:cancel");
        let answer = self.vertex(Method::POST, &path, Some(&json!({}))).await;
        answer.map(drop)
    }

    /// Removes an ended job.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Fault> {
        let answer = self
            .vertex(Method::DELETE, &format!("v1/{name}"), None)
            .await;
        answer.map(drop)
    }

    /// A page of log entries.
    pub(super) async fn entries(&self, query: &Value) -> Result<Value, Fault> {
        let url = format!("{}/v2/entries:list", self.endpoints.logging);
        self.send(Method::POST, &url, Some(query)).await
    }

    async fn vertex(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Fault> {
        let url = format!("{}/{path}", self.endpoints.vertex);
        self.send(method, &url, body).await
    }

    async fn send(&self, method: Method, url: &str, body: Option<&Value>) -> Result<Value, Fault> {
        let token = self.credentials.access_token().await;
        let token = token.map_err(|error| {
            if error.is_transient() {
                Fault::Away(Box::new(error))
            } else {
                Fault::Credentials(Box::new(error))
            }
        })?;
        let mut request = self.http.request(method, url).bearer_auth(token.token);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        judged(&self.http.send(request).await?)
    }
}

fn judged(reply: &Reply) -> Result<Value, Fault> {
    let json = reply.json();
    if reply.status.is_success() {
        return Ok(json);
    }
    let message = json["error"]["message"].as_str().unwrap_or_default();
    let said = match (message, json["error"]["status"].as_str()) {
        ("", _) => format!("HTTP status {}", reply.status),
        (message, Some(status)) => format!("{message} ({status})"),
        (message, None) => message.to_owned(),
    };
    Err(match reply.status {
        StatusCode::NOT_FOUND => Fault::Absent,
        StatusCode::CONFLICT => Fault::Exists(said),
        StatusCode::UNAUTHORIZED => Fault::Credentials(said.into()),
        _ if reply.is_busy() => Fault::Away(said.into()),
        _ => Fault::Refused(said),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_mean_what_the_service_says() {
        let judge = |status, body: &'static str| {
            judged(&Reply {
                status: StatusCode::from_u16(status).unwrap(),
                body: body.as_bytes().into(),
            })
        };
        let denied = r#"{"error":{"message":"no act-as","status":"PERMISSION_DENIED"}}"#;
        let said = judge(403, denied).unwrap_err();
        assert!(matches!(said, Fault::Refused(said) if said == "no act-as (PERMISSION_DENIED)"));
        assert!(matches!(judge(404, "{}"), Err(Fault::Absent)));
        assert!(matches!(judge(429, "{}"), Err(Fault::Away(_))));
        assert!(matches!(judge(401, "{}"), Err(Fault::Credentials(_))));
    }
}
