//! How the server is reached: whose certificates count, and through which proxy.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{NoProxy, Proxy};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::failure::Failure;
use super::options::WandbOptions;

/// The schemes a proxy can be named for, with the variables that name one for every program.
const SCHEMES: [(&str, [&str; 4]); 2] = [
    (
        "https",
        ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    ),
    (
        "http",
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    ),
];

/// A client that is not finished: the time limits are the caller's.
pub(super) fn client(options: &WandbOptions) -> Result<reqwest::ClientBuilder, Failure> {
    let agent = concat!("W&B Internal Client launch-", env!("CARGO_PKG_VERSION"));
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(options)?)
        .connect_timeout(Duration::from_secs(20))
        .user_agent(agent);
    let proxies = proxies(options)?.into_iter();
    Ok(proxies.fold(client, reqwest::ClientBuilder::proxy))
}

/// Nothing if none is named: then the client itself reads what the environment says to every
/// program. Where one is named, that is left for the other scheme alone. A proxy for W&B is
/// meant for W&B: `NO_PROXY` does not count for it.
fn proxies(options: &WandbOptions) -> Result<Vec<Proxy>, Failure> {
    let named = |scheme: &str| {
        let found = options.proxies.get(scheme);
        found.or_else(|| options.proxies.get("all"))
    };
    if SCHEMES.iter().all(|(scheme, _)| named(scheme).is_none()) {
        return Ok(Vec::new());
    }
    let mut proxies = Vec::new();
    for (scheme, variables) in SCHEMES {
        let own = named(scheme).map(|url| url.expose().to_owned());
        let is_own = own.is_some();
        let set = |name: &&str| std::env::var(name).ok().filter(|url| !url.is_empty());
        let Some(url) = own.or_else(|| variables.iter().find_map(set)) else {
            continue;
        };
        let proxy = match scheme {
            "https" => Proxy::https(url),
            _ => Proxy::http(url),
        };
        // The address is not shown: it may hold a password.
        let wrong = |_| Failure::Setup(format!("the proxy for `{scheme}` is no address"));
        let proxy = proxy.map_err(wrong)?;
        proxies.push(if is_own {
            proxy
        } else {
            proxy.no_proxy(NoProxy::from_env())
        });
    }
    Ok(proxies)
}

fn tls(options: &WandbOptions) -> Result<ClientConfig, Failure> {
    let setup = |error: rustls::Error| Failure::Setup(error.to_string());
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if options.is_insecure {
        Arc::new(AnyCertificate(Arc::clone(&provider)))
    } else {
        let authorities = match &options.authorities {
            Some(path) => authorities(path)?,
            None => Vec::new(),
        };
        let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider));
        Arc::new(verifier.map_err(setup)?)
    };
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?;
    Ok(versions
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// The certificates of a file, or of the files of a directory.
fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let mut files = vec![path.to_owned()];
    if fs_err::metadata(path)?.is_dir() {
        let entries: Result<Vec<_>, _> = fs_err::read_dir(path)?.collect();
        let entries = entries?.into_iter().map(|entry| entry.path());
        files = entries.filter(|path| path.is_file()).collect();
    }
    let mut found = Vec::new();
    for file in files {
        let text = fs_err::read(file)?;
        // A file among others may be something else.
        found.extend(CertificateDer::pem_slice_iter(&text).filter_map(Result::ok));
    }
    if found.is_empty() {
        let path = path.display();
        let message = format!("there is no certificate in PEM in `{path}`");
        return Err(Failure::Setup(message));
    }
    Ok(found)
}

/// Takes every certificate, as its name says. The handshake itself is checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
