//! External accounts: another provider's proof of who we are, exchanged for a token of
//! Google's (workload identity federation, AIP-4117; RFC 8693).

use std::collections::BTreeMap;
use std::path::PathBuf;

use launch_config::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderName};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::executable::{Asked, Executable};
use super::file::{basic, impersonate, impersonated_name};
use super::{SCOPE, TokenAnswer};
use crate::credentials::http::{Http, Question};
use crate::credentials::{Fresh, Surroundings};

/// An external account's file.
#[derive(Debug, Deserialize)]
pub(super) struct External {
    audience: String,
    subject_token_type: String,
    token_url: Url,
    credential_source: CredentialSource,
    service_account_impersonation_url: Option<Url>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
    workforce_pool_user_project: Option<String>,
}

/// Where the other provider's proof is.
#[derive(Debug, Deserialize)]
struct CredentialSource {
    file: Option<PathBuf>,
    url: Option<Url>,
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    #[serde(default)]
    format: Format,
    environment_id: Option<String>,
    #[cfg_attr(
        not(feature = "aws"),
        expect(dead_code, reason = "AWS's part of the file")
    )]
    regional_cred_verification_url: Option<String>,
    executable: Option<Executable>,
}

/// How it is written there: as it is, or as a field of a JSON text.
#[derive(Debug, Default, Deserialize)]
struct Format {
    #[serde(rename = "type", default)]
    kind: String,
    subject_token_field_name: Option<String>,
}

impl External {
    pub(super) fn name(&self) -> String {
        let account = self.service_account_impersonation_url.as_ref();
        account.map_or_else(|| self.audience.clone(), impersonated_name)
    }

    pub(super) async fn token(
        &self,
        http: &Http,
        from: &Surroundings,
    ) -> Result<Fresh<Secret>, String> {
        let impersonated = self.service_account_impersonation_url.as_ref();
        let asked = Asked {
            audience: &self.audience,
            token_type: &self.subject_token_type,
            email: impersonated.map(impersonated_name),
        };
        let subject = self.credential_source.subject(http, from, &asked).await?;
        let answer = self.exchange(http, &subject).await?;
        match &self.service_account_impersonation_url {
            Some(url) => impersonate(http, url, &[], &answer.access_token).await,
            None => Ok(answer.fresh()),
        }
    }

    async fn exchange(&self, http: &Http, subject: &Secret) -> Result<TokenAnswer, String> {
        let mut fields = vec![
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("audience", self.audience.as_str()),
            ("scope", SCOPE),
            (
                "requested_token_type",
                "urn:ietf:params:oauth:token-type:access_token",
            ),
            ("subject_token_type", self.subject_token_type.as_str()),
            ("subject_token", subject.expose()),
        ];
        let options = self.workforce_pool_user_project.as_ref();
        let options =
            options.map(|project| serde_json::json!({"userProject": project}).to_string());
        if let Some(options) = &options {
            fields.push(("options", options));
        }
        let mut question = Question::form(self.token_url.clone(), &fields, &[subject]);
        if let (Some(id), Some(secret)) = (&self.client_id, &self.client_secret) {
            question = question.with_secret(AUTHORIZATION, &basic(id, secret));
        }
        http.json(&question).await.map_err(|refusal| refusal.text)
    }
}

impl CredentialSource {
    async fn subject(
        &self,
        http: &Http,
        from: &Surroundings,
        asked: &Asked<'_>,
    ) -> Result<Secret, String> {
        if let Some(path) = &self.file {
            let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
            return self.format.read(&text);
        }
        if self.environment_id.is_some() {
            return self.by_aws(asked.audience).await;
        }
        if let Some(executable) = &self.executable {
            return executable.subject(from, asked).await;
        }
        let Some(url) = &self.url else {
            return Err(
                "this `credential_source` is none of `file`, `url`, `executable` and AWS"
                    .to_owned(),
            );
        };
        let mut question = Question::get(url.clone());
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| "a name in `headers` is no header's")?;
            question = question.with_secret(name, value);
        }
        let text = http.text(&question).await.map_err(|refusal| refusal.text)?;
        self.format.read(&text)
    }

    #[cfg(feature = "aws")]
    async fn by_aws(&self, audience: &str) -> Result<Secret, String> {
        let template = self.regional_cred_verification_url.as_deref();
        let template = template.ok_or("there is no `regional_cred_verification_url`")?;
        super::amazon::subject(audience, template).await
    }

    #[cfg(not(feature = "aws"))]
    #[expect(
        clippy::unused_async,
        reason = "the same signature with and without the feature"
    )]
    async fn by_aws(&self, _audience: &str) -> Result<Secret, String> {
        let id = self.environment_id.as_deref().unwrap_or_default();
        Err(format!(
            "`environment_id` `{id}` takes the feature `aws`, which this was built without"
        ))
    }
}

impl Format {
    fn read(&self, text: &str) -> Result<Secret, String> {
        if self.kind != "json" {
            return Ok(Secret::new(text.trim()));
        }
        let field = self.subject_token_field_name.as_deref();
        let field = field.ok_or("`format` has no `subject_token_field_name`")?;
        let value: Value =
            serde_json::from_str(text).map_err(|_| "the subject token is not in JSON")?;
        let token = value[field].as_str().map(Secret::new);
        token.ok_or_else(|| format!("the subject token's JSON has no `{field}`"))
    }
}
