//! What all sessions with all registries share, and the choice between https and http.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::StatusCode;
use url::Url;

use super::auth::Auth;
use super::endpoint;
use super::http::{HttpClients, Timeouts};
use super::network::Network;
use super::retry::{Pace, RetryPolicy};
use super::status::Target;
use crate::Error;

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) clients: HttpClients,
    pub(crate) auth: Auth,
    pub(crate) retry: RetryPolicy,
    pub(crate) timeouts: Timeouts,
    /// Hosts that may be used without encryption.
    pub(crate) insecure: Vec<String>,
    bases: Mutex<HashMap<String, Url>>,
}

impl Transport {
    pub(crate) fn new(
        auth: Auth,
        retry: RetryPolicy,
        timeouts: Timeouts,
        insecure: Vec<String>,
        network: &Network,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let clients = HttpClients::new(&timeouts, network)?;
        let bases = Mutex::default();
        Ok(Arc::new(Self {
            clients,
            auth,
            retry,
            timeouts,
            insecure,
            bases,
        }))
    }

    /// The API's root of the registry of `target`.
    ///
    /// Everything is https, but for loopback and for hosts declared insecure: these are
    /// asked once, https first as docker does it, and http only if that is not answered.
    /// Unlike docker we never look past a bad certificate.
    pub(crate) async fn base(&self, target: &Target) -> Result<Url, Error> {
        let host = &target.registry;
        if let Some(base) = self.bases().get(host) {
            return Ok(base.clone());
        }
        let wrong = || target.unauthorized("its host is not one");
        let https = endpoint::base("https", host).ok_or_else(wrong)?;
        let may_be_http =
            endpoint::is_loopback(&https) || endpoint::is_listed(&https, &self.insecure);
        let base = if may_be_http {
            self.probe(target, https).await?
        } else {
            https
        };
        self.bases().insert(host.clone(), base.clone());
        Ok(base)
    }

    async fn probe(&self, target: &Target, https: Url) -> Result<Url, Error> {
        let mut http = https.clone();
        http.set_scheme("http")
            .expect("https and http may be exchanged");
        let mut pace = Pace::new(&self.retry);
        loop {
            let Err(error) = self.ping(&https).await else {
                return Ok(https);
            };
            // A TLS server says 400 to those who do not speak it.
            let plain = self.ping(&http).await;
            if plain.is_ok_and(|status| status != StatusCode::BAD_REQUEST) {
                let registry = &target.registry;
                tracing::debug!(registry, "not encrypted: answers http only");
                return Ok(http);
            }
            let source = match target.untrusted(error.into()) {
                Ok(error) => return Err(error),
                Err(source) => source,
            };
            match pace.after_failure(None) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(target.unreachable(&pace, source)),
            }
        }
    }

    /// Asks for the API's root (distribution-spec, "Determining Support"), as nobody.
    async fn ping(&self, base: &Url) -> Result<StatusCode, reqwest::Error> {
        let mut url = base.clone();
        url.set_path("/v2/");
        let request = self
            .clients
            .for_url(&url)
            .get(url)
            .timeout(self.timeouts.answer);
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        Ok(response.status())
    }

    fn bases(&self) -> std::sync::MutexGuard<'_, HashMap<String, Url>> {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
