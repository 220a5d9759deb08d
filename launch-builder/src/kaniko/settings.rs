//! What an agent file and the environment say about builds with kaniko.

use launch_config::agent::{AgentConfig, EnvironmentKind, KanikoConfig};
use serde_json::{Map, Value};

use super::NAME;
use super::surroundings::Surroundings;
use crate::error::Error;

/// The executor's image if the agent file names none: kaniko's own repository is archived,
/// this one goes on with it.
pub const DEFAULT_IMAGE: &str = "ghcr.io/osscontainertools/kaniko:v1.28.3";
/// What the name of a Job begins with.
pub const DEFAULT_JOB_NAME: &str = "wandb-launch-container-build";
/// The namespace of builds of an agent that runs in no cluster.
pub const DEFAULT_NAMESPACE: &str = "wandb";

/// What all Jobs of a builder have in common.
///
/// ```
/// use launch_builder::kaniko::KanikoSettings;
///
/// let settings = KanikoSettings::new().with_namespace("builds").with_service_account("kaniko");
/// assert_eq!(settings.job_name, "wandb-launch-container-build");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KanikoSettings {
    /// Where Jobs and their secrets are made.
    pub namespace: String,
    /// Whom the build's pod acts for.
    pub service_account: String,
    /// The executor's image.
    pub image: String,
    /// What the name of a Job begins with.
    pub job_name: String,
    /// A secret with a cloud's credentials, and the key they are under.
    pub cloud_secret: Option<(String, String)>,
    /// A secret of type `kubernetes.io/dockerconfigjson` with the logins of the build.
    pub docker_config_secret: Option<String>,
    /// Whether the context is in an Azure container, whose key the pod needs.
    pub is_azure: bool,
    /// What is laid under every Job (`kaniko-config`).
    pub config: Map<String, Value>,
}

impl Default for KanikoSettings {
    fn default() -> Self {
        Self {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            service_account: "default".to_owned(),
            image: DEFAULT_IMAGE.to_owned(),
            job_name: DEFAULT_JOB_NAME.to_owned(),
            cloud_secret: None,
            docker_config_secret: None,
            is_azure: false,
            config: Map::new(),
        }
    }
}

impl KanikoSettings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an agent file, and the variables of [`Surroundings`].
    ///
    /// # Errors
    /// [`Error::Settings`] with the first thing that could not work: a secret without its
    /// key, a `kaniko-config` that is no Job.
    pub fn read(config: &AgentConfig, surroundings: &Surroundings) -> Result<Self, Error> {
        let kaniko = &config.builder.kaniko;
        let defaults = Self::default();
        let own = |setting: &Option<String>, default| setting.clone().unwrap_or(default);
        let fragment = fragment(kaniko)?;
        Ok(Self {
            namespace: namespace(&fragment, surroundings)?,
            service_account: own(&surroundings.service_account, defaults.service_account),
            image: own(&kaniko.kaniko_image, defaults.image),
            job_name: own(&kaniko.build_job_name, defaults.job_name),
            cloud_secret: cloud_secret(kaniko)?,
            docker_config_secret: surroundings.docker_config_secret.clone(),
            is_azure: config.environment.kind == Some(EnvironmentKind::Azure),
            config: fragment,
        })
    }

    /// Makes Jobs in another namespace.
    #[must_use]
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Lets the pods act for another service account.
    #[must_use]
    pub fn with_service_account(mut self, name: impl Into<String>) -> Self {
        self.service_account = name.into();
        self
    }

    /// Uses another executor.
    #[must_use]
    pub fn with_image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    /// Lays a fragment under every Job, as `kaniko-config` does.
    #[must_use]
    pub fn with_config(mut self, config: Map<String, Value>) -> Self {
        self.config = config;
        self
    }
}

/// `kaniko-config`, as far as its shape goes.
fn fragment(kaniko: &KanikoConfig) -> Result<Map<String, Value>, Error> {
    match &kaniko.kaniko_config {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(_) => Err(settings("`kaniko-config` is not a mapping")),
    }
}

/// The namespace of the fragment, of the process, or the usual one.
fn namespace(fragment: &Map<String, Value>, around: &Surroundings) -> Result<String, Error> {
    let given = fragment
        .get("metadata")
        .and_then(|map| map.get("namespace"));
    match given {
        None | Some(Value::Null) => {
            let own = around.namespace.clone();
            Ok(own.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()))
        }
        Some(Value::String(name)) if !name.is_empty() => Ok(name.clone()),
        Some(_) => Err(settings("`kaniko-config.metadata.namespace` is not a name")),
    }
}

fn cloud_secret(kaniko: &KanikoConfig) -> Result<Option<(String, String)>, Error> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (filled(&kaniko.secret_name), filled(&kaniko.secret_key)) {
        (Some(name), Some(key)) => Ok(Some((name, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(settings("`secret-name` means nothing without `secret-key`")),
        (None, Some(_)) => Err(settings("`secret-key` means nothing without `secret-name`")),
    }
}

pub(super) fn settings(problem: impl Into<String>) -> Error {
    Error::Settings {
        builder: NAME,
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use launch_config::load::agent_text;

    use super::*;
    use crate::kaniko::surroundings::{AUTH_SECRET, SERVICE_ACCOUNT};

    fn file(text: &str) -> AgentConfig {
        agent_text("f", text).unwrap().value
    }

    fn around(variables: &[(&str, &str)]) -> Surroundings {
        let found = |name: &str| {
            let pair = variables.iter().find(|(key, _)| *key == name);
            pair.map(|(_, value)| (*value).to_owned())
        };
        Surroundings::read(found, None)
    }

    #[test]
    fn a_file_and_its_surroundings_make_settings() {
        let text = "builder: {type: kaniko, secret-name: s, secret-key: k, kaniko-image: x:1}";
        let variables = [(SERVICE_ACCOUNT, "builder"), (AUTH_SECRET, "logins")];
        let read = KanikoSettings::read(&file(text), &around(&variables)).unwrap();
        assert_eq!(read.namespace, "wandb");
        assert_eq!(read.service_account, "builder");
        assert_eq!(read.image, "x:1");
        assert_eq!(read.docker_config_secret.as_deref(), Some("logins"));
        assert_eq!(read.cloud_secret, Some(("s".to_owned(), "k".to_owned())));
        let text = "builder: {kaniko-config: {metadata: {namespace: builds}}}";
        let inside = Surroundings::read(|_| None, Some("agents\n".to_owned()));
        assert_eq!(inside.namespace.as_deref(), Some("agents"));
        let read = KanikoSettings::read(&file(text), &inside).unwrap();
        assert_eq!(read.namespace, "builds");
    }

    #[test]
    fn what_could_not_work_is_refused() {
        for (text, word) in [
            ("builder: {secret-key: k}", "without `secret-name`"),
            (
                "builder: {secret-name: k, secret-key: ''}",
                "without `secret-key`",
            ),
            ("builder: {kaniko-config: [1]}", "not a mapping"),
            (
                "builder: {kaniko-config: {metadata: {namespace: 1}}}",
                "not a name",
            ),
        ] {
            let error = KanikoSettings::read(&file(text), &around(&[])).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
