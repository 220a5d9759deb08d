//! The blocks of the agent file.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;

/// The `environment` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct EnvironmentConfig {
    /// The cloud.
    #[serde(rename = "type")]
    pub kind: Option<EnvironmentKind>,
    /// Its region.
    pub region: Option<String>,
    /// The project, for Google Cloud; the credentials' own if absent.
    pub project: Option<String>,
}

/// The clouds there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum EnvironmentKind {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
    /// None.
    Local,
}

/// The `builder` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BuilderConfig {
    /// `docker`, `kaniko` or `noop`.
    #[serde(rename = "type")]
    pub kind: Option<BuilderKind>,
    /// The repository images are pushed to, without a tag.
    pub destination: Option<ImageRef>,
    /// `linux/amd64` or `linux/arm64`.
    pub platform: Option<String>,
    /// What becomes of code that nothing builds an image of.
    #[serde(rename = "noop-code")]
    pub noop_code: NoopCode,
    /// What only Kaniko reads.
    #[serde(skip_serializing_if = "KanikoConfig::is_unset")]
    pub kaniko: KanikoConfig,
}

/// What becomes of code when the builder is `noop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NoopCode {
    /// It is mounted into a base image, and its packages are installed at every start.
    #[default]
    Mount,
    /// It is refused.
    Refuse,
}

/// The keys of the `builder` block that only Kaniko reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct KanikoConfig {
    /// Where contexts are uploaded to: `s3://`, `gs://`, or an Azure container's URL.
    pub build_context_store: Option<String>,
    /// The name of the build's Job, before the run id.
    pub build_job_name: Option<String>,
    /// The secret with the cloud's credentials.
    pub secret_name: Option<String>,
    /// Their key in the secret.
    pub secret_key: Option<String>,
    /// The executor's image.
    pub kaniko_image: Option<String>,
    /// A fragment of a Job, merged under the build's.
    pub kaniko_config: Option<Value>,
}

impl KanikoConfig {
    fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

/// The builders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BuilderKind {
    /// A Docker Engine.
    Docker,
    /// Kaniko in a cluster.
    Kaniko,
    /// Prebuilt images only.
    Noop,
}

/// The `registry` block; `builder.destination` succeeds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegistryConfig {
    /// Whose registry it is.
    #[serde(rename = "type")]
    pub kind: Option<RegistryKind>,
    /// The repository images are pushed to, without a tag.
    pub uri: Option<ImageRef>,
}

/// The registries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
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

/// The `backend` block: where the queue is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The file of the embedded queue; by default in the state directory.
    pub path: Option<PathBuf>,
}

const ENVIRONMENT: &[&str] = &["type", "region", "project"];
const BUILDER: &[&str] = &[
    "type",
    "destination",
    "platform",
    "noop-code",
    "build-context-store",
    "build-job-name",
    "secret-name",
    "secret-key",
    "kaniko-image",
    "kaniko-config",
    "credentials",
    "uri",
];
const REGISTRY: &[&str] = &[
    "type",
    "uri",
    "url",
    "repository",
    "image-name",
    "project",
    "region",
    "account_id",
    "repo_name",
    "credentials",
];
const BACKEND: &[&str] = &["type", "path"];

impl EnvironmentConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(
            value,
            "environment",
            ENVIRONMENT,
            Unknown::Warning,
            problems,
        );
        let kind = block.one_of("type", &["aws", "gcp", "azure", "local"], problems);
        let kind = kind.map(|kind| match kind {
            "aws" => EnvironmentKind::Aws,
            "gcp" => EnvironmentKind::Gcp,
            "azure" => EnvironmentKind::Azure,
            _ => EnvironmentKind::Local,
        });
        let needs_region = matches!(kind, Some(EnvironmentKind::Aws | EnvironmentKind::Gcp));
        if needs_region && !block.has("region") {
            let message = "`region` is missing".to_owned();
            let hint =
                Some("name one, or write `region: null` for the credentials' own".to_owned());
            problems.error(&block.at("region"), message, hint);
        }
        Self {
            kind,
            region: block.text("region", problems),
            project: block.text("project", problems),
        }
    }
}

