//! The places AWS's credentials are looked for in.

use aws_config::Region;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::{
    EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider,
};
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::sync::OnceCell;

use crate::credentials::{Cloud, NoCredentials, Step, one_line};

/// The variables that name a profile's files lead to it; this is what its step is called.
const ENVIRONMENT: &str = "environment";
const PROFILE: &str = "profile";
const WEB_IDENTITY: &str = "web identity";
const CONTAINER: &str = "container";
const INSTANCE: &str = "instance metadata";

/// Credentials and where they were.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) credentials: Credentials,
    pub(super) place: &'static str,
}

pub(super) struct Chain {
    profile: Option<String>,
    http: SharedHttpClient,
    /// Metadata is asked without a proxy.
    near: SharedHttpClient,
    region: OnceCell<Option<Region>>,
}

impl Chain {
    pub(super) fn new(profile: Option<String>) -> Self {
        Self {
            profile,
            http: client(ProxyConfig::from_env()),
            near: client(ProxyConfig::disabled()),
            region: OnceCell::new(),
        }
    }

    pub(super) fn http(&self) -> &SharedHttpClient {
        &self.http
    }

    /// Looks in one place after the other.
    pub(super) async fn look(&self) -> Result<Found, NoCredentials> {
        let mut steps = Vec::new();
        let environment = EnvironmentVariableCredentialsProvider::new();
        if let Some(found) = step(&mut steps, ENVIRONMENT, &environment).await? {
            return Ok(found);
        }
        let far = config(&self.http).with_region(self.aws_region().await.clone());
        let profile = self.profile_provider(&far);
        if let Some(found) = step(&mut steps, PROFILE, &profile).await? {
            return Ok(found);
        }
        let web = WebIdentityTokenCredentialsProvider::builder()
            .configure(&far)
            .build();
        if let Some(found) = step(&mut steps, WEB_IDENTITY, &web).await? {
            return Ok(found);
        }
        let near = config(&self.near);
        let container = EcsCredentialsProvider::builder().configure(&near).build();
        if let Some(found) = step(&mut steps, CONTAINER, &container).await? {
            return Ok(found);
        }
        let instance = ImdsCredentialsProvider::builder().configure(&near).build();
        let found = step(&mut steps, INSTANCE, &instance).await?;
        found.ok_or_else(|| NoCredentials::new(Cloud::Aws, steps))
    }

    pub(super) async fn region(&self) -> Option<String> {
        let region = self.aws_region().await.as_ref();
        region.map(|region| region.as_ref().to_owned())
    }

    async fn aws_region(&self) -> &Option<Region> {
        let look = async || {
            let mut profile = ProfileFileRegionProvider::builder().configure(&config(&self.http));
            if let Some(name) = &self.profile {
                profile = profile.profile_name(name);
            }
            let near = config(&self.near);
            let instance = ImdsRegionProvider::builder().configure(&near).build();
            RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(profile.build())
                .or_else(instance)
                .region()
                .await
        };
        self.region.get_or_init(look).await
    }

    fn profile_provider(&self, config: &ProviderConfig) -> ProfileFileCredentialsProvider {
        let builder = ProfileFileCredentialsProvider::builder().configure(config);
        match &self.profile {
            Some(name) => builder.profile_name(name).build(),
            None => builder.build(),
        }
    }
}

fn config(client: &SharedHttpClient) -> ProviderConfig {
    ProviderConfig::without_region().with_http_client(client.clone())
}

/// Asks one place. What it has not is noted; what it has broken ends the search.
async fn step(
    steps: &mut Vec<Step>,
    place: &'static str,
    provider: &impl ProvideCredentials,
) -> Result<Option<Found>, NoCredentials> {
    match provider.provide_credentials().await {
        Ok(credentials) => {
            tracing::debug!(place, "AWS credentials found");
            Ok(Some(Found { credentials, place }))
        }
        Err(error) => {
            steps.push(Step::new(place, reason(&error)));
            if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
                return Ok(None);
            }
            Err(NoCredentials::new(Cloud::Aws, std::mem::take(steps)))
        }
    }
}

/// The library's first message says only that it found nothing; its causes say why.
fn reason(error: &CredentialsError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| "it has none".to_owned(), one_line)
}

/// A client with ring named outright, and a proxy where the environment names one.
fn client(proxy: ProxyConfig) -> SharedHttpClient {
    // The builder's plain way to a client knows of no proxies.
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector
            .proxy_config(proxy.clone())
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}
