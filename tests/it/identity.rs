//! `doctor` shows whose credentials of the clouds are used, or what was tried.

use launch_tests::{Agent, Said, skip};

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(&format!("{name} is not set"));
    }
    value
}

fn doctor(config: &str, env: &[(&str, &str)]) -> Said {
    let agent = Agent::new();
    let file = agent.dir("config").join("launch-config.yaml");
    fs_err::write(&file, config).unwrap();
    let agent = env
        .iter()
        .fold(agent, |agent, (name, value)| agent.env(name, value));
    agent.say(&["doctor", "-c", file.to_str().unwrap(), "--output", "json"])
}

/// The finding of a part; `None` if the program under test was built without it.
fn finding(said: &Said, part: &str) -> Option<serde_json::Value> {
    let findings = said.json();
    let findings = findings.as_array().unwrap().clone();
    let found = findings.into_iter().find(|finding| finding["part"] == part);
    let found = found.unwrap_or_else(|| panic!("no `{part}`: {said:#?}"));
    if found["found"]
        .as_str()
        .unwrap()
        .contains("without the feature")
    {
        skip(&format!("the program under test has no `{part}`"));
        return None;
    }
    Some(found)
}

#[test]
fn an_identity_is_shown_with_its_place() {
    let Some(identity) = variable("LAUNCH_TEST_CLOUD_IDENTITY") else {
        return;
    };
    let said = doctor(
        "queues: [a]\nenvironment: {type: azure}\n",
        &[
            ("AZURE_AUTHORITY_HOST", &identity),
            ("AZURE_TENANT_ID", "launch-tenant"),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_CLIENT_SECRET", "planted-entra-secret"),
        ],
    );
    let Some(found) = finding(&said, "azure") else {
        return;
    };
    let expected = format!("Azure `{CLIENT} in tenant launch-tenant`, from environment");
    assert_eq!(found["found"], expected);
    assert!(!format!("{said:?}").contains("planted"), "{said:#?}");
    let host = identity.strip_prefix("http://").unwrap();
    let config = "queues: [a]\nbuilder: {type: docker, destination: us-docker.pkg.dev/p/r/i}\n";
    let said = doctor(config, &[("GCE_METADATA_HOST", host)]);
    let Some(found) = finding(&said, "gcp") else {
        return;
    };
    let name = "launch@launch-test.iam.gserviceaccount.com";
    assert_eq!(
        found["found"],
        format!("Google Cloud `{name}`, from metadata server")
    );
}

#[test]
fn what_was_tried_is_listed() {
    let config = "queues: [a]\nenvironment: {type: aws, region: eu-west-1}\n";
    let said = doctor(config, &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let Some(found) = finding(&said, "aws") else {
        return;
    };
    let text = found["found"].as_str().unwrap();
    for part in [
        "no credentials for AWS (environment: ",
        "; profile: ",
        "; instance metadata: ",
    ] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert!(
        found["hint"]
            .as_str()
            .unwrap()
            .contains("aws sts get-caller-identity")
    );
}
