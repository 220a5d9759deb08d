//! ECR's API, as much of it as a push needs.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_sdk_ecr::Client;
use aws_sdk_ecr::config::Builder;
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::types::ImageIdentifier;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use launch_config::image::{Digest, ImageRef};
use launch_config::registry::Ecr;
use launch_config::secret::Secret;

use crate::aws::AwsCredentials;
use crate::credentials::{Fresh, NoCredentials};
use crate::{Credentials, Error, clock};

/// "Private registry authentication": twelve hours, if the answer does not say.
const LIFE: Duration = Duration::from_hours(12);

#[derive(Debug, Clone)]
pub(super) struct Api {
    credentials: AwsCredentials,
    endpoint: Option<String>,
}

/// Of what an answer speaks.
struct Asked<'a> {
    ecr: &'a Ecr,
    operation: &'static str,
    action: &'static str,
}

impl Api {
    pub(super) fn new(credentials: AwsCredentials, endpoint: Option<String>) -> Self {
        Self {
            credentials,
            endpoint,
        }
    }

    async fn client(&self, ecr: &Ecr) -> Client {
        let config = self.credentials.sdk_config(ecr.region()).await;
        let mut config = Builder::from(&config);
        match &self.endpoint {
            // The SDK knows of no FIPS host for an endpoint that is named.
            Some(endpoint) => config = config.endpoint_url(endpoint),
            None if ecr.is_fips() => config = config.use_fips(true),
            None => {}
        }
        Client::from_conf(config.build())
    }

    /// The user (`AWS`) and the password for `host`.
    pub(super) async fn password(
        &self,
        ecr: &Ecr,
        host: &str,
    ) -> Result<Fresh<Credentials>, Error> {
        let answer = self
            .client(ecr)
            .await
            .get_authorization_token()
            .send()
            .await;
        let asked = Asked {
            ecr,
            operation: "GetAuthorizationToken",
            action: "log in at the registry of",
        };
        let answer = answer.map_err(|error| asked.refusal(error))?;
        let data = answer.authorization_data().first();
        let token = data.and_then(|data| data.authorization_token());
        let credentials = token.and_then(decoded).ok_or_else(|| Error::Protocol {
            registry: host.to_owned(),
            status: 200,
            request: asked.operation.to_owned(),
            said: "it holds no token".to_owned(),
        })?;
        let end = data.and_then(|data| data.expires_at());
        let end = end.and_then(|end| SystemTime::try_from(*end).ok());
        let life = end.map(|end| end.duration_since(clock::now()).unwrap_or_default());
        Ok(Fresh {
            value: credentials,
            life: Some(life.unwrap_or(LIFE)),
        })
    }

    /// The digest of an image, by its tag or its digest.
    pub(super) async fn find(&self, ecr: &Ecr, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let mut id = ImageIdentifier::builder();
        match image.digest() {
            Some(digest) => id = id.image_digest(digest.to_string()),
            None => id = id.image_tag(image.reference()),
        }
        let answer = self
            .client(ecr)
            .await
            .describe_images()
            .registry_id(ecr.account())
            .repository_name(ecr.repository())
            .image_ids(id.build())
            .send()
            .await;
        let answer = match answer {
            Err(error) if is_missing(&error) => return Ok(None),
            answer => answer.map_err(|error| Asked::looking(ecr).refusal(error))?,
        };
        let found = answer
            .image_details()
            .iter()
            .find_map(|image| image.image_digest());
        Ok(found.and_then(|digest| digest.parse().ok()))
    }

    /// Makes the repository. `false` if it is there.
    pub(super) async fn create_repository(&self, ecr: &Ecr) -> Result<bool, Error> {
        let asked = Asked {
            ecr,
            operation: "CreateRepository",
            action: "make the repository",
        };
        let answer = self
            .client(ecr)
            .await
            .create_repository()
            .registry_id(ecr.account())
            .repository_name(ecr.repository())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("RepositoryAlreadyExistsException") => Ok(false),
            Err(error) => Err(asked.refusal(error)),
        }
    }
}

fn is_missing<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(
        error.code(),
        Some("ImageNotFoundException" | "RepositoryNotFoundException")
    )
}

impl<'a> Asked<'a> {
    fn looking(ecr: &'a Ecr) -> Self {
        Self {
            ecr,
            operation: "DescribeImages",
            action: "look into",
        }
    }

    /// What a failure of the API means.
    fn refusal<E>(&self, error: SdkError<E>) -> Error
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        if let Some(missing) = no_credentials(&error) {
            return missing.clone().into();
        }
        let registry = host(self.ecr);
        let repository = self.ecr.repository().to_owned();
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let said = error.message().unwrap_or_default().to_owned();
        match (error.code(), status) {
            (Some("AccessDeniedException" | "AccessDenied"), _) => {
                let denied = Error::Denied {
                    registry,
                    repository,
                    action: self.action,
                    said,
                };
                crate::cloud::naming(&format!("`ecr:{}`", self.operation), denied)
            }
            (Some(code), _) if is_login(code) => Error::Unauthorized {
                registry,
                repository,
                said: format!("{said} ({code})"),
            },
            (_, Some(status)) => Error::Protocol {
                registry,
                status,
                request: self.operation.to_owned(),
                said,
            },
            (_, None) => Error::Unreachable {
                registry,
                tries: 3,
                seconds: 0,
                source: error.into(),
            },
        }
    }
}

/// "Common errors" of AWS's APIs that are about who we are.
fn is_login(code: &str) -> bool {
    matches!(
        code,
        "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException"
    )
}

/// The error of our own chain, if it is the cause.
fn no_credentials<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a NoCredentials> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(missing) = error.downcast_ref() {
            return Some(missing);
        }
        next = error.source();
    }
    None
}

fn host(ecr: &Ecr) -> String {
    let name = ecr.to_string();
    name.split('/').next().unwrap_or_default().to_owned()
}

/// `user:password` in base64.
fn decoded(token: &str) -> Option<Credentials> {
    let pair = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some(Credentials {
        user: user.to_owned(),
        password: Secret::new(password),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_user_and_password() {
        let credentials = decoded("QVdTOnNlY3JldDp3aXRoIGNvbG9u").unwrap();
        assert_eq!(credentials.user, "AWS");
        assert_eq!(credentials.password.expose(), "secret:with colon");
        assert_eq!(decoded("QVdT"), None);
    }
}
