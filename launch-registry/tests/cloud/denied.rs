//! What is not allowed is said by the name of the permission.

use launch_registry::conformance::Sample;
use launch_registry::{Error, Registry};

use crate::support::{ACR, Clouds, ECR, ENTRA_SECRET, GAR, image, silent, unique};

async fn told(registry: &dyn Registry, host: &str, read: &str, write: &str) {
    let layout = tempfile::tempdir().unwrap();
    Sample::random(20).write(layout.path()).unwrap();
    let readonly = image(host, &format!("launch-test/readonly/{}:v1", unique("a")));
    let secret = image(host, &format!("launch-test/secret/{}:v1", unique("a")));
    let found = registry.find(&readonly).await;
    assert!(
        matches!(found, Ok(None)),
        "{host}: what may be read and is not there: {found:?}"
    );
    for (name, outcome) in [
        (write, registry.check(&readonly).await),
        (
            write,
            registry
                .push(layout.path(), &readonly, &silent())
                .await
                .map(drop),
        ),
        (read, registry.find(&secret).await.map(drop)),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{host}: {error:?}");
        assert!(
            error.to_string().contains(name),
            "{host}: no `{name}` in: {error}"
        );
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn artifact_registry_names_the_permission() {
    let Some(clouds) = Clouds::get() else { return };
    let registry = clouds.gar(clouds.google());
    let read = "artifactregistry.repositories.downloadArtifacts";
    told(
        &registry,
        GAR[0],
        read,
        "artifactregistry.repositories.uploadArtifacts",
    )
    .await;
}

#[tokio::test]
async fn acr_names_the_role() {
    let Some(clouds) = Clouds::get() else { return };
    let registry = clouds.acr(clouds.azure(ENTRA_SECRET));
    told(&registry, ACR[0], "AcrPull", "AcrPush").await;
}

#[tokio::test]
async fn ecr_names_the_action() {
    let Some(clouds) = Clouds::get() else { return };
    let registry = clouds.ecr("AKIALAUNCH");
    let readonly = image(ECR[0], &format!("launch-test/readonly/{}:v1", unique("a")));
    let error = registry.check(&readonly).await.unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert!(
        error.to_string().contains("ecr:InitiateLayerUpload"),
        "{error}"
    );
    let nobody = clouds.ecr("AKIANOBODY");
    let error = nobody
        .find(&image(ECR[0], "launch-test/a:v1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("ecr:DescribeImages"), "{error}");
}

/// Policies for a push that AWS documents allow no `DescribeImages`.
#[tokio::test]
async fn ecr_is_read_without_its_api() {
    let Some(clouds) = Clouds::get() else { return };
    let name = image(ECR[0], &format!("launch-test/{}:v1", unique("undescribed")));
    let layout = tempfile::tempdir().unwrap();
    let digest = Sample::random(30).write(layout.path()).unwrap();
    let registry = clouds.ecr("AKIAPUSHER");
    registry
        .push(layout.path(), &name, &silent())
        .await
        .unwrap();
    assert_eq!(registry.find(&name).await.unwrap(), Some(digest));
    let other = name.with_tag("v2").unwrap();
    assert_eq!(registry.find(&other).await.unwrap(), None);
}

#[tokio::test]
async fn ecr_makes_what_is_missing_if_it_may() {
    let Some(clouds) = Clouds::get() else { return };
    let name = image(ECR[0], &format!("launch-test/{}:v1", unique("made")));
    let registry = clouds.ecr("AKIALAUNCH");
    assert_eq!(
        registry.find(&name).await.unwrap(),
        None,
        "without a repository"
    );
    registry.check(&name).await.unwrap();
    registry.check(&name).await.unwrap();
    let other = image(ECR[0], &format!("launch-test/{}:v1", unique("not-made")));
    let careful = launch_registry::ecr::EcrRegistry::builder()
        .credentials(launch_registry::aws::AwsCredentials::of_keys(
            &launch_registry::aws::AwsKeys::new(
                "AKIALAUNCH",
                launch_registry::config::secret::Secret::new("x"),
            ),
        ))
        .client(clouds.client())
        .with_endpoint(&clouds.aws)
        .with_create(false)
        .build()
        .unwrap();
    let error = careful.check(&other).await.unwrap_err();
    assert!(
        matches!(error, Error::Protocol { status: 404, .. }),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("repository"), "{error}");
    let layout = tempfile::tempdir().unwrap();
    let digest = Sample::random(20).write(layout.path()).unwrap();
    let pushed = registry
        .push(layout.path(), &other, &silent())
        .await
        .unwrap();
    assert_eq!(pushed.digest(), digest, "a push makes it, too");
}
