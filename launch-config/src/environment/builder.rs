//! The `builder` block.

use serde_json::{Map, Value};

use super::{Ambient, Block, BlockError, Fields};
use crate::registry::Registry;
use crate::store::StoreUri;

/// What the name of a build's job begins with.
pub const DEFAULT_JOB_NAME: &str = "wandb-launch-container-build";
/// The image of Kaniko, if the block names none.
pub const DEFAULT_KANIKO_IMAGE: &str = "gcr.io/kaniko-project/executor:v1.11.0";

/// How images are built.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Builder {
    /// By a Docker Engine.
    Docker {
        /// The platform built for; the engine's own if none is named.
        platform: Option<String>,
    },
    /// By Kaniko in a cluster.
    Kaniko(Box<Kaniko>),
    /// Not at all.
    Noop,
}

/// The settings of Kaniko.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Kaniko {
    /// Where build contexts are put, without a slash at its end.
    pub context_store: Option<StoreUri>,
    /// What the name of a build's job begins with.
    pub job_name: String,
    /// The secret with credentials for the store.
    pub secret_name: Option<String>,
    /// The key in that secret.
    pub secret_key: Option<String>,
    /// The image of Kaniko.
    pub image: String,
    /// What is laid over the job of a build.
    pub config: Map<String, Value>,
}

/// A builder, and where its images go.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BuilderSetup {
    /// The builder.
    pub builder: Builder,
    /// Where its images go.
    pub pushes_to: Registry,
    /// Whether that is a destination of its own.
    has_destination: bool,
    /// Whether the block names the builder.
    is_chosen: bool,
}

impl BuilderSetup {
    /// Reads a `builder` block. Without a type, Docker builds if it is there.
    ///
    /// # Errors
    /// A type that is unknown, a destination or a store that is none.
    pub fn read(
        block: Option<&Value>,
        registry: &Registry,
        ambient: &Ambient,
    ) -> Result<Self, BlockError> {
        let Some(fields) = Fields::open(Block::Builder, block)? else {
            let builder = Builder::Docker { platform: None };
            return Ok(Self::at(builder.or_noop(ambient), None, registry));
        };
        let chosen = fields.text("type")?;
        let docker = |platform: Option<&str>| Builder::Docker {
            platform: platform.map(str::to_owned),
        };
        let (builder, destination) = match chosen {
            None => (
                docker(fields.given("platform")?).or_noop(ambient),
                destination(fields)?,
            ),
            Some("docker") => (docker(fields.given("platform")?), destination(fields)?),
            Some("kaniko") => {
                let kaniko = Box::new(Kaniko::read(fields)?);
                let destination = fields.text("destination")?;
                (
                    Builder::Kaniko(kaniko),
                    destination.or(fields.given("uri")?),
                )
            }
            Some("noop") => (Builder::Noop, None),
            Some(other) => return Err(BlockError::UnknownType(Block::Builder, other.to_owned())),
        };
        let destination = destination.map(|text| Registry::of_destination(text, ambient));
        Ok(Self {
            is_chosen: chosen.is_some(),
            ..Self::at(builder, destination.transpose()?, registry)
        })
    }

    fn at(builder: Builder, destination: Option<Registry>, registry: &Registry) -> Self {
        Self {
            builder,
            has_destination: destination.is_some(),
            pushes_to: destination.unwrap_or_else(|| registry.clone()),
            is_chosen: false,
        }
    }

    /// The builder, if the block names it; else whoever builds decides when it builds.
    pub fn chosen(&self) -> Option<&Builder> {
        self.is_chosen.then_some(&self.builder)
    }

    /// Whether Docker pushes elsewhere than the `registry` block says; Kaniko's
    /// destination has always been the usual way.
    pub(super) fn overrides_registry(&self) -> bool {
        self.has_destination && matches!(self.builder, Builder::Docker { .. })
    }
}

impl Builder {
    /// The same, if the machine has it.
    fn or_noop(self, ambient: &Ambient) -> Self {
        if ambient.docker { self } else { Self::Noop }
    }
}

/// `destination`, or `uri`, as the documentation's sample for Google Cloud has it.
fn destination(fields: Fields<'_>) -> Result<Option<&str>, BlockError> {
    Ok(fields.given("destination")?.or(fields.given("uri")?))
}

impl Kaniko {
    fn read(fields: Fields<'_>) -> Result<Self, BlockError> {
        const STORE: &str = "build-context-store";
        let own = |key| Ok::<_, BlockError>(fields.text(key)?.map(str::to_owned));
        if fields.has(STORE) && fields.get(STORE).is_none() {
            return Err(BlockError::Missing(Block::Builder, STORE));
        }
        let store = fields.given(STORE)?.map(|text| text.trim_end_matches('/'));
        let config = match fields.get("kaniko-config") {
            None => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => {
                return Err(BlockError::Kind(
                    Block::Builder,
                    "kaniko-config",
                    "a mapping",
                ));
            }
        };
        Ok(Self {
            context_store: store
                .map(str::parse)
                .transpose()
                .map_err(BlockError::Store)?,
            job_name: own("build-job-name")?.unwrap_or_else(|| DEFAULT_JOB_NAME.to_owned()),
            secret_name: own("secret-name")?,
            secret_key: own("secret-key")?,
            image: own("kaniko-image")?.unwrap_or_else(|| DEFAULT_KANIKO_IMAGE.to_owned()),
            config,
        })
    }
}
