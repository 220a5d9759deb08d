//! What can be wrong with a block.

use std::fmt;

use crate::registry::AddressError;
use crate::store::ParseStoreError;

/// A block of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Block {
    /// All blocks together.
    Configuration,
    /// `environment`.
    Environment,
    /// `registry`.
    Registry,
    /// `builder`.
    Builder,
}

impl Block {
    /// The block's key.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Environment => "environment",
            Self::Registry => "registry",
            Self::Builder => "builder",
        }
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose credentials are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS",
            Self::Gcp => "Google Cloud",
        })
    }
}

/// Why the blocks of a configuration mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// A block is not a mapping.
    #[error("`{0}` is not a mapping")]
    NotAMapping(Block),
    /// A block that is not empty has no type.
    #[error("`{0}` has no `type`")]
    NoType(Block),
    /// There is no such type.
    #[error("`{0}.type` cannot be `{1}`")]
    UnknownType(Block, String),
    /// A key that is needed is missing or empty.
    #[error("`{0}.{1}` is missing")]
    Missing(Block, &'static str),
    /// The value of a key has the wrong kind.
    #[error("`{0}.{1}` is not {2}")]
    Kind(Block, &'static str, &'static str),
    /// A key the type does not have.
    #[error("`{0}.{1}` is not a key of this type")]
    UnknownKey(Block, String),
    /// There are no credentials for the cloud.
    #[error("`{0}` needs credentials for {1}, and there are none")]
    NoCredentials(Block, Cloud),
    /// The address is no address.
    #[error("`{0}.{1}` is not a usable address")]
    Address(Block, &'static str, #[source] AddressError),
    /// The address is of another kind than the block's type says.
    #[error("`registry.uri` is `{uri}`, which is not an address of type `{wanted}`")]
    OtherKind {
        /// The address.
        uri: String,
        /// The type of the block.
        wanted: &'static str,
    },
    /// Both an address and its parts are given.
    #[error("`registry.uri` and `registry.{0}` are both given")]
    Mixed(&'static str),
    /// The parts do not make an address.
    #[error("the parts of `registry` make no address")]
    Parts,
    /// The store for build contexts is not one.
    #[error("`builder.build-context-store` is not a store")]
    Store(#[source] ParseStoreError),
    /// `builder.credentials` and `registry.credentials` are not the same.
    #[error("`builder.credentials` and `registry.credentials` differ")]
    Credentials,
}

impl BlockError {
    /// The block that is wrong.
    pub fn block(&self) -> Block {
        match self {
            Self::NotAMapping(block)
            | Self::NoType(block)
            | Self::UnknownType(block, _)
            | Self::Missing(block, _)
            | Self::Kind(block, ..)
            | Self::UnknownKey(block, _)
            | Self::NoCredentials(block, _)
            | Self::Address(block, ..) => *block,
            Self::OtherKind { .. } | Self::Mixed(_) | Self::Parts => Block::Registry,
            Self::Store(_) => Block::Builder,
            Self::Credentials => Block::Configuration,
        }
    }

    /// What to do about it, if there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Address(_, _, error) => Some(error.hint()),
            Self::Store(error) => Some(error.hint()),
            Self::NoType(Block::Environment) => Some("the types are aws, gcp and azure"),
            Self::Mixed(_) => Some("give `uri` alone"),
            _ => None,
        }
    }
}
