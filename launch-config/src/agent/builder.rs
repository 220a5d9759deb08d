//! The `builder` block.

use serde::Serialize;
use serde_json::Value;

use super::registry::{address, unused};
use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;
use crate::load::{Problem, ProblemKind};
use crate::registry::RegistryUri;
use crate::store::StoreUri;

/// The `builder` block: how images are built, and where they go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct BuilderConfig {
    /// `docker`, `kaniko` or `noop`. Without it: `docker` if an engine answers.
    #[serde(rename = "type")]
    pub kind: Option<BuilderKind>,
    /// The repository images are pushed to, without a tag. `uri` is the same.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub destination: Option<ImageRef>,
    /// `linux/amd64` or `linux/arm64`; the engine's own if absent.
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Platform>"))]
    pub platform: Option<String>,
    /// Images whose steps a build with `docker` takes.
    #[cfg_attr(
        feature = "schema",
        schemars(default, with = "Option<Vec<super::schema::Image>>")
    )]
    pub cache_from: Vec<ImageRef>,
    /// Whether images note which steps made them, for `cache-from` elsewhere.
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Flag>"))]
    pub inline_cache: bool,
    /// What becomes of code that nothing builds an image of.
    #[serde(rename = "noop-code")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<NoopCode>"))]
    pub noop_code: NoopCode,
    /// What only builds in a cluster read.
    #[serde(flatten)]
    pub kaniko: KanikoConfig,
}

/// What becomes of code when the builder is `noop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NoopCode {
    /// It is mounted into a base image, and its packages are installed at every start.
    #[default]
    Mount,
    /// It is refused.
    Refuse,
}

/// The keys of the `builder` block that only builds in a cluster read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// The builders there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

pub(super) const KEYS: &[&str] = &[
    "type",
    "destination",
    "uri",
    "platform",
    "cache-from",
    "inline-cache",
    "noop-code",
    "build-context-store",
    "build-job-name",
    "secret-name",
    "secret-key",
    "kaniko-image",
    "kaniko-config",
    "credentials",
];

const PLATFORMS: &[&str] = &["linux/amd64", "linux/arm64"];

impl BuilderConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "builder", KEYS, Unknown::Warning, problems);
        let kind = kind(&block, problems);
        unused(&block, &["credentials"], problems);
        let platform = block.one_of("platform", PLATFORMS, problems);
        Self {
            kind,
            destination: destination(&block, kind, problems),
            platform: platform.map(str::to_owned),
            cache_from: images(&block, "cache-from", problems),
            inline_cache: block.flag("inline-cache", problems).unwrap_or(false),
            noop_code: match block.one_of("noop-code", &["mount", "refuse"], problems) {
                Some("refuse") => NoopCode::Refuse,
                _ => NoopCode::Mount,
            },
            kaniko: KanikoConfig {
                build_context_store: store(&block, kind, problems),
                build_job_name: block.text("build-job-name", problems),
                secret_name: block.text("secret-name", problems),
                secret_key: block.text("secret-key", problems),
                kaniko_image: block.text("kaniko-image", problems),
                kaniko_config: fragment(&block, problems),
            },
        }
    }
}

fn kind(block: &Fields<'_>, problems: &mut Problems) -> Option<BuilderKind> {
    const WORDS: &[&str] = &["docker", "kaniko", "noop", "buildkit", "oci"];
    match block.one_of("type", WORDS, problems)? {
        "docker" => Some(BuilderKind::Docker),
        "kaniko" => Some(BuilderKind::Kaniko),
        "noop" => Some(BuilderKind::Noop),
        reserved => {
            let message = format!("builder `{reserved}` does not exist yet; its name is reserved");
            let problem = Problem::new(ProblemKind::NotYet, &block.at("type"), message);
            problems.push(problem.with_hint("`docker`, `kaniko` and `noop` do"));
            None
        }
    }
}

/// `destination`, or `uri`, as the documentation's sample for Google Cloud has it.
fn destination(
    block: &Fields<'_>,
    kind: Option<BuilderKind>,
    problems: &mut Problems,
) -> Option<ImageRef> {
    let used = kind != Some(BuilderKind::Noop);
    let both = block.get("destination").is_some() && block.get("uri").is_some();
    if both {
        let message = "`uri` is another word for `destination`, which counts";
        problems.push(Problem::warning(
            ProblemKind::Unused,
            &block.at("uri"),
            message,
        ));
    }
    let key = match block.get("destination") {
        Some(_) => "destination",
        None => "uri",
    };
    address(block, key, used, problems).map(|uri: RegistryUri| uri.image())
}

fn images(block: &Fields<'_>, key: &str, problems: &mut Problems) -> Vec<ImageRef> {
    let mut images = Vec::new();
    for (index, text) in block.words(key, problems).into_iter().flatten().enumerate() {
        match text.parse::<ImageRef>() {
            Ok(image) => images.push(image),
            Err(error) => {
                let path = format!("{}[{index}]", block.at(key));
                problems.error(&path, error.to_string(), None);
            }
        }
    }
    images
}

/// A context store: a bucket or container, and where in it, without a slash at its end.
fn store(block: &Fields<'_>, kind: Option<BuilderKind>, problems: &mut Problems) -> Option<String> {
    let (key, path) = ("build-context-store", block.at("build-context-store"));
    if kind == Some(BuilderKind::Kaniko) && block.has(key) && block.get(key).is_none() {
        let message = "kaniko's `build-context-store` is null";
        let problem = Problem::new(ProblemKind::Missing, &path, message);
        problems.push(problem.with_hint("name a store, or leave the key out to share a volume"));
    }
    let text = block.text(key, problems)?;
    match text.parse::<StoreUri>() {
        Ok(_) => Some(text.trim_end_matches('/').to_owned()),
        Err(error) => {
            let problem = Problem::new(ProblemKind::Value, &path, error.to_string());
            problems.push(problem.with_hint(error.hint()));
            None
        }
    }
}

/// The Python agent takes anything here, and stumbles over it at the first build.
fn fragment(block: &Fields<'_>, problems: &mut Problems) -> Option<Value> {
    let value = block.get("kaniko-config")?;
    if !value.is_object() {
        let found = crate::fields::kind(value);
        let message = format!("expected a mapping, found {found}: no build with kaniko will work");
        let path = block.at("kaniko-config");
        problems.push(Problem::warning(ProblemKind::Type, &path, message));
    }
    Some(value.clone())
}
