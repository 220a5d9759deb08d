//! Names of jobs and references to artifacts.

use std::fmt;
use std::str::FromStr;

use super::ParseWandbError;

/// The scheme of artifact references.
const SCHEME: &str = "wandb-artifact://";

/// A version of an artifact by name: `entity/project/name:alias`.
///
/// Jobs are artifacts; this is how run specs name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobRef {
    entity: String,
    project: String,
    name: String,
    alias: String,
}

impl JobRef {
    /// The user or team.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The name, without the alias.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version (`v3`) or alias (`latest`).
    pub fn alias(&self) -> &str {
        &self.alias
    }

    /// `entity/project/name`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.entity, self.project, self.name)
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path(), self.alias)
    }
}

impl FromStr for JobRef {
    type Err = ParseWandbError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseWandbError::Job(text.to_owned());
        let [entity, project, name] = text.split('/').collect::<Vec<_>>()[..] else {
            return Err(refused());
        };
        let (name, alias) = name.split_once(':').ok_or_else(refused)?;
        let parts = [entity, project, name, alias];
        let odd = |part: &&str| part.trim().is_empty() || part.contains(is_odd);
        if parts.iter().any(odd) {
            return Err(refused());
        }
        let [entity, project, name, alias] = parts.map(str::to_owned);
        Ok(Self {
            entity,
            project,
            name,
            alias,
        })
    }
}

fn is_odd(c: char) -> bool {
    c.is_control() || c == ':'
}

/// Where the code of a job is: an artifact by id, or by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArtifactRef {
    /// By the server's id.
    Id(String),
    /// By name; the server is the agent's own whatever the reference says.
    Name(JobRef),
}

impl fmt::Display for ArtifactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{SCHEME}_id/{id}"),
            Self::Name(name) => write!(f, "{SCHEME}{name}"),
        }
    }
}

impl FromStr for ArtifactRef {
    type Err = ParseWandbError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ParseWandbError::Artifact(text.to_owned());
        let rest = text.strip_prefix(SCHEME).ok_or_else(refused)?;
        if let Some(id) = rest.strip_prefix("_id/") {
            let fine = |c: char| c.is_ascii_alphanumeric() || "=-_+".contains(c);
            let known = !id.is_empty() && id.chars().all(fine);
            return known.then(|| Self::Id(id.to_owned())).ok_or_else(refused);
        }
        // A server may stand in front: `https://host/`.
        let name = match rest.split_once("://") {
            Some((_, rest)) => rest.split_once('/').ok_or_else(refused)?.1,
            None => rest,
        };
        let name: JobRef = name.parse().map_err(|_| refused())?;
        // Behind a server, too, this is no entity: shown without the server it would be an id.
        if name.entity() == "_id" {
            return Err(refused());
        }
        Ok(Self::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn jobs_have_all_four_parts() {
        for text in [
            "train:v3",
            "a/b/c",
            "a/b/c:",
            "a//c:v",
            "a/b/c/d:v",
            "a/b/c:v:w",
            "",
        ] {
            assert!(text.parse::<JobRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn artifacts_are_named_in_three_ways() {
        let shown = |text: &str| text.parse::<ArtifactRef>().map(|a| a.to_string()).ok();
        assert_eq!(
            shown("wandb-artifact://https://api.wandb.ai/a/b/c:v1").unwrap(),
            "wandb-artifact://a/b/c:v1"
        );
        let id = "wandb-artifact://_id/QXJ0aWZhY3Q6MTIz";
        assert_eq!(shown(id).unwrap(), id);
        for text in [
            "a/b/c:v1",
            "wandb-artifact://c:v1",
            "wandb-artifact://_id/",
            "x://_id/a",
            "wandb-artifact://https://api.wandb.ai/_id/b/c:v1",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parse_and_display_agree(text in "[a-z:/]{0,14}|[a-z]/[a-z]/.{0,8}:.{0,4}") {
            if let Ok(job) = text.parse::<JobRef>() {
                prop_assert_eq!(job.to_string(), text.clone());
            }
            let text = format!("wandb-artifact://{text}");
            if let Ok(artifact) = text.parse::<ArtifactRef>() {
                prop_assert_eq!(artifact.to_string().parse(), Ok(artifact));
            }
        }
    }
}
