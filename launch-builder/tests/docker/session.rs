//! What BuildKit asks us for while it builds.

use launch_builder::Builder as _;
use launch_builder::conformance::Bench as _;
use launch_builder::event::{Event, Events};
use launch_builder::plan::BuildSpec;
use launch_config::secret::Secret;

use super::engine::{Engine, needed};
use super::project::{listening, project, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_mounted_and_nowhere_else() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let text = b"FROM launch-test/busybox:1\nCOPY unique.txt /\n\
        RUN --mount=type=secret,id=token echo \"it is $(cat /run/secrets/token)!\"; \
        wc -c < /run/secrets/token > /n\nCMD cat /n; ls /run/secrets/* 2>&1; true\n";
    let spec = BuildSpec::new().with_dockerfile("D");
    let project = project("launch-test/secret", &[("D", text)], &spec);
    let request = || {
        project
            .request()
            .with_secret("token", Secret::new("planted-s3cret"))
    };
    let (events, said) = listening();
    engine.builder.build(request(), &events).await.unwrap();
    let shown = run(&project.image);
    assert!(
        shown.starts_with("14\n") && !shown.contains("planted"),
        "{shown}"
    );
    let history = engine
        .docker
        .image_history(&project.image.to_string())
        .await
        .unwrap();
    engine.forget(&project.image).await;
    let said = said.lock().unwrap().clone();
    assert!(
        said.contains(&Event::Log("it is ***!".to_owned())),
        "{said:?}"
    );
    assert!(!format!("{said:?} {history:?}").contains("planted"));

    let classic = engine.builder.clone().without_buildkit();
    let error = classic
        .build(request(), &Events::silent())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("secret `token` needs BuildKit"),
        "{error}"
    );
}

/// The registry wants a login, which BuildKit asks us for while it builds.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_base_image_is_pulled_with_its_login() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let Some(host) = needed("LAUNCH_TEST_REGISTRY_BASIC") else {
        return;
    };
    let (user, password, host) = ("launch", "s3cret-basic", host.as_str());
    let base = format!("{host}/launch-test/base-{}:1", std::process::id());
    let config = tempfile::tempdir().unwrap();
    let docker = |args: &[&str]| {
        let mut command = std::process::Command::new("docker");
        let output = command
            .env("DOCKER_CONFIG", config.path())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
    };
    docker(&["login", "-u", user, "-p", password, host]);
    docker(&["tag", "launch-test/busybox:1", &base]);
    docker(&["push", "-q", &base]);
    docker(&["rmi", &base]);
    let text = format!("FROM {base}\nCOPY unique.txt /\n");
    let spec = BuildSpec::new().with_dockerfile("D");
    let project = project("launch-test/private", &[("D", text.as_bytes())], &spec);
    let refused = engine
        .builder
        .build(project.request(), &Events::silent())
        .await;
    assert!(refused.is_err(), "{refused:?}");
    let login = engine
        .builder
        .clone()
        .with_login(host, user, Secret::new(password));
    login
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    engine.forget(&project.image).await;
    engine.forget(&base.parse().unwrap()).await;
}
