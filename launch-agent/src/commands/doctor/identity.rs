//! Whose credentials of the clouds are used.

use launch_config::environment::Environment;
use launch_registry::credentials::Cloud;

use super::{Finding, PATIENCE};
use crate::app::App;

/// One finding for each cloud that the configuration speaks of.
pub(super) async fn identities(app: &App) -> Vec<Finding> {
    let mut findings = Vec::new();
    for cloud in Cloud::ALL {
        if is_configured(app, cloud) {
            findings.push(identity(app, cloud).await);
        }
    }
    findings
}

/// By the registry pushed to, the store of contexts, or the environment.
fn is_configured(app: &App, cloud: Cloud) -> bool {
    let settings = &app.settings;
    let environment = match settings.setup.environment {
        Environment::Aws { .. } => Some(Cloud::Aws),
        Environment::Gcp { .. } => Some(Cloud::Gcp),
        Environment::Azure => Some(Cloud::Azure),
        _ => None,
    };
    let registry = settings.destination().and_then(Cloud::of_image);
    let store = settings
        .config
        .builder
        .kaniko
        .build_context_store
        .as_deref();
    [environment, registry, store.and_then(of_store)].contains(&Some(cloud))
}

/// `s3://…`, `gs://…`, and Azure's, which is https.
fn of_store(address: &str) -> Option<Cloud> {
    match address.split_once("://")?.0 {
        "s3" => Some(Cloud::Aws),
        "gs" => Some(Cloud::Gcp),
        "https" => Some(Cloud::Azure),
        _ => None,
    }
}

async fn identity(app: &App, cloud: Cloud) -> Finding {
    let part = cloud.feature();
    match tokio::time::timeout(PATIENCE * 3, app.hosted.identity(cloud)).await {
        Ok(Ok(Some(identity))) => Finding::good(part, identity.to_string()),
        Ok(Ok(None)) => Finding::bad(
            part,
            format!("this program was built without the feature `{part}`"),
            format!("`cargo build --release --features {part}`, or a released binary, has it"),
        ),
        Ok(Err(error)) => Finding::bad(part, error.to_string(), error.hint()),
        Err(_) => Finding::bad(
            part,
            format!("{cloud} does not answer who we are"),
            "is a proxy needed?",
        ),
    }
    .needed()
}
