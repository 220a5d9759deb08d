//! JSON web tokens (RFC 7519) that prove who we are to a token service, signed with RSA.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use launch_config::secret::Secret;
use rustls::SignatureScheme;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

/// How a token is signed (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Algorithm {
    #[cfg(feature = "gcp")]
    Rs256,
    #[cfg(feature = "azure")]
    Ps256,
}

impl Algorithm {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            #[cfg(feature = "gcp")]
            Self::Rs256 => "RS256",
            #[cfg(feature = "azure")]
            Self::Ps256 => "PS256",
        }
    }

    fn scheme(self) -> SignatureScheme {
        match self {
            #[cfg(feature = "gcp")]
            Self::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
            #[cfg(feature = "azure")]
            Self::Ps256 => SignatureScheme::RSA_PSS_SHA256,
        }
    }
}

/// The token of `header` and `claims`, signed with the key in `pem` (PKCS #1 or #8).
///
/// # Errors
/// What is wrong with the key, without a byte of it.
pub(crate) fn signed(
    algorithm: Algorithm,
    header: &Value,
    claims: &Value,
    pem: &Secret,
) -> Result<Secret, &'static str> {
    let key = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes());
    let key = key.map_err(|_| "it holds no private key in PEM without a password")?;
    let key = ring::default_provider().key_provider.load_private_key(key);
    let key = key.map_err(|_| "its private key cannot be used")?;
    let signer = key.choose_scheme(&[algorithm.scheme()]);
    let signer = signer.ok_or("its private key is not RSA")?;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let signature = signer.sign(text.as_bytes());
    let signature = signature.map_err(|_| "its private key does not sign")?;
    Ok(Secret::new(format!(
        "{text}.{}",
        URL_SAFE_NO_PAD.encode(signature)
    )))
}

/// The claims of a token that came from a token service over TLS, unverified: good for showing
/// who we are, and for nothing else.
#[cfg(feature = "azure")]
pub(crate) fn claims(token: &Secret) -> Option<Value> {
    let part = token.expose().split('.').nth(1)?;
    let part = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&part).ok()
}
