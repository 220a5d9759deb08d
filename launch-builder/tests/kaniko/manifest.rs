//! What is sent for a build, as snapshots.

use launch_builder::kaniko::{
    KanikoBuild, KanikoSettings, Login, docker_config_secret, job_name, objects,
};
use launch_config::secret::Secret;
use serde_json::{Value, json};

fn map(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

fn build(image: &str) -> KanikoBuild {
    KanikoBuild::new(
        "run-1",
        image.parse().unwrap(),
        "s3://contexts/team/run-1.tgz",
    )
}

#[test]
fn ecr_with_a_secret_and_a_fragment_of_the_users() {
    let pod = json!({
        "nodeSelector": {"pool": "builds"},
        "activeDeadlineSeconds": 7200,
        "containers": [{
            "args": ["--cache-ttl=24h", "--build-arg=A=1", "--build-arg=B=2", "--cache=false", "--skip-tls-verify"],
            "env": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
            "resources": {"limits": {"memory": "8Gi"}},
        }],
    });
    let fragment = json!({
        "metadata": {"labels": {"team": "vision", "wandb": "other"}, "annotations": {"a": "b"}},
        "spec": {"template": {"metadata": {"annotations": {"sidecar.istio.io/inject": "false"}}, "spec": pod}},
    });
    let mut settings = KanikoSettings::new().with_config(map(&fragment));
    settings.cloud_secret = Some(("aws-secret".to_owned(), "creds".to_owned()));
    let mut build = build("123456789012.dkr.ecr.us-east-1.amazonaws.com/models:tag");
    build.build_args.insert("C".to_owned(), "3".to_owned());
    let (user, password) = ("AWS".to_owned(), Secret::new("ecr-password"));
    build.login = Some(Login { user, password });
    build.owner = Some("the agent of a team".to_owned());
    let objects = objects(&settings, &build).unwrap();
    insta::assert_snapshot!("ecr_job", pretty(&objects.job));
    let secret = docker_config_secret(&objects, "uid").unwrap();
    insta::assert_snapshot!("ecr_secret", pretty(&secret));
    assert!(
        !format!("{objects:?}").contains("QVdTOmVjci1wYXNzd29yZA"),
        "a login is printed"
    );
}

#[test]
fn acr_from_a_volume_for_a_platform() {
    let mut settings = KanikoSettings::new()
        .with_namespace("builds")
        .with_service_account("builder");
    settings.is_azure = true;
    let mut build = build("myreg.azurecr.io/models:tag").with_claim("contexts");
    build.context = "tar:///context/run-1.tgz".to_owned();
    build.platform = Some("linux/arm64".to_owned());
    let objects = objects(&settings, &build).unwrap();
    insta::assert_snapshot!("acr_job", pretty(&objects.job));
    let secret = docker_config_secret(&objects, "uid").unwrap();
    let config = &secret["stringData"]["config.json"];
    assert_eq!(config, r#"{"credHelpers":{"myreg.azurecr.io":"acr-env"}}"#);
}

#[test]
fn fragments_that_could_not_work_are_refused() {
    let container = |value: Value| json!({"spec": {"template": {"spec": {"containers": value}}}});
    for (fragment, word) in [
        (json!({"metadata": {"name": "fixed"}}), "build-job-name"),
        (json!({"metadata": []}), "`metadata`"),
        (json!({"spec": "x"}), "`spec`"),
        (
            json!({"spec": {"template": {"spec": {"volumes": {}}}}}),
            "`volumes`",
        ),
        (container(json!([{}, {}])), "2 containers"),
        (container(json!(["x"])), "not a mapping"),
        (container(json!([{"args": "--cache"}])), "list of texts"),
        (container(json!([{"args": [1]}])), "list of texts"),
        (container(json!([{"env": {}}])), "`env`"),
    ] {
        let settings = KanikoSettings::new().with_config(map(&fragment));
        let error = objects(&settings, &build("registry.local/m:1")).unwrap_err();
        assert!(error.to_string().contains(word), "{fragment}: {error}");
    }
}

#[test]
fn null_and_empty_parts_of_a_fragment_are_none() {
    let fragment = json!({
        "metadata": null,
        "spec": {"template": {"spec": {"containers": [], "volumes": null, "restartPolicy": null}}},
    });
    let settings = KanikoSettings::new().with_config(map(&fragment));
    let build = build("registry.local/m:1");
    let with = objects(&settings, &build).unwrap();
    assert_eq!(with, objects(&KanikoSettings::new(), &build).unwrap());
}

#[test]
fn a_secret_for_a_cloud_means_nothing_elsewhere() {
    let mut settings = KanikoSettings::new();
    settings.cloud_secret = Some(("s".to_owned(), "k".to_owned()));
    let error = objects(&settings, &build("registry.local/m:1")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("WANDB_LAUNCH_KANIKO_AUTH_SECRET"),
        "{error}"
    );
    settings.docker_config_secret = Some("logins".to_owned());
    assert!(objects(&settings, &build("registry.local/m:1")).is_ok());
}

#[test]
fn a_run_of_any_name_has_a_job() {
    let settings = KanikoSettings::new();
    assert_eq!(
        job_name(&settings, "abc123"),
        "wandb-launch-container-build-abc123"
    );
    let odd = job_name(&settings, "Run_7");
    assert!(
        odd.starts_with("wandb-launch-container-build-run-7-"),
        "{odd}"
    );
    assert!(job_name(&settings, &"x".repeat(100)).len() <= 63);
    assert_ne!(odd, job_name(&settings, "run_7"));
}
