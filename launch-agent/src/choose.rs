//! Where a job runs and what builds its image, when nobody said: and why.

use launch_builder::plan::Plan;
use launch_config::agent::{BuilderKind, NoopCode};
use launch_config::spec::{Resource, RunSpec};

use crate::app::App;

/// A choice and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) resource: Resource,
    pub(crate) builder: BuilderKind,
    pub(crate) why: String,
}

impl Choice {
    fn new(resource: Resource, builder: BuilderKind, why: impl Into<String>) -> Self {
        Self {
            resource,
            builder,
            why: why.into(),
        }
    }
}

/// What was said: by the spec, by a flag, by the agent file.
fn said(spec: &RunSpec, builder: Option<BuilderKind>) -> Option<Choice> {
    match (spec.resource, builder) {
        (Some(resource), builder) => {
            let builder = builder.unwrap_or(BuilderKind::Docker);
            Some(Choice::new(resource, builder, "asked for"))
        }
        (None, Some(BuilderKind::Noop)) => Some(Choice::new(
            Resource::LocalProcess,
            BuilderKind::Noop,
            "the builder is `noop`",
        )),
        // Who builds in a cluster runs there.
        (None, Some(BuilderKind::Kaniko)) => Some(Choice::new(
            Resource::Kubernetes,
            BuilderKind::Kaniko,
            "the builder is `kaniko`",
        )),
        (None, Some(builder)) => {
            let why = format!("the builder is `{}`", builder_name(builder));
            Some(Choice::new(Resource::LocalContainer, builder, why))
        }
        (None, None) => None,
    }
}

/// Whether code is to run in a container that nothing builds an image for, and the agent's
/// configuration lets it be mounted into one.
pub(crate) fn mounts(app: &App, spec: &RunSpec) -> bool {
    let settings = &app.settings;
    spec.resource.is_some_and(can_mount)
        && settings.builder() == Some(BuilderKind::Noop)
        && settings.config.builder.noop_code == NoopCode::Mount
}

/// Whether code can be mounted into an image there.
pub(crate) fn can_mount(resource: Resource) -> bool {
    matches!(resource, Resource::LocalContainer | Resource::Kubernetes)
}

/// The choice for code that is mounted.
pub(crate) fn for_mounted(spec: &RunSpec) -> Choice {
    let resource = spec.resource.unwrap_or(Resource::LocalContainer);
    let why = "the builder is `noop`: code is mounted, and packages are installed at the start";
    Choice::new(resource, BuilderKind::Noop, why)
}

/// The word for a builder.
pub(crate) fn builder_name(builder: BuilderKind) -> &'static str {
    match builder {
        BuilderKind::Docker => "docker",
        BuilderKind::Kaniko => "kaniko",
        _ => "noop",
    }
}

/// Chooses for a job that is an image.
pub(crate) fn for_image(spec: &RunSpec) -> Choice {
    let resource = spec.resource.unwrap_or(Resource::LocalContainer);
    let why = if spec.resource.is_some() {
        "asked for"
    } else {
        "the job is an image"
    };
    Choice::new(resource, BuilderKind::Noop, why)
}

/// The choice for a sweep scheduler.
pub(crate) fn for_scheduler() -> Choice {
    let why = "a sweep scheduler is a command of W&B's own program";
    Choice::new(Resource::LocalProcess, BuilderKind::Noop, why)
}

/// Chooses for a job that is code. A container if an engine answers and has, or can get,
/// the base images, which the plan then knows; else a process, so that the job runs at all. Only what nobody asked
/// for is chosen: who asks for a container gets one, or an error.
pub(crate) async fn for_code(app: &App, spec: &RunSpec, plan: &Plan) -> Choice {
    if let Some(choice) = said(spec, app.settings.builder()) {
        return choice;
    }
    let process = |why| Choice::new(Resource::LocalProcess, BuilderKind::Noop, why);
    if let Some(missing) = app.docker_missing().await {
        return process(missing);
    }
    for base in &plan.bases {
        if base.digest.is_none() {
            return process(format!(
                "the Docker Engine neither has the base image `{}` nor can get it",
                base.reference
            ));
        }
    }
    Choice::new(
        Resource::LocalContainer,
        BuilderKind::Docker,
        "a Docker Engine answers",
    )
}

#[cfg(test)]
mod tests {
    use launch_config::load::spec_value;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_said_is_not_second_guessed() {
        let spec = spec_value("s", &json!({"uri": "/x", "resource": "local-process"}))
            .unwrap()
            .value;
        let choice = said(&spec, Some(BuilderKind::Docker)).unwrap();
        assert_eq!(
            (choice.resource, choice.why.as_str()),
            (Resource::LocalProcess, "asked for")
        );
        let spec = spec_value("s", &json!({"uri": "/x"})).unwrap().value;
        assert_eq!(said(&spec, None), None);
        assert_eq!(
            said(&spec, Some(BuilderKind::Noop)).unwrap().resource,
            Resource::LocalProcess
        );
    }
}
