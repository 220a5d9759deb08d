//! What can go wrong with a registry.

use launch_config::image::Digest;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a registry refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry wants other credentials, or some at all.
    #[error("registry `{registry}` does not accept our credentials for `{repository}`{said}", said = tail(.said))]
    Unauthorized {
        /// The host.
        registry: String,
        /// The repository.
        repository: String,
        /// What the registry said, reduced to its useful sentence.
        said: String,
    },
    /// The credentials are good and may not do this.
    #[error("registry `{registry}` does not allow us to {action} `{repository}`{said}", said = tail(.said))]
    Denied {
        /// The host.
        registry: String,
        /// The repository.
        repository: String,
        /// What was tried: `pull from`, `push to`.
        action: &'static str,
        /// What the registry said.
        said: String,
    },
    /// The registry does not answer.
    #[error("registry `{registry}` does not answer after {tries} tries over {seconds} s")]
    Unreachable {
        /// The host.
        registry: String,
        /// How often it was asked.
        tries: u32,
        /// Over how many seconds.
        seconds: u64,
        /// The last failure.
        #[source]
        source: Source,
    },
    /// The registry's certificate is not one that this system trusts.
    #[error("the certificate of registry `{registry}` is not trusted here")]
    Untrusted {
        /// The host.
        registry: String,
        /// Why not.
        #[source]
        source: Source,
    },
    /// The registry answered what the specification does not allow, or refused the content.
    #[error("registry `{registry}` answered {status} to {request}{said}", said = tail(.said))]
    Protocol {
        /// The host.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// Method and path, without secrets.
        request: String,
        /// What the registry said.
        said: String,
    },
    /// The registry, or a proxy before it, takes no request of this size.
    #[error("registry `{registry}` does not take the {bytes} bytes of {request}{said}", said = tail(.said))]
    TooLarge {
        /// The host.
        registry: String,
        /// How long the body of the request was.
        bytes: u64,
        /// Method and path, without secrets.
        request: String,
        /// What the registry said.
        said: String,
    },
    /// Content does not have the digest it should have.
    #[error("{what} has digest {found} instead of {expected}")]
    Digest {
        /// What was read.
        what: String,
        /// What its name says.
        expected: Digest,
        /// What its bytes say.
        found: Digest,
    },
    /// The OCI layout is not one, or a part of it is missing.
    #[error("OCI layout `{path}` is not valid: {why}")]
    Layout {
        /// The directory or file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A credential source is broken.
    #[error("cannot read credentials from {origin}")]
    Config {
        /// The file or helper program.
        origin: String,
        /// Why.
        #[source]
        source: Source,
    },
    /// A file of the layout cannot be read.
    #[error("cannot read the image")]
    Io(#[from] std::io::Error),
}

fn tail(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl Error {
    /// Whether trying the same call again may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Protocol { status, .. } => *status >= 500 || *status == 429,
            Self::Unauthorized { .. }
            | Self::Denied { .. }
            | Self::Untrusted { .. }
            | Self::TooLarge { .. }
            | Self::Digest { .. }
            | Self::Layout { .. }
            | Self::Config { .. }
            | Self::Io(_) => false,
        }
    }

    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized { .. } => {
                Some("`docker login` writes credentials that are read here")
            }
            Self::Denied { .. } => Some("ask the registry's owner for the permission named above"),
            Self::Unreachable { .. } => Some("is the host right, and is a proxy needed?"),
            Self::Untrusted { .. } => {
                Some("`SSL_CERT_FILE` names a file with the authorities to trust")
            }
            Self::TooLarge { .. } => Some(
                "smaller pieces were tried too: raise the limit of the proxy before the \
                 registry (nginx calls it `client_max_body_size`) or of the registry",
            ),
            Self::Config { .. } => Some("`docker login` writes the file anew"),
            Self::Protocol { status: 404, .. } => {
                Some("does the repository exist? some registries want it made before a push")
            }
            Self::Protocol { .. } | Self::Digest { .. } | Self::Layout { .. } | Self::Io(_) => None,
        }
    }
}
