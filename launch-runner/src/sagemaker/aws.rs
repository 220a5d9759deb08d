//! Signed calls to AWS's JSON and query APIs.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningInstructions, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use reqwest::Method;
use serde_json::Value;

use super::request::Identity;
use crate::clock;
use crate::managed::{Fault, Http, Reply};

/// Credentials are renewed this long before their end.
const EARLY: Duration = Duration::from_mins(5);

/// A service of AWS.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    Sagemaker,
    Logs,
    Sts,
}

impl Service {
    /// The name requests are signed for, the first part of its host, and what stands
    /// before an action.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Sagemaker => ("sagemaker", "api.sagemaker", "SageMaker"),
            Self::Logs => ("logs", "logs", "Logs_20140328"),
            Self::Sts => ("sts", "sts", ""),
        }
    }

    /// The variable with its endpoint, as AWS's own tools read it.
    fn variable(self) -> &'static str {
        match self {
            Self::Sagemaker => "AWS_ENDPOINT_URL_SAGEMAKER",
            Self::Logs => "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
        }
    }
}

/// AWS, in one region.
pub(super) struct Aws {
    http: Http,
    region: String,
    /// Where all services are, if it is not AWS itself.
    endpoint: Option<String>,
    provider: SharedCredentialsProvider,
    kept: Mutex<Option<Credentials>>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (region, endpoint) = (&self.region, &self.endpoint);
        f.debug_struct("Aws")
            .field("region", region)
            .field("endpoint", endpoint)
            .finish_non_exhaustive()
    }
}

