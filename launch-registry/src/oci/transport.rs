//! What all sessions with all registries share, and the choice between https and http.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use launch_config::image::Digest;
use reqwest::StatusCode;
use url::Url;

use super::auth::Auth;
use super::endpoint;
use super::http::{HttpClients, Timeouts};
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
    /// The largest requests that registries take, where one was too large.
    limits: Mutex<HashMap<String, u64>>,
    /// A repository of a registry that has a blob.
    places: Mutex<HashMap<(String, Digest), String>>,
}

/// As many blobs are remembered: then it is begun anew, since all of it is only a hint.
const PLACES: usize = 10_000;

/// A poisoned map is still a map: entries are inserted whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport {
    pub(crate) fn new(
        auth: Auth,
        retry: RetryPolicy,
        timeouts: Timeouts,
        insecure: Vec<String>,
    ) -> Result<Arc<Self>, reqwest::Error> {
        let clients = HttpClients::new(&timeouts)?;
        let (bases, limits, places) = Default::default();
        Ok(Arc::new(Self {
            clients,
            auth,
            retry,
            timeouts,
            insecure,
            bases,
            limits,
            places,
        }))
    }

    /// How large requests to `registry` may be, if that was found out.
    pub(crate) fn limit(&self, registry: &str) -> Option<u64> {
        locked(&self.limits).get(registry).copied()
    }

    pub(crate) fn set_limit(&self, registry: &str, limit: u64) {
        locked(&self.limits).insert(registry.to_owned(), limit);
    }

    /// A repository of the registry of `target`, another one, that had the blob.
    pub(crate) fn place(&self, target: &Target, digest: Digest) -> Option<String> {
        let places = locked(&self.places);
        let place = places.get(&(target.registry.clone(), digest))?;
        (*place != target.repository).then(|| place.clone())
    }

    pub(crate) fn set_place(&self, target: &Target, digest: Digest) {
        let mut places = locked(&self.places);
        if places.len() >= PLACES {
            places.clear();
        }
        places.insert((target.registry.clone(), digest), target.repository.clone());
    }

    /// The API's root of the registry of `target`.
    ///
    /// Everything is https, but for loopback and for hosts declared insecure: these are
    /// asked once, https first as docker does it, and http only if that is not answered.
    /// Unlike docker we never look past a bad certificate.
    pub(crate) async fn base(&self, target: &Target) -> Result<Url, Error> {
        let host = &target.registry;
        if let Some(base) = locked(&self.bases).get(host) {
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
        locked(&self.bases).insert(host.clone(), base.clone());
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
}
