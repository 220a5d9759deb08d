//! Tells a certificate that is not trusted from a connection that failed: only the latter
//! may be better next time.

use std::error::Error as StdError;
use std::io;

use super::retry::Pace;
use super::status::Target;
use crate::Error;

/// Why a request got no answer.
pub(crate) type Source = Box<dyn StdError + Send + Sync>;

impl Target {
    /// The error for a failed connection, if trying again is pointless.
    pub(crate) fn untrusted(&self, source: Source) -> Result<Error, Source> {
        if !is_certificate(&*source) {
            return Err(source);
        }
        let registry = self.registry.clone();
        Ok(Error::Untrusted { registry, source })
    }

    /// The error for a failed connection, after the last try.
    pub(crate) fn unreachable(&self, pace: &Pace<'_>, source: Source) -> Error {
        Error::Unreachable {
            registry: self.registry.clone(),
            tries: pace.tries(),
            seconds: pace.seconds(),
            source,
        }
    }
}

/// Whether a certificate that was not accepted is among the causes.
pub(crate) fn is_certificate(error: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    // An I/O error names as its source not what it wraps, but the source of that.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    wrapped.is_some_and(|wrapped| is_certificate(wrapped))
        || error.source().is_some_and(is_certificate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::CertificateError;

    #[test]
    fn certificates_are_found_however_deep() {
        let inner = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        let target = Target {
            registry: "r.io".into(),
            repository: "a".into(),
            action: "push to",
        };
        let error = target.untrusted(wrapped.into()).unwrap();
        assert!(matches!(error, Error::Untrusted { .. }) && !error.is_retryable());
        let other = io::Error::new(io::ErrorKind::ConnectionReset, rustls::Error::DecryptError);
        assert!(target.untrusted(other.into()).is_err());
    }
}
