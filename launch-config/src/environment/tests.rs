//! Blocks, and what they mean.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(file: &Value) -> Result<Setup, BlockError> {
    let gcp_project = Some("ambient".to_owned());
    let ambient = Ambient {
        gcp_project,
        ..Ambient::default()
    };
    Setup::read(&Blocks::of_agent(file), &ambient)
}

#[test]
fn without_blocks_docker_builds_if_it_is_there() {
    let setup = read(&json!({"registry": {}, "builder": null})).unwrap();
    assert_eq!(setup.environment, Environment::Local);
    assert_eq!(setup.builder.pushes_to, Registry::Local);
    assert_eq!(setup.builder.builder, Builder::Docker { platform: None });
    let none = Ambient {
        docker: false,
        ..Ambient::default()
    };
    let setup = Setup::read(&Blocks::default(), &none).unwrap();
    assert_eq!(setup.builder.builder, Builder::Noop);
}

#[test]
fn registries_are_made_of_an_address_or_its_parts() {
    for (block, expected) in [
        (
            json!({"type": "ecr", "account_id": "1", "region": "cn-north-1", "repository": "a"}),
            "1.dkr.ecr.cn-north-1.amazonaws.com.cn/a",
        ),
        (
            json!({"type": "ecr", "account_id": "1", "region": "r", "repo_name": "a/b"}),
            "1.dkr.ecr.r.amazonaws.com/a/b",
        ),
        (
            json!({"type": "gcr", "region": "us", "repository": "r", "image-name": "i"}),
            "us-docker.pkg.dev/ambient/r/i",
        ),
        (
            json!({"type": "acr", "uri": "https://reg.azurecr.us/a/b:v1"}),
            "reg.azurecr.us/a/b",
        ),
    ] {
        let setup = read(&json!({"registry": block})).unwrap();
        assert_eq!(setup.registry.repository().unwrap().to_string(), expected);
        assert_eq!(setup.advice, [Advice::RegistryBlock]);
    }
}

#[test]
fn what_is_wrong_is_told_with_its_block() {
    for (file, block) in [
        (json!({"environment": {"region": "r"}}), Block::Environment),
        (json!({"environment": {"type": "aws"}}), Block::Environment),
        (json!({"environment": {"type": "ibm"}}), Block::Environment),
        (json!({"environment": []}), Block::Environment),
        (json!({"registry": {"type": "ecr"}}), Block::Registry),
        (
            json!({"registry": {"type": "ecr", "uri": "a/b"}}),
            Block::Registry,
        ),
        (json!({"registry": {"type": "acr"}}), Block::Registry),
        (json!({"registry": {"type": "hub"}}), Block::Registry),
        (
            json!({"registry": {"type": "gcr", "uri": "us-docker.pkg.dev/p/r/i", "region": "us"}}),
            Block::Registry,
        ),
        (json!({"builder": {"type": "podman"}}), Block::Builder),
        (
            json!({"builder": {"type": "kaniko", "build-context-store": null}}),
            Block::Builder,
        ),
        (
            json!({"builder": {"type": "kaniko", "build-context-store": "/tmp"}}),
            Block::Builder,
        ),
        (
            json!({"builder": {"type": "docker", "destination": "A b"}}),
            Block::Builder,
        ),
        (
            json!({"builder": {"credentials": 1}, "registry": {"credentials": 2}}),
            Block::Configuration,
        ),
    ] {
        assert_eq!(read(&file).unwrap_err().block(), block, "{file}");
    }
}

#[test]
fn credentials_are_wanted_where_they_are_used() {
    let mut without = Ambient::default();
    (without.aws, without.gcp) = (false, false);
    let google = "us-docker.pkg.dev/p/r/i";
    for (file, block) in [
        (
            json!({"environment": {"type": "aws", "region": "r"}}),
            Block::Environment,
        ),
        (
            json!({"registry": {"type": "gcr", "uri": google}}),
            Block::Registry,
        ),
        (
            json!({"builder": {"type": "docker", "destination": google}}),
            Block::Builder,
        ),
    ] {
        let error = Setup::read(&Blocks::of_agent(&file), &without).unwrap_err();
        assert!(matches!(error, BlockError::NoCredentials(found, _) if found == block));
        assert!(read(&file).is_ok(), "{file}");
    }
}

#[test]
fn a_launch_without_an_agent_reads_its_users_file() {
    let file = json!({
        "environment": {"type": "azure"},
        "builder": {"type": "noop"},
        "registry": {"type": "acr", "uri": "a.azurecr.io/x"},
    });
    let given = json!({"environment": {"type": "gcp"}, "builder": {"type": "kaniko"}});
    let blocks = Blocks::of_launch(Some(&given), None, Some(&file));
    let setup = Setup::read(&blocks, &Ambient::default()).unwrap();
    assert_eq!(setup.environment, Environment::Azure);
    assert!(matches!(setup.builder.builder, Builder::Kaniko(_)));
    assert!(setup.registry.repository().is_some());
    let own = json!({"type": "docker", "platform": "linux/arm64"});
    let blocks = Blocks::of_launch(None, Some(&own), Some(&file));
    let setup = Setup::read(&blocks, &Ambient::default()).unwrap();
    assert!(matches!(setup.builder.builder, Builder::Docker { .. }));
}

#[test]
fn arns_have_six_parts() {
    let arn: Arn = "arn:aws:iam::1:user/a:b".parse().unwrap();
    assert_eq!(
        (arn.service(), arn.region(), arn.resource()),
        ("iam", "", "user/a:b")
    );
    for text in [
        "",
        "arn:aws:iam::1",
        "urn:aws:iam::1:u",
        "arn::iam::1:u",
        "arn:aws:iam::1:",
    ] {
        assert!(text.parse::<Arn>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn arns_display_themselves_back(text in "arn:[a-z-]{0,6}:[a-z]{0,4}:[a-z0-9-]{0,5}:[0-9]{0,3}:\\PC{0,8}|\\PC{0,20}") {
        if let Ok(arn) = text.parse::<Arn>() {
            prop_assert_eq!(arn.to_string(), text);
        }
    }

    #[test]
    fn no_block_panics(
        kind in "aws|gcp|ecr|gcr|acr|docker|kaniko|\\PC{0,3}",
        key in "uri|region|destination|build-context-store|credentials|repository",
        text in "\\PC{0,12}",
        other in prop_oneof![Just(json!(null)), Just(json!(1)), Just(json!([])), Just(json!({}))],
    ) {
        for value in [json!(text), other] {
            let block = json!({"type": kind, key.as_str(): value});
            for name in ["environment", "registry", "builder"] {
                let file = json!({name: block});
                if let Err(error) = read(&file) {
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }
}
