//! The `registry` block, and addresses in both generations of files.

use serde::Serialize;
use serde_json::Value;

use super::EnvironmentConfig;
use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;
use crate::load::{Problem, ProblemKind};
use crate::registry::{Address, ArtifactRegistry, Ecr, RegistryUri};

/// The `registry` block; `builder.destination` succeeds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct RegistryConfig {
    /// Whose registry it is: `ecr`, `gcr` (Artifact Registry), `acr`, or `local` for none.
    #[serde(rename = "type")]
    pub kind: Option<RegistryKind>,
    /// The repository images are pushed to, without a tag. If the block gives its parts
    /// instead, and all of them are known, it is made of these.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub uri: Option<ImageRef>,
    /// ECR: the account that owns the registry, twelve digits.
    pub account_id: Option<String>,
    /// ECR, Artifact Registry: the region; `environment.region` if absent.
    pub region: Option<String>,
    /// ECR, Artifact Registry: the repository.
    pub repository: Option<String>,
    /// Artifact Registry: the image's name in the repository.
    #[serde(rename = "image-name")]
    pub image_name: Option<String>,
    /// Artifact Registry: the project; `environment.project` if absent.
    pub project: Option<String>,
}

/// The registries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RegistryKind {
    /// Amazon's.
    Ecr,
    /// Google's Artifact Registry.
    Gcr,
    /// Azure's.
    Acr,
    /// None: images stay where they were built.
    Local,
}

pub(super) const KEYS: &[&str] = &[
    "type",
    "uri",
    "url",
    "account_id",
    "region",
    "repository",
    "repo_name",
    "image-name",
    "project",
    "credentials",
];

impl RegistryConfig {
    pub(super) fn read(
        value: Option<&Value>,
        environment: &EnvironmentConfig,
        problems: &mut Problems,
    ) -> Self {
        let block = Fields::open(value, "registry", KEYS, Unknown::Warning, problems);
        let kind = block.one_of("type", &["ecr", "gcr", "acr", "local"], problems);
        let kind = kind.map(|kind| match kind {
            "ecr" => RegistryKind::Ecr,
            "gcr" => RegistryKind::Gcr,
            "acr" => RegistryKind::Acr,
            _ => RegistryKind::Local,
        });
        let used = kind.is_some_and(|kind| kind != RegistryKind::Local);
        unused(&block, &["url", "credentials"], problems);
        let address = address(&block, "uri", used, problems);
        let mut config = Self {
            kind,
            uri: address.as_ref().map(RegistryUri::image),
            account_id: number_or_text(&block, "account_id", problems),
            region: block.text("region", problems),
            repository: block.text("repository", problems),
            image_name: block.text("image-name", problems),
            project: block.text("project", problems),
        };
        let other = block.text("repo_name", problems);
        config.repository = config.repository.take().or(other);
        config.check_kind(address.as_ref(), problems);
        config.fill(environment, problems);
        config
    }

    /// Whether images are pushed there: a block without a type says nothing.
    pub fn is_remote(&self) -> bool {
        self.kind.is_some_and(|kind| kind != RegistryKind::Local)
    }

    fn check_kind(&self, address: Option<&RegistryUri>, problems: &mut Problems) {
        let Some(address) = address else { return };
        let fits = match self.kind {
            None | Some(RegistryKind::Local) => {
                let message = "the address counts only with a `type`: nothing is pushed there";
                let problem = Problem::warning(ProblemKind::Unused, "registry.uri", message);
                problems.push(problem.with_hint("write it to `builder.destination`"));
                return;
            }
            Some(RegistryKind::Ecr) => matches!(address, RegistryUri::Ecr(_)),
            Some(RegistryKind::Gcr) => matches!(address, RegistryUri::ArtifactRegistry(_)),
            Some(RegistryKind::Acr) => matches!(address, RegistryUri::Acr(_)),
        };
        if !fits {
            let message = "the address is of another registry than `registry.type`";
            let problem = Problem::warning(ProblemKind::Conflict, "registry.uri", message);
            problems.push(problem.with_hint("the address counts"));
        }
    }

