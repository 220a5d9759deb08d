//! HTTP to services: TLS, time limits, and patience.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::Value;

use super::Fault;

/// How long a connection and an answer may take.
const CONNECT: Duration = Duration::from_secs(15);
const ANSWER: Duration = Duration::from_secs(30);
/// How often a call is tried, and the pause after the first failure, which doubles.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Speaks to a service.
#[derive(Debug, Clone)]
pub(crate) struct Http(reqwest::Client);

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as JSON; `null` if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the same request may be answered otherwise later.
    pub(crate) fn is_busy(&self) -> bool {
        self.status.is_server_error()
            || matches!(
                self.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
    }
}

impl Http {
    /// A client; `loopback` if it speaks to this machine, which no proxy stands before.
    pub(crate) fn new(loopback: bool) -> Result<Self, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls())
            .user_agent(concat!("launch-runner/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER);
        let builder = if loopback {
            builder.no_proxy()
        } else {
            builder
        };
        builder.build().map(Self)
    }

    pub(crate) fn request(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        self.0.request(method, url)
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply, Fault> {
        // An address may hold a token.
        let away = |error: reqwest::Error| Fault::Away(Box::new(error.without_url()));
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(away)?;
        Ok(Reply { status, body })
    }
}

/// Makes a call until it is answered, but not for ever. For calls that may be repeated.
pub(crate) async fn patiently<T, F>(call: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match call().await {
            Err(Fault::Away(error)) => {
                tracing::debug!(error, "asking again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            other => return other,
        }
    }
    call().await
}

/// The system's roots, with ring named outright.
fn tls() -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    match versions(Arc::clone(&provider)).with_platform_verifier() {
        Ok(config) => config.with_no_client_auth(),
        Err(error) => {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn only_silence_is_asked_again() {
        let calls = AtomicU32::new(0);
        let call = |fault: fn() -> Fault| {
            let calls = &calls;
            patiently(move || {
                calls.fetch_add(1, Ordering::Relaxed);
                async move { Err::<(), _>(fault()) }
            })
        };
        call(|| Fault::Away("busy".into())).await.unwrap_err();
        assert_eq!(calls.swap(0, Ordering::Relaxed), TRIES);
        call(|| Fault::Absent).await.unwrap_err();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }
}
