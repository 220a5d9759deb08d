//! The `registry` block, and what a `builder.destination` stands for.

use serde_json::Value;

use super::{Address, AddressError, ArtifactRegistry, Ecr, RegistryUri};
use crate::environment::{Ambient, Block, BlockError, Cloud, Fields};

const ECR: &[&str] = &[
    "type",
    "uri",
    "account_id",
    "region",
    "repo_name",
    "repository",
];
const GCR: &[&str] = &[
    "type",
    "uri",
    "repository",
    "image-name",
    "region",
    "project",
];

/// Where images are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registry {
    /// In the Docker Engine that built them.
    Local,
    /// In a registry.
    Remote {
        /// The address as it was written, without `https://`.
        written: String,
        /// The repository it names.
        uri: RegistryUri,
    },
}

impl Registry {
    /// Reads a `registry` block; none, an empty one, or one without a type is local.
    ///
    /// # Errors
    /// A type or a key that is unknown, an address that is none or of another kind, or
    /// missing credentials.
    pub fn read(block: Option<&Value>, ambient: &Ambient) -> Result<Self, BlockError> {
        let Some(fields) = Fields::open(Block::Registry, block)? else {
            return Ok(Self::Local);
        };
        match fields.text("type")? {
            None | Some("local") => Ok(Self::Local),
            Some("ecr") => ecr(fields, ambient),
            Some("gcr") => {
                let registry = artifact_registry(fields, ambient)?;
                let missing = BlockError::NoCredentials(Block::Registry, Cloud::Gcp);
                ambient.gcp.then_some(registry).ok_or(missing)
            }
            Some("acr") => {
                let text = fields.required("uri")?;
                address(text, "acr", |uri| matches!(uri, RegistryUri::Acr(_)))
            }
            Some(other) => Err(BlockError::UnknownType(Block::Registry, other.to_owned())),
        }
    }

    /// What a `builder.destination` stands for; a tag in it is kept apart.
    ///
    /// # Errors
    /// [`BlockError::Address`] if it is no address, or lacks the name of an image;
    /// [`BlockError::NoCredentials`] for Artifact Registry without credentials.
    pub fn of_destination(text: &str, ambient: &Ambient) -> Result<Self, BlockError> {
        let wrong = |error| BlockError::Address(Block::Builder, "destination", error);
        let address = Address::read(text);
        let registry = Self::of_address(&address).map_err(wrong)?;
        let google = matches!(address.repository(), Ok(RegistryUri::ArtifactRegistry(_)));
        if google && !ambient.gcp {
            return Err(BlockError::NoCredentials(Block::Builder, Cloud::Gcp));
        }
        Ok(registry)
    }

    fn of_address(address: &Address) -> Result<Self, AddressError> {
        Ok(Self::Remote {
            uri: address.repository()?.clone(),
            written: address.to_string(),
        })
    }

    fn of_uri(uri: RegistryUri) -> Self {
        let written = uri.to_string();
        Self::Remote { written, uri }
    }

    /// The repository images are pushed to; none if they stay in the engine.
    pub fn repository(&self) -> Option<&RegistryUri> {
        match self {
            Self::Local => None,
            Self::Remote { uri, .. } => Some(uri),
        }
    }
}

fn address(
    text: &str,
    wanted: &'static str,
    is_wanted: fn(&RegistryUri) -> bool,
) -> Result<Registry, BlockError> {
    let wrong = |error| BlockError::Address(Block::Registry, "uri", error);
    let address = Address::read(text);
    if !is_wanted(address.recognised().map_err(wrong)?) {
        let uri = text.to_owned();
        return Err(BlockError::OtherKind { uri, wanted });
    }
    Registry::of_address(&address).map_err(wrong)
}

/// An address alone, or its parts; the repository goes by either of its two keys.
fn ecr(fields: Fields<'_>, ambient: &Ambient) -> Result<Registry, BlockError> {
    fields.only(ECR)?;
    if let Some(text) = fields.given("uri")? {
        alone(fields, &["account_id", "region", "repo_name", "repository"])?;
        return address(text, "ecr", |uri| matches!(uri, RegistryUri::Ecr(_)));
    }
    let account = fields.number_or_text("account_id")?;
    let account = account.ok_or(BlockError::Missing(Block::Registry, "account_id"))?;
    let region = fields.given("region")?.or(ambient.region.as_deref());
    let region = region.ok_or(BlockError::Missing(Block::Registry, "region"))?;
    let repository = match (fields.given("repository")?, fields.given("repo_name")?) {
        (Some(one), Some(other)) if one != other => return Err(BlockError::Parts),
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => return Err(BlockError::Missing(Block::Registry, "repository")),
    };
    let parts = Ecr::of_parts(&account, region, repository).ok_or(BlockError::Parts)?;
    Ok(Registry::of_uri(RegistryUri::Ecr(parts)))
}

fn artifact_registry(fields: Fields<'_>, ambient: &Ambient) -> Result<Registry, BlockError> {
    fields.only(GCR)?;
    if let Some(text) = fields.given("uri")? {
        alone(fields, &["repository", "image-name", "region", "project"])?;
        let wanted = |uri: &RegistryUri| matches!(uri, RegistryUri::ArtifactRegistry(_));
        return address(text, "gcr", wanted);
    }
    let region = fields.required("region")?;
    let repository = fields.required("repository")?;
    let image = fields.required("image-name")?;
    let project = fields.given("project")?.or(ambient.gcp_project.as_deref());
    let project = project.ok_or(BlockError::Missing(Block::Registry, "project"))?;
    let parts = ArtifactRegistry::of_parts(region, project, repository, image);
    let parts = parts.ok_or(BlockError::Parts)?;
    Ok(Registry::of_uri(RegistryUri::ArtifactRegistry(parts)))
}

fn alone(fields: Fields<'_>, others: &[&'static str]) -> Result<(), BlockError> {
    match others.iter().find(|key| fields.get(key).is_some()) {
        Some(key) => Err(BlockError::Mixed(key)),
        None => Ok(()),
    }
}
