//! Every adapter passes every case, by every name its hosts have.

use std::sync::Arc;

use launch_registry::Registry;
use launch_registry::config::secret::Secret;
use launch_registry::conformance::{self, Subject};
use launch_registry::memory::MemoryRegistry;
use launch_registry::oci::{AnonymousKeychain, FixedKeychain, Login, OciRegistry};

use crate::support::{ACR, Clouds, ECR, ENTRA_SECRET, GAR, PRIVATE, image, real, unique};

/// One row of the table.
struct Row {
    adapter: &'static str,
    registry: String,
    passed: usize,
    failed: Vec<&'static str>,
}

async fn examine(adapter: &'static str, registry: impl Into<String>, subject: Subject) -> Row {
    let (mut passed, mut failed) = (0, Vec::new());
    for case in conformance::cases() {
        let subject = subject.clone();
        // On a task of its own, a panic is a failed case and not the end.
        let done = tokio::spawn(async move { case.run(&subject).await }).await;
        match done {
            Ok(()) => passed += 1,
            Err(_) => failed.push(case.name),
        }
    }
    let registry = registry.into();
    Row {
        adapter,
        registry,
        passed,
        failed,
    }
}

fn subject(
    clouds: &Clouds,
    host: &str,
    registry: impl Registry,
    stranger: impl Registry,
) -> Subject {
    Subject::new(
        Arc::new(registry),
        image(host, &unique("launch-test/conformance")),
    )
    .with_stranger(Arc::new(stranger))
    .with_puller(clouds.puller(host))
}

async fn cloud_rows(clouds: &Clouds) -> Vec<Row> {
    let mut rows = Vec::new();
    for host in ECR {
        let (ours, theirs) = (clouds.ecr("AKIALAUNCH"), clouds.ecr("AKIASTRANGER"));
        rows.push(examine("ecr", host, subject(clouds, host, ours, theirs)).await);
    }
    for host in GAR {
        let stranger = clouds.gar(clouds.google_file("stranger-user.json"));
        let ours = clouds.gar(clouds.google());
        rows.push(examine("gar", host, subject(clouds, host, ours, stranger)).await);
    }
    for host in ACR {
        let stranger = clouds.acr(clouds.azure("planted-stranger"));
        let ours = clouds.acr(clouds.azure(ENTRA_SECRET));
        rows.push(examine("acr", host, subject(clouds, host, ours, stranger)).await);
    }
    let private = clouds.client().build().unwrap();
    let subject = Subject::new(Arc::new(private), image(PRIVATE, "conformance"));
    rows.push(examine("oci", "TLS, private authority", subject).await);
    rows
}

fn oci(host: &str, password: Option<&str>) -> Subject {
    let client = |password: Option<&str>| -> Arc<dyn Registry> {
        let builder = OciRegistry::builder().keychain(AnonymousKeychain);
        let builder = match password {
            None => builder,
            Some(password) => {
                let login = Login::password("launch", Secret::new(password));
                builder.keychain(FixedKeychain::new(host, login))
            }
        };
        Arc::new(builder.build().unwrap())
    };
    let subject = Subject::new(client(password), image(host, "conformance"));
    match password {
        None => subject,
        Some(_) => subject.with_stranger(client(Some("wrong"))),
    }
}

async fn oci_rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, variable, password) in [
        ("docker-registry, open", "LAUNCH_TEST_REGISTRY", None),
        (
            "docker-registry, basic",
            "LAUNCH_TEST_REGISTRY_BASIC",
            Some("s3cret-basic"),
        ),
        (
            "docker-registry, token",
            "LAUNCH_TEST_REGISTRY_TOKEN",
            Some("s3cret-token"),
        ),
    ] {
        if let Some(host) = real(variable) {
            rows.push(examine("oci", name, oci(&host, password)).await);
        }
    }
    let memory = MemoryRegistry::builder().start().await.unwrap();
    rows.push(examine("oci", "memory", oci(&memory.host(), None)).await);
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_adapter_passes_every_case() {
    let Some(clouds) = Clouds::get() else { return };
    let mut rows = oci_rows().await;
    rows.extend(cloud_rows(&clouds).await);
    eprintln!("| adapter | registry | cases passed | failed |");
    eprintln!("| --- | --- | --- | --- |");
    for row in &rows {
        let (failed, passed) = (row.failed.join(", "), row.passed);
        eprintln!(
            "| {} | {} | {passed} | {failed} |",
            row.adapter, row.registry
        );
    }
    let passed: usize = rows.iter().map(|row| row.passed).sum();
    let failed: usize = rows.iter().map(|row| row.failed.len()).sum();
    eprintln!(
        "{} registries, {passed} cases passed, {failed} failed",
        rows.len()
    );
    assert_eq!(failed, 0, "see the table");
}

#[tokio::test]
async fn without_the_authority_nothing_is_sent() {
    let Some(clouds) = Clouds::get() else { return };
    let client = OciRegistry::builder().keychain(AnonymousKeychain);
    let address = real("LAUNCH_TEST_CLOUD_REGISTRIES")
        .unwrap()
        .parse()
        .unwrap();
    let network = launch_registry::oci::Network::default().with_address(PRIVATE, address);
    let registry = client.with_network(network).build().unwrap();
    let error = registry.find(&image(PRIVATE, "a:v1")).await.unwrap_err();
    assert!(
        matches!(error, launch_registry::Error::Untrusted { .. }),
        "{error:?}"
    );
    let trusting = clouds.client().build().unwrap();
    assert_eq!(
        trusting
            .find(&image(PRIVATE, "never/there:v1"))
            .await
            .unwrap(),
        None
    );
}
