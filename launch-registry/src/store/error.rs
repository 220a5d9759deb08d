//! What can go wrong with a store.

use std::io;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a store refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The bucket or container is not there.
    #[error("{what} of `{store}` does not exist")]
    Missing {
        /// The store's address.
        store: String,
        /// `the bucket`, `the container`.
        what: &'static str,
    },
    /// Our identity is known and may not do this.
    #[error("we may not {action} `{store}`: {permission} is missing{said}", said = tail(.said))]
    Denied {
        /// The store's address.
        store: String,
        /// What was tried: `write to`, `delete from`.
        action: &'static str,
        /// The permission, as the cloud calls it.
        permission: &'static str,
        /// What the store said.
        said: String,
    },
    /// The store does not know us.
    #[error("`{store}` does not accept our credentials{said}", said = tail(.said))]
    Unauthorized {
        /// The store's address.
        store: String,
        /// What the store said.
        said: String,
    },
    /// There are no credentials to show.
    #[error("there are no credentials for `{store}`")]
    Credentials {
        /// The store's address.
        store: String,
        /// What was tried, and why each step failed.
        #[source]
        source: Source,
    },
    /// The store does not answer.
    #[error("`{store}` does not answer after {tries} tries over {seconds} s")]
    Unreachable {
        /// The store's address.
        store: String,
        /// How often it was asked.
        tries: u32,
        /// Over how many seconds.
        seconds: u64,
        /// The last failure.
        #[source]
        source: Source,
    },
    /// The store's certificate is not one that this system trusts.
    #[error("the certificate of `{store}` is not trusted here")]
    Untrusted {
        /// The store's address.
        store: String,
        /// Why not.
        #[source]
        source: Source,
    },
    /// The store answered something else.
    #[error("`{store}` answered {status} when we tried to {action} it{said}", said = tail(.said))]
    Answered {
        /// The store's address.
        store: String,
        /// What was tried.
        action: &'static str,
        /// The HTTP status; 0 if what came was no answer to be understood.
        status: u16,
        /// What the store said.
        said: String,
    },
    /// A name that no object can have.
    #[error("`{name}` cannot be the name of an object in `{store}`: {why}")]
    Name {
        /// The store's address.
        store: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The store cannot be used as it is described.
    #[error("`{store}` cannot be used: {why}")]
    Config {
        /// The store's address.
        store: String,
        /// What is wrong.
        why: String,
    },
    /// This program was compiled without the feature.
    #[error("`{store}` needs the feature `{feature}`, without which this program was built")]
    NotBuilt {
        /// The store's address.
        store: String,
        /// The feature of launch-registry.
        feature: &'static str,
    },
    /// What is to be put cannot be read.
    #[error("cannot read what is to be put into `{store}`")]
    Io {
        /// The store's address.
        store: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn tail(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl StoreError {
    /// Whether trying the same call again may succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Answered { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => {
                Some("make it, or correct the name; names are not searched for")
            }
            Self::Denied { .. } => Some(
                "grant the permission to the identity in use; `docs/permissions.md` has the \
                 least policy, to be pasted",
            ),
            Self::Unauthorized { .. } => {
                Some("are the credentials those of this account, and is the clock right?")
            }
            Self::Credentials { .. } => Some("log in with the cloud's own tool, and try again"),
            Self::Unreachable { .. } => {
                Some("is the name right, is the endpoint, and is a proxy needed?")
            }
            Self::Untrusted { .. } => {
                Some("`SSL_CERT_FILE` names a file with the authorities to trust")
            }
            Self::Answered {
                status: 301 | 307 | 400,
                ..
            } => Some("is the store in the region that is configured?"),
            _ => None,
        }
    }
}
