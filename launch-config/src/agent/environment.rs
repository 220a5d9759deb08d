//! The `environment` block.

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Problems, Unknown};
use crate::load::{Problem, ProblemKind};

/// The `environment` block: the cloud the agent works in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct EnvironmentConfig {
    /// The cloud: `aws`, `gcp`, `azure`, or `local` for none.
    #[serde(rename = "type")]
    pub kind: Option<EnvironmentKind>,
    /// Its region. AWS and Google Cloud need the key; null is the credentials' own region.
    pub region: Option<String>,
    /// The project, for Google Cloud; the credentials' own if absent.
    pub project: Option<String>,
}

/// The clouds there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

pub(super) const KEYS: &[&str] = &["type", "region", "project"];

impl EnvironmentConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "environment", KEYS, Unknown::Warning, problems);
        let kind = block.one_of("type", &["aws", "gcp", "azure", "local"], problems);
        require_region(&block, problems);
        Self {
            kind: kind.map(|kind| match kind {
                "aws" => EnvironmentKind::Aws,
                "gcp" => EnvironmentKind::Gcp,
                "azure" => EnvironmentKind::Azure,
                _ => EnvironmentKind::Local,
            }),
            region: block.text("region", problems),
            project: block.text("project", problems),
        }
    }
}

/// Azure and no cloud need no region. A type that is none is taken for one that does, so
/// that one report says both.
fn require_region(block: &Fields<'_>, problems: &mut Problems) {
    let kind = block.get("type");
    if kind.is_none() && block.given().next().is_some() {
        let message = "there is no `type`, so the environment is taken for `local`";
        let problem = Problem::warning(ProblemKind::Missing, "environment", message);
        problems.push(problem.with_hint("the types are `aws`, `gcp`, `azure` and `local`"));
    }
    let needed = kind.is_some_and(|kind| kind != "azure" && kind != "local");
    if needed && !block.has("region") {
        let path = block.at("region");
        let problem = Problem::new(ProblemKind::Missing, &path, "`region` is missing");
        let hint = "name one, or write `region: null` for the credentials' own";
        problems.push(problem.with_hint(hint));
    }
}
