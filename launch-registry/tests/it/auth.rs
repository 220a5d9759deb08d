//! Credentials: used where they belong, renewed when they run out, shown nowhere.

use std::sync::Arc;

use launch_registry::config::secret::Secret;
use launch_registry::conformance::{Log, Sample};
use launch_registry::memory::{Faults, MemoryRegistry, MemoryRegistryBuilder};
use launch_registry::oci::{ChainedKeychain, DockerKeychain, FixedKeychain, Login, OciRegistry};
use launch_registry::{Error, Registry as _};

use crate::support::{Lines, anonymous, client, fast, image, known, silent};

const PASSWORD: &str = "planted-pa55word";

fn bearer(uses: Option<u32>) -> MemoryRegistryBuilder {
    MemoryRegistry::builder().with_bearer("u", Secret::new(PASSWORD), uses)
}

#[tokio::test]
async fn tokens_that_run_out_in_a_push_are_renewed() {
    let server = bearer(Some(3)).start().await.unwrap();
    let layout = tempfile::tempdir().unwrap();
    let sample = (0..6).fold(Sample::random(2_000_000), |sample, n| {
        sample.with_layer(vec![n; 1_100_000 + usize::from(n)])
    });
    let digest = sample.write(layout.path()).unwrap();
    let registry = OciRegistry::builder()
        .keychain(FixedKeychain::new(
            server.host(),
            Login::password("u", Secret::new(PASSWORD)),
        ))
        .with_retry(fast())
        .with_parallel(1)
        .build()
        .unwrap();
    let name = image(&server, "a:v1");
    assert_eq!(
        registry
            .push(layout.path(), &name, &silent())
            .await
            .unwrap()
            .digest(),
        digest
    );
    assert!(server.counts().tokens > 5, "{:?}", server.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_revoked_between_pushes_is_renewed_by_all_at_once() {
    let server = bearer(None).start().await.unwrap();
    let registry = known(&server.host(), "u", PASSWORD);
    for round in 1..4 {
        let layout = tempfile::tempdir().unwrap();
        let sample = (0..4).fold(Sample::new(), |sample, n| {
            sample.with_layer(vec![n; 10 + round])
        });
        sample.write(layout.path()).unwrap();
        registry
            .push(layout.path(), &image(&server, "a:v1"), &silent())
            .await
            .unwrap();
        server.expire_tokens();
    }
    assert!(
        server.counts().tokens <= 6,
        "requests share a token: {:?}",
        server.counts()
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let server = bearer(None).start().await.unwrap();
    let login = Login::IdentityToken(Secret::new(PASSWORD));
    let registry = client(FixedKeychain::new(server.host(), login));
    registry.check(&image(&server, "a:v1")).await.unwrap();
    assert_eq!(
        registry.credentials(&image(&server, "a:v1")).await.unwrap(),
        None
    );
    let wrong = Login::IdentityToken(Secret::new("wrong"));
    let registry = client(FixedKeychain::new(server.host(), wrong));
    let error = registry.check(&image(&server, "a:v1")).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_may_push_and_is_told_so() {
    let server = bearer(None).start().await.unwrap();
    let error = anonymous()
        .check(&image(&server, "a:v1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("docker login"));
}

#[tokio::test]
async fn docker_login_is_all_it_takes() {
    let server = bearer(None).start().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config.json");
    let entry = format!(r#"{{"username":"u","password":"{PASSWORD}"}}"#);
    fs_err::write(
        &file,
        format!(r#"{{"auths":{{"http://{}/":{entry}}}}}"#, server.host()),
    )
    .unwrap();
    let other = FixedKeychain::new("r.io", Login::password("x", Secret::new("y")));
    let docker = DockerKeychain::from_files([file]);
    let registry = client(ChainedKeychain::new(vec![
        Arc::new(other),
        Arc::new(docker),
    ]));
    let name = image(&server, "a:v1");
    registry.check(&name).await.unwrap();
    let credentials = registry.credentials(&name).await.unwrap().unwrap();
    assert_eq!(
        (credentials.user.as_str(), credentials.password.expose()),
        ("u", PASSWORD)
    );
}

#[tokio::test]
async fn a_password_is_shown_nowhere() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut shown = Vec::new();
    let basic = MemoryRegistry::builder().with_basic("u", Secret::new("other"));
    for builder in [basic, bearer(Some(0)), bearer(None)] {
        let faults = Faults::default().with_echo();
        let server = builder.with_faults(faults).start().await.unwrap();
        let registry = known(&server.host(), "u", PASSWORD);
        let layout = tempfile::tempdir().unwrap();
        Sample::random(10).write(layout.path()).unwrap();
        let log = Log::default();
        let name = image(&server, "a:v1");
        let outcome = registry.push(layout.path(), &name, &log.events()).await;
        let credentials = registry.credentials(&name).await;
        let said = outcome
            .as_ref()
            .err()
            .map(|error| (error.to_string(), error.hint()));
        shown.push(format!(
            "{said:?} {outcome:?} {registry:?} {server:?} {log:?} {credentials:?}"
        ));
    }
    shown.push(lines.text());
    let shown = shown.join("\n");
    assert!(
        shown.contains("Unauthorized") && shown.contains("answered"),
        "{shown}"
    );
    // The second is the same in base64, as basic authentication sends it.
    let encoded = "dTpwbGFudGVkLXBhNTV3b3Jk";
    for secret in [PASSWORD, encoded, "memory-token-"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