    /// Makes the address of its parts, as far as they are known before anyone is asked.
    fn fill(&mut self, environment: &EnvironmentConfig, problems: &mut Problems) {
        let path = "registry.repository";
        let Some(repository) = &self.repository else {
            return;
        };
        if self.uri.is_some() || !self.is_remote() {
            let message = "the parts of an address count only without `uri`, with a `type`";
            problems.push(Problem::warning(ProblemKind::Unused, path, message));
            return;
        }
        let made = match self.kind {
            Some(RegistryKind::Ecr) => self.ecr(repository, environment),
            _ => self.artifact_registry(repository, environment),
        };
        match made {
            Ok(Some(uri)) => self.uri = Some(uri.image()),
            Ok(None) => {
                let message = "the parts of the block make no address";
                problems.push(Problem::new(ProblemKind::Value, path, message));
            }
            Err(key) => {
                let message = format!("the parts make no address without `{key}`");
                let problem = Problem::warning(ProblemKind::Missing, path, message);
                let hint = "add it, or write the whole address to `builder.destination`; \
                            until then images stay where they are built";
                problems.push(problem.with_hint(hint));
            }
        }
    }

    fn ecr(&self, repository: &str, environment: &EnvironmentConfig) -> Parts {
        let account = self.account_id.as_ref().ok_or("account_id")?;
        let region = self.region.as_ref().or(environment.region.as_ref());
        let parts = Ecr::of_parts(account, region.ok_or("region")?, repository);
        Ok(parts.map(RegistryUri::Ecr))
    }

    fn artifact_registry(&self, repository: &str, environment: &EnvironmentConfig) -> Parts {
        let region = self.region.as_ref().or(environment.region.as_ref());
        let project = self.project.as_ref().or(environment.project.as_ref());
        let (region, project) = (region.ok_or("region")?, project.ok_or("project")?);
        let image = self.image_name.as_ref().ok_or("image-name")?;
        let parts = ArtifactRegistry::of_parts(region, project, repository, image);
        Ok(parts.map(RegistryUri::ArtifactRegistry))
    }
}

/// The address of its parts, if they make one; or the key that is missing.
type Parts = Result<Option<RegistryUri>, &'static str>;

/// An account is digits, which YAML takes for a number.
fn number_or_text(block: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    match block.get(key) {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => block.text(key, problems),
    }
}

/// Warns of keys that the Python agent knows of and never reads.
pub(super) fn unused(block: &Fields<'_>, keys: &[&str], problems: &mut Problems) {
    for key in keys.iter().filter(|key| block.get(key).is_some()) {
        let message = format!("`{key}` is never used");
        problems.push(Problem::warning(
            ProblemKind::Unused,
            &block.at(key),
            message,
        ));
    }
}

/// The address under a key; `used` says whether images are pushed to it.
///
/// What is wrong with an address that nothing is pushed to is only told: the Python agent
/// looks at it as little.
pub(super) fn address(
    block: &Fields<'_>,
    key: &str,
    used: bool,
    problems: &mut Problems,
) -> Option<RegistryUri> {
    let text = block.text(key, problems)?;
    let path = block.at(key);
    let address = Address::read(&text);
    let unknown = |message: String| Problem::warning(ProblemKind::UnknownRegistry, &path, message);
    if text.is_empty() {
        problems.push(unknown(
            "the address is empty, as if it were not there".to_owned(),
        ));
        return None;
    }
    let repository = address.destination().and_then(|destination| {
        let uri = address.repository().cloned();
        Ok((destination, uri?))
    });
    match repository {
        Ok((destination, uri)) => {
            if destination.warned {
                problems.push(unregistered(&address, unknown));
            }
            Some(uri)
        }
        Err(error) => {
            let is_known = address.recognised().is_ok_and(RegistryUri::is_recognised);
            problems.push(if used || is_known {
                Problem::new(ProblemKind::Value, &path, error.to_string()).with_hint(error.hint())
            } else {
                unknown(error.to_string()).with_hint("nothing is pushed there")
            });
            None
        }
    }
}

fn unregistered(address: &Address, unknown: impl Fn(String) -> Problem) -> Problem {
    let problem = unknown(format!(
        "`{address}` is in no registry of AWS, Google or Azure: logins are docker's own"
    ));
    if address.is_tagged() {
        return problem.with_hint(format!(
            "`{}` is left out: every image built gets its own tag",
            address.rest()
        ));
    }
    problem
}
