//! What an engine knows of images.

use std::collections::HashMap;
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as EngineError;
use bollard::models::ImageInspect;
use launch_config::image::{Digest, ImageRef};

use super::{DockerBuilder, NAME};
use crate::error::Error;
use crate::plan::RECIPE_VERSION;

/// A question about an image it has.
const QUESTION: Duration = Duration::from_secs(30);
/// A question it has to ask a registry first.
const REGISTRY_QUESTION: Duration = Duration::from_secs(15);

/// What an image says of its making.
pub(super) fn labels() -> HashMap<String, String> {
    HashMap::from([
        ("dev.launch.builder".to_owned(), NAME.to_owned()),
        ("dev.launch.recipe".to_owned(), RECIPE_VERSION.to_string()),
    ])
}

impl DockerBuilder {
    /// What a base image's reference stands for now: the digest it was pulled by, or the id
    /// of an image that was made here; if the engine has none, the digest its registry has,
    /// as far as the engine can tell within 15 seconds. `None` if it cannot be had.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the engine itself does not answer.
    pub async fn base_digest(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        if let Some(found) = self.inspect(image).await? {
            let place = |image: &ImageRef| (image.host().to_owned(), image.repository());
            let digests = found.repo_digests.unwrap_or_default();
            let pulled = digests
                .iter()
                .filter_map(|text| text.parse::<ImageRef>().ok());
            let mut pulled = pulled
                .filter(|pulled| place(pulled) == place(image))
                .filter_map(|pulled| pulled.digest());
            let id = || found.id.and_then(|id| id.parse().ok());
            return Ok(pulled.next().or_else(id));
        }
        let name = image.to_string();
        let login = self.login(image.host());
        let asking = self.docker.inspect_registry_image(&name, login);
        match tokio::time::timeout(REGISTRY_QUESTION, asking).await {
            Ok(Ok(found)) => Ok(found
                .descriptor
                .digest
                .and_then(|digest| digest.parse().ok())),
            Ok(Err(error)) => {
                tracing::debug!(%image, %error, "the base image does not resolve");
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }

    /// The engine's id of an image it has.
    pub(super) async fn find(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let found = self.inspect(image).await?;
        Ok(found.and_then(|found| found.id?.parse().ok()))
    }

    async fn inspect(&self, image: &ImageRef) -> Result<Option<ImageInspect>, Error> {
        let name = image.to_string();
        let answer = tokio::time::timeout(QUESTION, self.docker.inspect_image(&name)).await;
        match answer.map_err(|_| silent(QUESTION))? {
            Ok(inspected) => Ok(Some(inspected)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn login(&self, host: &str) -> Option<DockerCredentials> {
        self.logins
            .get(host)
            .map(|(user, password)| DockerCredentials {
                username: Some(user.clone()),
                password: Some(password.expose().to_owned()),
                serveraddress: Some(host.to_owned()),
                ..DockerCredentials::default()
            })
    }

    /// All logins, as a classic build takes them.
    pub(super) fn credentials(&self) -> HashMap<String, DockerCredentials> {
        let hosts = self.logins.keys();
        hosts
            .filter_map(|host| Some((host.clone(), self.login(host)?)))
            .collect()
    }
}

pub(super) fn silent(waited: Duration) -> Error {
    let missing = format!(
        "the Docker Engine did not answer within {} s",
        waited.as_secs()
    );
    Error::Unavailable {
        builder: NAME,
        missing,
        source: None,
    }
}

pub(super) fn unavailable(error: EngineError) -> Error {
    let missing = match &error {
        EngineError::DockerResponseServerError { status_code, .. } => {
            format!("the Docker Engine answers {status_code}")
        }
        _ => "the Docker Engine does not answer (is it running, and may this user use it?)".into(),
    };
    Error::Unavailable {
        builder: NAME,
        missing,
        source: Some(error.into()),
    }
}

fn is_not_found(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}
