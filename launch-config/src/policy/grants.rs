//! What an administrator opened.

use std::collections::{BTreeMap, BTreeSet};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{docker, kubernetes};
use crate::fields::nearest;

/// Why a word of an `allow` list opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseGrantError {
    /// Nothing of this name can be opened.
    #[error("`{word}` is nothing that can be opened")]
    Unknown {
        /// The word as given, without a value.
        word: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// The agent decides about it.
    #[error("`{word}` is set by the agent itself")]
    Reserved {
        /// The option.
        word: String,
    },
    /// It is open for everybody, for every value.
    #[error("`{word}` is always allowed and cannot be limited to a value")]
    AlwaysAllowed {
        /// The option.
        word: String,
    },
    /// It has no values to compare.
    #[error("`{word}` can be opened as a whole only")]
    NoValues {
        /// The key.
        word: String,
    },
}

impl ParseGrantError {
    /// What may have been meant.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } => nearest.map(|near| format!("did you mean `{near}`?")),
            _ => None,
        }
    }
}

/// How far one thing is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grant {
    /// For every value.
    Any,
    /// For these values.
    Values(BTreeSet<String>),
}

impl Grant {
    pub(super) fn covers(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Values(values) => values.contains(value),
        }
    }
}

type Grants = BTreeMap<&'static str, Grant>;

fn open(grants: &mut Grants, name: &'static str, value: Option<&str>) {
    let grant = grants
        .entry(name)
        .or_insert_with(|| Grant::Values(BTreeSet::new()));
    match (grant, value) {
        (Grant::Any, _) => {}
        (grant, None) => *grant = Grant::Any,
        (Grant::Values(values), Some(value)) => {
            values.insert(value.to_owned());
        }
    }
}

/// `NAME` or `NAME=VALUE`.
fn split(word: &str) -> (&str, Option<&str>) {
    word.split_once('=')
        .map_or((word, None), |(name, value)| (name, Some(value)))
}

fn words(grants: &Grants) -> impl Iterator<Item = String> {
    grants.iter().flat_map(|(name, grant)| match grant {
        Grant::Any => vec![(*name).to_owned()],
        Grant::Values(values) => values
            .iter()
            .map(|value| format!("{name}={value}"))
            .collect(),
    })
}

macro_rules! grants {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name(pub(super) BTreeMap<&'static str, Grant>);

        impl $name {
            /// What is open, as an `allow` list spells it.
            pub fn words(&self) -> impl Iterator<Item = String> {
                words(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut block = serializer.serialize_struct(stringify!($name), 1)?;
                block.serialize_field("allow", &self.words().collect::<Vec<_>>())?;
                block.end()
            }
        }
    };
}

grants! {
    /// Docker options that are open beyond the strict list.
    DockerGrants
}

grants! {
    /// Keys of Kubernetes manifests that are open.
    KubernetesGrants
}

impl DockerGrants {
    /// What can be opened.
    pub fn openable() -> impl Iterator<Item = &'static str> {
        docker::OPENABLE.iter().map(|option| option.name)
    }

    /// Opens one option; see [`Policy::open_docker`](super::Policy::open_docker).
    pub(super) fn open(&mut self, grant: &str) -> Result<(), ParseGrantError> {
        let (raw, value) = split(grant);
        let (name, word) = (docker::normalised(raw), raw.to_owned());
        if let Some(option) = docker::openable(&name) {
            open(&mut self.0, option.name, value);
            return Ok(());
        }
        if docker::ALLOWED.contains(&name.as_str()) {
            return value.map_or(Ok(()), |_| Err(ParseGrantError::AlwaysAllowed { word }));
        }
        if docker::RESERVED.contains(&name.as_str()) {
            return Err(ParseGrantError::Reserved { word });
        }
        let known: Vec<&str> = Self::openable().collect();
        let nearest = nearest(&name, &known);
        Err(ParseGrantError::Unknown { word, nearest })
    }
}

impl KubernetesGrants {
    /// What can be opened.
    pub fn openable() -> impl Iterator<Item = &'static str> {
        let keys = kubernetes::RULES.iter().map(|rule| rule.key);
        keys.filter(|key| kubernetes::opened_by(key) == *key)
            .chain([kubernetes::UNCONFINED])
    }

    /// Opens one key; see [`Policy::open_kubernetes`](super::Policy::open_kubernetes).
    pub(super) fn open(&mut self, grant: &str) -> Result<(), ParseGrantError> {
        let (raw, value) = split(grant);
        let word = raw.to_owned();
        let Some(key) = Self::openable().find(|key| *key == kubernetes::opened_by(raw)) else {
            let known: Vec<&str> = Self::openable().collect();
            let nearest = nearest(raw, &known);
            return Err(ParseGrantError::Unknown { word, nearest });
        };
        if value.is_some() && !kubernetes::has_values(key) {
            return Err(ParseGrantError::NoValues { word });
        }
        open(&mut self.0, key, value);
        Ok(())
    }
}
