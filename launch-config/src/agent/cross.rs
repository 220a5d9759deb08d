//! Keys that do not fit each other.

use super::{AgentConfig, BuilderKind, EnvironmentKind};
use crate::fields::Problems;

/// Reports what could only fail later, when a job needs it.
pub(super) fn check(config: &AgentConfig, problems: &mut Problems) {
    kaniko(config, problems);
    secret(config, problems);
    store_and_cloud(config, problems);
}

/// Kaniko reads its context from a store and pushes by itself. In a cluster the store may
/// be a volume that the environment names, so its absence is only a warning.
fn kaniko(config: &AgentConfig, problems: &mut Problems) {
    if config.builder.kind != Some(BuilderKind::Kaniko) {
        return;
    }
    if config.builder.kaniko.build_context_store.is_none() {
        let message = "kaniko needs a `build-context-store`, unless a volume is shared with it";
        problems.warning("builder.type", message.to_owned(), None);
    }
    if config.destination().is_none() {
        let message = "kaniko needs a `destination`: its images have nowhere else to go";
        problems.warning("builder.type", message.to_owned(), None);
    }
}

fn secret(config: &AgentConfig, problems: &mut Problems) {
    let kaniko = &config.builder.kaniko;
    let alone = match (&kaniko.secret_name, &kaniko.secret_key) {
        (Some(_), None) => ("secret-name", "secret-key"),
        (None, Some(_)) => ("secret-key", "secret-name"),
        _ => return,
    };
    let (there, missing) = alone;
    let message = format!("`{there}` means nothing without `{missing}`");
    problems.warning(&format!("builder.{there}"), message, None);
}

fn store_and_cloud(config: &AgentConfig, problems: &mut Problems) {
    let Some(store) = &config.builder.kaniko.build_context_store else {
        return;
    };
    let cloud = match store {
        store if store.starts_with("s3:") => EnvironmentKind::Aws,
        store if store.starts_with("gs:") => EnvironmentKind::Gcp,
        _ => EnvironmentKind::Azure,
    };
    if config.environment.kind.is_some_and(|kind| kind != cloud) {
        let message = format!("`{store}` belongs to another cloud than `environment`");
        problems.warning("builder.build-context-store", message, None);
    }
}

#[cfg(test)]
mod tests {
    use crate::load::agent_text;

    #[test]
    fn what_does_not_fit_is_warned_of() {
        for (text, words) in [
            ("builder: {type: kaniko}", "needs a `build-context-store`"),
            ("builder: {type: kaniko}", "needs a `destination`"),
            ("builder: {secret-name: s}", "without `secret-key`"),
            (
                "environment: {type: gcp, region: r}\nbuilder: {build-context-store: 's3://b'}",
                "another cloud",
            ),
        ] {
            let warnings = agent_text("f", text).unwrap().warnings.to_string();
            assert!(warnings.contains(words), "{text}: {warnings}");
        }
    }

    #[test]
    fn what_fits_is_not() {
        let text = "environment: {type: aws, region: us-east-1}\nbuilder:\n  type: kaniko\n  \
                    destination: r.io/x\n  build-context-store: s3://b/c/\n";
        let warnings = agent_text("f", text).unwrap().warnings;
        assert_eq!(warnings.problems, []);
    }
}
