//! How registries are reached, beyond what the system says.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::Error;

/// Authorities to trust and addresses to use beside the system's.
///
/// ```
/// use launch_registry::oci::{Network, OciRegistry};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Through `kubectl port-forward`, and with the name that is in the certificate.
/// let network = Network::default().with_address("registry.internal", "127.0.0.1:5443".parse()?);
/// let registry = OciRegistry::builder().with_network(network).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub(super) addresses: Vec<(String, SocketAddr)>,
    pub(super) authorities: Vec<CertificateDer<'static>>,
}

impl Network {
    /// Connects to `address` for `host`, whatever the name service says; its port counts where
    /// the host names none. What curl calls `--resolve`.
    #[must_use]
    pub fn with_address(mut self, host: impl Into<String>, address: SocketAddr) -> Self {
        self.addresses.push((host.into(), address));
        self
    }

    /// Trusts the authorities in `pem`, a text of one or more certificates, beside the
    /// system's: a company's, or a test's.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no certificate in it.
    pub fn with_authorities(mut self, pem: &str) -> Result<Self, Error> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let found = found.ok().filter(|found| !found.is_empty());
        let wrong = || Error::Config {
            origin: "the authorities to trust".to_owned(),
            source: "there is no certificate in PEM".into(),
        };
        self.authorities.extend(found.ok_or_else(wrong)?);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_no_authority() {
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\nx\n"] {
            assert!(Network::default().with_authorities(text).is_err(), "{text}");
        }
    }
}