impl Aws {
    /// The region, credentials and endpoint of a configuration; the error says what is
    /// missing in it.
    pub(super) fn of(config: &SdkConfig) -> Result<Self, String> {
        let region = config.region();
        let region = region.ok_or("a region (`environment.region`, or AWS_REGION)")?;
        let provider = config.credentials_provider();
        let endpoint = config.endpoint_url().map(str::to_owned);
        let loopback = endpoint.as_deref().is_some_and(is_loopback);
        Ok(Self {
            http: Http::new(loopback).map_err(|error| error.to_string())?,
            region: region.to_string(),
            endpoint,
            provider: provider.ok_or("credentials")?,
            kept: Mutex::default(),
        })
    }

    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Calls an action of a JSON API.
    pub(super) async fn call(
        &self,
        service: Service,
        action: &str,
        body: &Value,
    ) -> Result<Value, Fault> {
        let target = format!("{}.{action}", service.names().2);
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", &target),
        ];
        let reply = self.send(service, &headers, body.to_string()).await?;
        Ok(reply.json())
    }

    /// Asks who we are.
    pub(super) async fn identity(&self) -> Result<Identity, Fault> {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let body = "Action=GetCallerIdentity&Version=2011-06-15".to_owned();
        let reply = self.send(Service::Sts, &headers, body).await?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let (account, arn) = (element(&text, "Account"), element(&text, "Arn"));
        let identity = account
            .zip(arn)
            .map(|(account, arn)| Identity::new(account, arn));
        match identity {
            Some(Ok(identity)) => Ok(identity),
            Some(Err(error)) => Err(Fault::Refused(format!("GetCallerIdentity: {error}"))),
            None => Err(Fault::Refused(
                "GetCallerIdentity tells no account".to_owned(),
            )),
        }
    }

    /// Sends a request; where the credentials have ended too early, once again with new
    /// ones.
    async fn send(
        &self,
        service: Service,
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Reply, Fault> {
        let reply = self.send_signed(service, headers, &body).await?;
        if !code(&reply).contains("Expired") {
            return judged(reply);
        }
        *self.kept() = None;
        judged(self.send_signed(service, headers, &body).await?)
    }

    async fn send_signed(
        &self,
        service: Service,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, Fault> {
        let url = self.url(service);
        let credentials = self.credentials().await?;
        let signature = self.sign(service, credentials, &url, headers, body);
        let signature = signature.map_err(Fault::Credentials)?;
        let mut request = self.http.request(Method::POST, &url).body(body.to_owned());
        for (name, value) in headers.iter().copied().chain(signature.headers()) {
            request = request.header(name, value);
        }
        self.http.send(request).await
    }

    fn sign(
        &self,
        service: Service,
        credentials: Credentials,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<SigningInstructions, Box<dyn std::error::Error + Send + Sync>> {
        let identity = credentials.into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service.names().0)
            .time(clock::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let body = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new("POST", url, headers.iter().copied(), body)?;
        Ok(sign(request, &params)?.into_parts().0)
    }

    fn url(&self, service: Service) -> String {
        let own = std::env::var(service.variable()).ok();
        if let Some(endpoint) = own.as_deref().or(self.endpoint.as_deref()) {
            return format!("{}/", endpoint.trim_end_matches('/'));
        }
        let (region, host) = (&self.region, service.names().1);
        format!("https://{host}.{region}.{}/", suffix(region))
    }

    /// The credentials, renewed in time.
    async fn credentials(&self) -> Result<Credentials, Fault> {
        let fresh = |credentials: &Credentials| {
            let end = credentials.expiry();
            end.is_none_or(|end| end > clock::now() + EARLY)
        };
        if let Some(kept) = self.kept().clone().filter(fresh) {
            return Ok(kept);
        }
        let found = self.provider.provide_credentials().await;
        let found = found.map_err(|error| Fault::Credentials(Box::new(error)))?;
        *self.kept() = Some(found.clone());
        Ok(found)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Credentials>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The domain of a region's partition.
fn suffix(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "amazonaws.com.cn",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ => "amazonaws.com",
    }
}

pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    ["localhost", "127.", "[::1]"]
        .iter()
        .any(|start| host.starts_with(start))
}

/// What stands in an XML element, where it has no children.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>"))
        .map(|(inner, _)| inner)
}

/// The code of an error: `__type` after its `#`, or an element of XML; empty if there is
/// none.
fn code(reply: &Reply) -> String {
    if reply.status.is_success() {
        return String::new();
    }
    let json = reply.json();
    let text = String::from_utf8_lossy(&reply.body);
    let code = json["__type"].as_str().or_else(|| element(&text, "Code"));
    let code = code.unwrap_or_default();
    code.rsplit('#').next().unwrap_or_default().to_owned()
}

fn judged(reply: Reply) -> Result<Reply, Fault> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    let code = code(&reply);
    let json = reply.json();
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    let message = json["Message"].as_str().or(json["message"].as_str());
    let message = message
        .or_else(|| element(&text, "Message"))
        .unwrap_or_default();
    let said = match (code.as_str(), message) {
        ("", "") => format!("HTTP status {}", reply.status),
        (code, "") => code.to_owned(),
        (code, message) => format!("{message} ({code})"),
    };
    let lower = message.to_lowercase();
    Err(match code.as_str() {
        "ResourceInUse" => Fault::Exists(said),
        "ResourceNotFound" | "ResourceNotFoundException" => Fault::Absent,
        // Describing what is not there is a validation error (API reference).
        _ if code.starts_with("Validation") && lower.contains("not found") => Fault::Absent,
        _ if code.starts_with("Validation") && lower.contains("could not find") => Fault::Absent,
        _ if code.contains("Throttl") || code.contains("TooManyRequests") || reply.is_busy() => {
            Fault::Away(said.into())
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "ExpiredTokenException"
        | "ExpiredToken" => Fault::Credentials(said.into()),
        _ => Fault::Refused(said),
    })
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            body: body.as_bytes().into(),
        }
    }

    #[test]
    fn errors_mean_what_the_service_says() {
        let judge = |status, body| judged(reply(status, body)).unwrap_err();
        let in_use = r#"{"__type":"com.amazonaws.sagemaker#ResourceInUse","Message":"unique"}"#;
        assert!(
            matches!(judge(400, in_use), Fault::Exists(said) if said == "unique (ResourceInUse)")
        );
        let absent =
            r#"{"__type":"ValidationException","message":"Requested resource not found."}"#;
        assert!(matches!(judge(400, absent), Fault::Absent));
        let busy = r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#;
        assert!(matches!(judge(400, busy), Fault::Away(_)));
        assert!(matches!(judge(503, "oops"), Fault::Away(_)));
        let denied = r#"{"__type":"AccessDeniedException","Message":"no iam:PassRole"}"#;
        assert!(matches!(judge(400, denied), Fault::Refused(said) if said.contains("PassRole")));
        let xml = "<E><Error><Code>ExpiredToken</Code><Message>old</Message></Error></E>";
        assert!(matches!(judge(403, xml), Fault::Credentials(_)));
    }

    #[test]
    fn every_partition_has_its_domain() {
        assert_eq!(suffix("us-gov-west-1"), "amazonaws.com");
        assert_eq!(suffix("cn-north-1"), "amazonaws.com.cn");
        assert!(is_loopback("http://127.0.0.1:1") && !is_loopback("https://x.amazonaws.com"));
    }
}