impl BuilderConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "builder", BUILDER, Unknown::Warning, problems);
        Self {
            kind: kind_of_builder(&block, problems),
            destination: repository(&block, "destination", problems),
            platform: block
                .one_of("platform", &["linux/amd64", "linux/arm64"], problems)
                .map(str::to_owned),
            noop_code: match block.one_of("noop-code", &["mount", "refuse"], problems) {
                Some("refuse") => NoopCode::Refuse,
                _ => NoopCode::Mount,
            },
            kaniko: KanikoConfig {
                build_context_store: store(&block, problems),
                build_job_name: block.text("build-job-name", problems),
                secret_name: block.text("secret-name", problems),
                secret_key: block.text("secret-key", problems),
                kaniko_image: block.text("kaniko-image", problems),
                kaniko_config: block.get("kaniko-config").cloned(),
            },
        }
    }
}

fn kind_of_builder(block: &Fields<'_>, problems: &mut Problems) -> Option<BuilderKind> {
    let kind = block.one_of(
        "type",
        &["docker", "kaniko", "noop", "buildkit", "oci"],
        problems,
    )?;
    match kind {
        "docker" => Some(BuilderKind::Docker),
        "kaniko" => Some(BuilderKind::Kaniko),
        "noop" => Some(BuilderKind::Noop),
        reserved => {
            let message = format!("builder `{reserved}` does not exist yet; its name is reserved");
            let hint = Some("`docker` and `noop` do".to_owned());
            problems.error(&block.at("type"), message, hint);
            None
        }
    }
}

impl RegistryConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "registry", REGISTRY, Unknown::Warning, problems);
        let kind = block.one_of("type", &["ecr", "gcr", "acr", "local"], problems);
        Self {
            kind: kind.map(|kind| match kind {
                "ecr" => RegistryKind::Ecr,
                "gcr" => RegistryKind::Gcr,
                "acr" => RegistryKind::Acr,
                _ => RegistryKind::Local,
            }),
            uri: repository(&block, "uri", problems),
        }
    }
}

impl BackendConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "backend", BACKEND, Unknown::Error, problems);
        block.one_of("type", &["sqlite"], problems);
        Self {
            path: block.text("path", problems).map(PathBuf::from),
        }
    }
}

/// A context store: a bucket or container, and where in it.
fn store(block: &Fields<'_>, problems: &mut Problems) -> Option<String> {
    let key = "build-context-store";
    let text = block.text(key, problems)?;
    if is_store(&text) {
        return Some(text.trim_end_matches('/').to_owned());
    }
    let message = format!("`{text}` is no context store");
    let hint = "expected `s3://bucket/…`, `gs://bucket/…` or \
                `https://account.blob.core.windows.net/container/…`";
    problems.error(&block.at(key), message, Some(hint.to_owned()));
    None
}

fn is_store(text: &str) -> bool {
    let bucket = |scheme: &str| {
        let rest = text.strip_prefix(scheme)?;
        Some(!rest.split('/').next().unwrap_or_default().is_empty())
    };
    let container = || {
        let (host, path) = text.strip_prefix("https://")?.split_once('/')?;
        let account = host.strip_suffix(".blob.core.windows.net")?;
        let named = !account.is_empty() && !account.contains('.');
        Some(named && !path.split('/').next().unwrap_or_default().is_empty())
    };
    bucket("s3://")
        .or_else(|| bucket("gs://"))
        .or_else(container)
        .unwrap_or(false)
}

/// A repository URI: `https://` in front is dropped, a tag refused.
fn repository(block: &Fields<'_>, key: &'static str, problems: &mut Problems) -> Option<ImageRef> {
    let text = block.text(key, problems)?;
    let plain = text.strip_prefix("https://").unwrap_or(&text);
    // An empty tag (`repository:`) is none, as in the Python agent.
    let plain = plain.trim_end_matches(['/', ':']);
    match plain.parse::<ImageRef>() {
        Ok(image) if image.tag().is_some() || image.digest().is_some() => {
            let hint = Some("leave the tag out: it is the digest of what is built".to_owned());
            problems.error(&block.at(key), format!("`{text}` has a tag"), hint);
            None
        }
        Ok(image) => Some(image),
        Err(error) => {
            problems.error(&block.at(key), error.to_string(), None);
            None
        }
    }
}
