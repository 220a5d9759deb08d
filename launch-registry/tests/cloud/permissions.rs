//! What we call is within what `docs/permissions.md` asks for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use launch_registry::Registry as _;
use launch_registry::conformance::{self, Subject};
use serde_json::Value;

use crate::support::{Clouds, ECR, image, unique};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/permissions.md");

/// The first JSON text below a heading.
fn policy(heading: &str) -> Value {
    let text = fs_err::read_to_string(DOCUMENT).unwrap();
    let section = text.split(&format!("## {heading}\n")).nth(1);
    let section = section.unwrap_or_else(|| panic!("no section `{heading}`"));
    let json = section.split("```json\n").nth(1).unwrap();
    serde_json::from_str(json.split("```").next().unwrap()).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        other => vec![other.as_str().unwrap().to_owned()],
    }
}

/// IAM's patterns: `*` is any text, also with colons and slashes.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).any(|at| text.is_char_boundary(at) && matches(rest, &text[at..]))
        }),
    }
}

/// Whether a statement allows the call.
fn allows(policy: &Value, call: &BTreeMap<String, String>) -> bool {
    let statements = policy["Statement"].as_array().unwrap();
    let (action, resource) = (&call["action"], &call["resource"]);
    statements.iter().any(|statement| {
        assert_eq!(statement["Effect"], "Allow");
        texts(&statement["Action"])
            .iter()
            .any(|pattern| matches(pattern, action))
            && texts(&statement["Resource"]).iter().any(|pattern| {
                // The document's place holders are the test's values.
                let pattern = pattern
                    .replace("REGION", "us-east-1")
                    .replace("ACCOUNT", "123456789012")
                    .replace("REPOSITORY", "launch-test/*");
                matches(&pattern, resource)
            })
    })
}

#[tokio::test]
async fn ecr_stays_within_its_policy() {
    let Some(clouds) = Clouds::get() else { return };
    let policy = policy("Amazon ECR");
    let own = unique("launch-test/permissions");
    let subject = Subject::new(
        std::sync::Arc::new(clouds.ecr("AKIALAUNCH")),
        image(ECR[0], &own),
    );
    conformance::all(&subject).await;
    let denied = clouds
        .ecr("AKIANOBODY")
        .find(&image(ECR[0], &format!("{own}:v1")))
        .await;
    assert!(denied.is_err(), "another key is another matter");
    let log = clouds.log().await;
    let ours = |call: &&BTreeMap<String, String>| {
        let resource = &call["resource"];
        resource.contains(&own) || call["action"] == "ecr:GetAuthorizationToken"
    };
    let calls: Vec<_> = log.iter().filter(ours).collect();
    for call in &calls {
        assert!(
            allows(&policy, call),
            "not in docs/permissions.md: {call:?}"
        );
    }
    let used: BTreeSet<&str> = calls.iter().map(|call| call["action"].as_str()).collect();
    eprintln!("{} calls, {} actions: {used:?}", calls.len(), used.len());
    let statements = policy["Statement"].as_array().unwrap();
    for action in statements
        .iter()
        .flat_map(|statement| texts(&statement["Action"]))
    {
        // A pull is somebody else's: the runner's, with the credentials we hand out.
        let is_pull = action == "ecr:GetDownloadUrlForLayer";
        assert!(
            is_pull || used.contains(action.as_str()),
            "`{action}` is asked for and not used"
        );
    }
}

#[test]
fn every_text_of_the_document_is_json() {
    let text = fs_err::read_to_string(DOCUMENT).unwrap();
    let blocks = text.split("```json\n").skip(1);
    let count = blocks
        .map(|block| serde_json::from_str::<Value>(block.split("```").next().unwrap()).unwrap())
        .count();
    assert!(count >= 6, "{count}");
}
