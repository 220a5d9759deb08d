//! The metadata server of a machine in Google's cloud ("VM metadata", AIP-4115).

use launch_config::secret::Secret;
use url::Url;

use super::TokenAnswer;
use crate::credentials::http::{Http, Question};
use crate::credentials::{Fresh, Surroundings};

/// By its address: no name service need answer first.
const HOST: &str = "169.254.169.254";
const FLAVOR: &str = "metadata-flavor";

/// A metadata server that answers.
#[derive(Debug)]
pub(super) struct Metadata {
    base: Url,
}

impl Metadata {
    /// # Errors
    /// If there is none here.
    pub(super) async fn find(http: &Http, surroundings: &Surroundings) -> Result<Self, String> {
        let host = surroundings.get("GCE_METADATA_HOST").unwrap_or(HOST);
        let base = format!("http://{host}/computeMetadata/v1/");
        let base = Url::parse(&base).map_err(|_| "GCE_METADATA_HOST names no host")?;
        let metadata = Self { base };
        metadata
            .ask(http, "instance/service-accounts/default/email")
            .await?;
        Ok(metadata)
    }

    pub(super) async fn token(&self, http: &Http) -> Result<Fresh<Secret>, String> {
        let question = self.question("instance/service-accounts/default/token");
        let answer: TokenAnswer = http.json(&question).await.map_err(|refusal| refusal.text)?;
        Ok(answer.fresh())
    }

    pub(super) async fn name(&self, http: &Http) -> String {
        let email = self
            .ask(http, "instance/service-accounts/default/email")
            .await;
        email.unwrap_or_else(|_| "default".to_owned())
    }

    pub(super) async fn project(&self, http: &Http) -> Option<String> {
        self.ask(http, "project/project-id").await.ok()
    }

    async fn ask(&self, http: &Http, path: &str) -> Result<String, String> {
        let answer = http.text(&self.question(path)).await;
        let answer = answer.map_err(|refusal| refusal.text)?;
        Ok(answer.trim().to_owned())
    }

    fn question(&self, path: &str) -> Question {
        let url = self.base.join(path).expect("the path is relative");
        // Without this header the server does not answer: no browser can be tricked into it.
        Question::get(url)
            .with_header(FLAVOR, "Google")
            .at_metadata()
    }
}
