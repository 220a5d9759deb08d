//! The HTTP clients under everything: TLS, redirects, time limits.

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use url::Url;

use super::endpoint;

/// How long the parts of a request may take.
///
/// There is no limit on a whole upload: a layer takes as long as it takes, while it moves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Name lookup, connection and TLS handshake. 15 s by default.
    pub connect: Duration,
    /// From a request to its answer. 60 s by default.
    pub answer: Duration,
    /// How long an upload may stand still. 2 minutes by default.
    pub stall: Duration,
    /// How long a registry may take to file a whole blob: some copy it first. 10 minutes by
    /// default.
    pub commit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_mins(1),
            stall: Duration::from_mins(2),
            commit: Duration::from_mins(10),
        }
    }
}

impl Timeouts {
    /// Sets the limit for connecting.
    #[must_use]
    pub fn with_connect(self, connect: Duration) -> Self {
        Self { connect, ..self }
    }

    /// Sets the limit for an answer.
    #[must_use]
    pub fn with_answer(self, answer: Duration) -> Self {
        Self { answer, ..self }
    }

    /// Sets how long an upload may stand still.
    #[must_use]
    pub fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// Sets the limit for filing a blob.
    #[must_use]
    pub fn with_commit(self, commit: Duration) -> Self {
        Self { commit, ..self }
    }
}

/// One client for the world and one for this machine, which no proxy stands before.
#[derive(Debug, Clone)]
pub(crate) struct HttpClients {
    outside: reqwest::Client,
    loopback: reqwest::Client,
}

impl HttpClients {
    pub(crate) fn new(timeouts: &Timeouts) -> Result<Self, reqwest::Error> {
        let tls = tls();
        let builder = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .user_agent(concat!("launch-registry/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::custom(redirect))
                .connect_timeout(timeouts.connect)
        };
        Ok(Self {
            outside: builder().build()?,
            loopback: builder().no_proxy().build()?,
        })
    }

    pub(crate) fn for_url(&self, url: &Url) -> &reqwest::Client {
        if endpoint::is_loopback(url) {
            &self.loopback
        } else {
            &self.outside
        }
    }
}

/// The system's roots (`SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured), with ring named
/// outright: a program that links us needs no process-wide crypto provider.
pub(crate) fn tls() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let with_roots = versions(Arc::clone(&provider)).with_platform_verifier();
    match with_roots {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
            // A minimal container has no roots and may still use a registry on loopback.
            tracing::warn!(%error, "no trusted certificates on this system: https will fail");
            versions(provider)
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth()
        }
    }
}

fn versions(
    provider: Arc<CryptoProvider>,
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
}

/// Ten hops, as browsers do; never from https to http. Reqwest drops credentials when the
/// host changes.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let encrypted = attempt
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https");
    if encrypted && attempt.url().scheme() != "https" {
        return attempt.error("redirected from https to http");
    }
    if attempt.previous().len() > 10 {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}
