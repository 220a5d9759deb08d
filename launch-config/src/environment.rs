//! Where an agent builds and runs: its `environment`, `registry` and `builder` blocks,
//! read to what they mean together.
//!
//! Nothing here reaches out: what the machine offers ([`Ambient`]) is told by the caller.
//!
//! ```
//! use launch_config::environment::{Ambient, Blocks, Setup};
//! use serde_json::json;
//!
//! let file = json!({"builder": {"type": "docker", "destination": "acme/models"}});
//! let setup = Setup::read(&Blocks::of_agent(&file), &Ambient::default())?;
//! assert_eq!(setup.builder.pushes_to.repository().unwrap().to_string(), "acme/models");
//! # Ok::<(), launch_config::environment::BlockError>(())
//! ```

mod arn;
mod builder;
mod error;
mod fields;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use arn::{Arn, ParseArnError};
pub use builder::{Builder, BuilderSetup, DEFAULT_JOB_NAME, DEFAULT_KANIKO_IMAGE, Kaniko};
pub use error::{Block, BlockError, Cloud};
pub(crate) use fields::Fields;

use crate::registry::Registry;

/// What the machine and its identity offer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ambient {
    /// Whether there is a program `docker`.
    pub docker: bool,
    /// Whether there are credentials for AWS.
    pub aws: bool,
    /// Whether there are credentials for Google Cloud.
    pub gcp: bool,
    /// The project of these credentials.
    pub gcp_project: Option<String>,
    /// The region of an ECR registry whose block names none; the environment's goes first.
    pub region: Option<String>,
}

impl Default for Ambient {
    /// Everything is there, but for a project.
    fn default() -> Self {
        Self {
            docker: true,
            aws: true,
            gcp: true,
            gcp_project: None,
            region: None,
        }
    }
}

/// The cloud an agent works in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Environment {
    /// None.
    Local,
    /// Amazon Web Services.
    Aws {
        /// The region; that of the credentials if it is null.
        region: Option<String>,
    },
    /// Google Cloud.
    Gcp {
        /// The region.
        region: String,
    },
    /// Azure, which needs no region.
    Azure,
}

impl Environment {
    /// Reads an `environment` block; none, or an empty one, is the local environment.
    ///
    /// # Errors
    /// A type that is missing or unknown, a region or credentials that are missing.
    pub fn read(block: Option<&Value>, ambient: &Ambient) -> Result<Self, BlockError> {
        let Some(fields) = Fields::open(Block::Environment, block)? else {
            return Ok(Self::Local);
        };
        let no_type = || BlockError::NoType(Block::Environment);
        match fields.text("type")?.ok_or_else(no_type)? {
            "local" => Ok(Self::Local),
            "aws" => {
                let region = region(fields)?;
                let aws = Self::Aws { region };
                let missing = BlockError::NoCredentials(Block::Environment, Cloud::Aws);
                ambient.aws.then_some(aws).ok_or(missing)
            }
            "gcp" => {
                let region = fields.required("region")?.to_owned();
                Ok(Self::Gcp { region })
            }
            "azure" => Ok(Self::Azure),
            other => Err(BlockError::UnknownType(
                Block::Environment,
                other.to_owned(),
            )),
        }
    }

    /// The region, if the environment has one.
    pub fn region(&self) -> Option<&str> {
        match self {
            Self::Aws { region } => region.as_deref(),
            Self::Gcp { region } => Some(region),
            Self::Local | Self::Azure => None,
        }
    }
}

/// The key has to be there, as the Python agent wants it, even if it says nothing.
fn region(fields: Fields<'_>) -> Result<Option<String>, BlockError> {
    const KEY: &str = "region";
    match fields.text(KEY)? {
        Some(region) if !region.is_empty() => Ok(Some(region.to_owned())),
        None if fields.has(KEY) => Ok(None),
        _ => Err(BlockError::Missing(Block::Environment, KEY)),
    }
}

/// The three blocks, from where they count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Blocks<'a> {
    environment: Option<&'a Value>,
    registry: Option<&'a Value>,
    builder: Option<&'a Value>,
}

impl<'a> Blocks<'a> {
    /// Those of an agent file. A `builder` in a run spec counts for nothing.
    pub fn of_agent(file: &'a Value) -> Self {
        Self {
            environment: block(file, "environment"),
            registry: block(file, "registry"),
            builder: block(file, "builder"),
        }
    }

    /// Those of a launch without an agent: the environment is the one of the user's own
    /// file; registry and builder are `given` ones, else those of the file too. A builder
    /// of the run spec counts if no configuration is given.
    pub fn of_launch(
        given: Option<&'a Value>,
        spec_builder: Option<&'a Value>,
        file: Option<&'a Value>,
    ) -> Self {
        let file = file.map(Blocks::of_agent).unwrap_or_default();
        let given = match given {
            Some(given) => Self::of_agent(given),
            None => Self {
                builder: spec_builder.filter(|value| !value.is_null()),
                ..Self::default()
            },
        };
        Self {
            environment: file.environment,
            registry: given.registry.or(file.registry),
            builder: given.builder.or(file.builder),
        }
    }
}

fn block<'a>(file: &'a Value, key: &str) -> Option<&'a Value> {
    file.get(key).filter(|value| !value.is_null())
}

/// Something that works, and should be written otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// There is a `registry` block.
    RegistryBlock,
    /// `builder.destination` counts instead of a registry.
    DestinationCounts,
}

impl Advice {
    /// What is told.
    pub fn message(self) -> &'static str {
        match self {
            Self::RegistryBlock => "`registry` is deprecated: write `builder.destination`",
            Self::DestinationCounts => {
                "images are pushed to `builder.destination`, whatever `registry` says"
            }
        }
    }
}

/// What the three blocks mean together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Setup {
    /// The cloud.
    pub environment: Environment,
    /// The registry runners pull from.
    pub registry: Registry,
    /// How images are built, and where they go.
    pub builder: BuilderSetup,
    /// What should be told.
    pub advice: Vec<Advice>,
}

impl Setup {
    /// Reads the blocks.
    ///
    /// # Errors
    /// The first thing that is wrong, in the order configuration as a whole,
    /// environment, registry, builder.
    pub fn read(blocks: &Blocks<'_>, ambient: &Ambient) -> Result<Self, BlockError> {
        same_credentials(blocks)?;
        let environment = Environment::read(blocks.environment, ambient)?;
        let mut around = ambient.clone();
        let region = environment.region().map(str::to_owned);
        around.region = region.or(around.region);
        let registry = Registry::read(blocks.registry, &around)?;
        let builder = BuilderSetup::read(blocks.builder, &registry, ambient)?;
        let block = Fields::open(Block::Registry, blocks.registry)?;
        let mut advice: Vec<_> = block.map(|_| Advice::RegistryBlock).into_iter().collect();
        advice.extend(
            builder
                .overrides_registry()
                .then_some(Advice::DestinationCounts),
        );
        Ok(Self {
            environment,
            registry,
            builder,
            advice,
        })
    }
}

/// `credentials` in both blocks, an old key, must be the same.
fn same_credentials(blocks: &Blocks<'_>) -> Result<(), BlockError> {
    let of = |value: Option<&'_ Value>| {
        let credentials = value.and_then(|value| block(value, "credentials"));
        credentials.cloned()
    };
    match (of(blocks.registry), of(blocks.builder)) {
        (Some(registry), Some(builder)) if registry != builder => Err(BlockError::Credentials),
        _ => Ok(()),
    }
}
