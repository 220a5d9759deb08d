//! Keys that do not fit each other.

use super::{AgentConfig, BuilderKind, EnvironmentKind};
use crate::fields::Problems;
use crate::load::{Problem, ProblemKind};
use crate::registry::RegistryUri;
use crate::store::StoreUri;

/// Warns of what could only fail later, when a job needs it. `has_volume` says whether the
/// process shares a volume with kaniko, which then needs no store.
pub(super) fn check(config: &AgentConfig, has_volume: bool, problems: &mut Problems) {
    kaniko(config, has_volume, problems);
    secret(config, problems);
    store_and_cloud(config, problems);
    regions(config, problems);
}

fn kaniko(config: &AgentConfig, has_volume: bool, problems: &mut Problems) {
    if config.builder.kind != Some(BuilderKind::Kaniko) {
        return;
    }
    let missing = |message| Problem::warning(ProblemKind::Missing, "builder.type", message);
    let path = "builder.build-context-store";
    let is_told = problems.0.iter().any(|problem| problem.path == path);
    let has_store = config.builder.kaniko.build_context_store.is_some();
    if !has_store && !has_volume && !is_told {
        let message = "kaniko needs a `build-context-store`, unless a volume is shared with it";
        let hint = "or name the volume's claim in `WANDB_LAUNCH_KANIKO_PVC_NAME`";
        problems.push(missing(message).with_hint(hint));
    }
    if config.destination().is_none() {
        let message = "kaniko needs a `destination`: its images have nowhere else to go";
        problems.push(missing(message));
    }
}

fn secret(config: &AgentConfig, problems: &mut Problems) {
    let kaniko = &config.builder.kaniko;
    let (there, missing) = match (&kaniko.secret_name, &kaniko.secret_key) {
        (Some(_), None) => ("secret-name", "secret-key"),
        (None, Some(_)) => ("secret-key", "secret-name"),
        _ => return,
    };
    let message = format!("`{there}` means nothing without `{missing}`");
    let path = format!("builder.{there}");
    problems.push(Problem::warning(ProblemKind::Missing, &path, message));
}

fn store_and_cloud(config: &AgentConfig, problems: &mut Problems) {
    let text = config.builder.kaniko.build_context_store.as_deref();
    let Some(store) = text.and_then(|text| text.parse::<StoreUri>().ok()) else {
        return;
    };
    let cloud = match store {
        StoreUri::S3 { .. } => EnvironmentKind::Aws,
        StoreUri::Gcs { .. } => EnvironmentKind::Gcp,
        StoreUri::AzureBlob { .. } => EnvironmentKind::Azure,
    };
    if config.environment.kind.is_some_and(|kind| kind != cloud) {
        let message = format!("`{store}` belongs to another cloud than `environment`");
        let path = "builder.build-context-store";
        let problem = Problem::warning(ProblemKind::Conflict, path, message);
        problems.push(problem.with_hint("the environment's credentials write to the store"));
    }
}

/// ECR's own region counts for its login; the environment's for all else, which is mostly
/// a mistake and costs transfers where it is none.
fn regions(config: &AgentConfig, problems: &mut Problems) {
    let Some(image) = config.destination() else {
        return;
    };
    let (RegistryUri::Ecr(ecr), Some(EnvironmentKind::Aws), Some(region)) = (
        RegistryUri::of(image),
        config.environment.kind,
        config.environment.region.as_deref(),
    ) else {
        return;
    };
    if ecr.region() != region {
        let path = if config.builder.destination.is_some() {
            "builder.destination"
        } else {
            "registry.uri"
        };
        let message = format!(
            "the repository is in `{}`, the environment in `{region}`",
            ecr.region()
        );
        problems.push(Problem::warning(ProblemKind::Conflict, path, message));
    }
}
