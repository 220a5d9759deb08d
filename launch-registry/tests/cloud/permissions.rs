//! What we call is within what `docs/permissions.md` asks for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use launch_registry::Registry as _;
use launch_registry::config::secret::Secret;
use launch_registry::config::store::StoreUri;
use launch_registry::conformance::{self, Subject};
use launch_registry::store::{self, Credential, StoreOptions};
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
                    .replace("REPOSITORY", "launch-test/*")
                    .replace("BUCKET/PREFIX", "launch-permissions/contexts");
                matches(&pattern, resource)
            })
    })
}

#[tokio::test]
async fn ecr_stays_within_its_policy() {
    let Some(clouds) = Clouds::get() else { return };
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
    assert_within("Amazon ECR", &calls, &[]);
}

/// Reads what was put, as the pod that builds would.
#[derive(Debug)]
struct Pod(String);

impl Pod {
    async fn ask(&self, method: reqwest::Method, path: &str) -> Option<Vec<u8>> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(plain_tls())
            .no_proxy()
            .build()
            .unwrap();
        let scope = "AKIAPOD/20260101/us-east-1/s3/aws4_request";
        let signature =
            format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x");
        let request = client.request(method, format!("{}/{path}", self.0));
        let answer = request
            .header("Authorization", signature)
            .send()
            .await
            .unwrap();
        let is_there = answer.status().is_success();
        let body = answer.bytes().await.unwrap();
        is_there.then(|| body.to_vec())
    }
}

/// Moto speaks http; a client wants a TLS configuration all the same.
fn plain_tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

#[async_trait::async_trait]
impl store::conformance::Reader for Pod {
    async fn read(&self, address: &StoreUri) -> Option<Vec<u8>> {
        // A plus sign in a path is one to S3, and a space to Moto.
        let text = address.to_string().replace('+', "%2B");
        self.ask(reqwest::Method::GET, text.strip_prefix("s3://").unwrap())
            .await
    }
}

#[tokio::test]
async fn s3_stays_within_its_policy() {
    let Some(clouds) = Clouds::get() else { return };
    let pod = Pod(clouds.aws.clone());
    pod.ask(reqwest::Method::PUT, "launch-permissions").await;
    let prefix = unique("s3://launch-permissions/contexts/p");
    let credential = Credential::aws("AKIACONTEXTS", Secret::new("x"));
    let options = StoreOptions::new(std::sync::Arc::new(credential))
        .with_region("us-east-1")
        .with_endpoint(clouds.aws.parse().unwrap());
    let store = store::open(&prefix.parse().unwrap(), options)
        .await
        .unwrap();
    let subject = store::conformance::Subject::new(store, std::sync::Arc::new(pod));
    store::conformance::all(&subject).await;
    let log = clouds.log().await;
    let is_ours =
        |call: &&BTreeMap<String, String>| call.get("key").is_some_and(|key| key == "AKIACONTEXTS");
    let calls: Vec<_> = log.iter().filter(is_ours).collect();
    assert_within("Amazon S3", &calls, &[]);
}

/// All calls are allowed, and all that is allowed was called, but for `unused`.
fn assert_within(heading: &str, calls: &[&BTreeMap<String, String>], unused: &[&str]) {
    let policy = policy(heading);
    for call in calls {
        assert!(
            allows(&policy, call),
            "not in docs/permissions.md: {call:?}"
        );
    }
    let used: BTreeSet<&str> = calls.iter().map(|call| call["action"].as_str()).collect();
    eprintln!(
        "{heading}: {} calls, {} actions: {used:?}",
        calls.len(),
        used.len()
    );
    let statements = policy["Statement"].as_array().unwrap();
    for action in statements
        .iter()
        .flat_map(|statement| texts(&statement["Action"]))
    {
        let is_used = used.contains(action.as_str()) || unused.contains(&action.as_str());
        assert!(is_used, "`{action}` is asked for and not used");
    }
}

#[test]
fn every_text_of_the_document_is_json() {
    let text = fs_err::read_to_string(DOCUMENT).unwrap();
    let blocks = text.split("```json\n").skip(1);
    let mut count = 0;
    for block in blocks {
        serde_json::from_str::<Value>(block.split("```").next().unwrap()).unwrap();
        count += 1;
    }
    assert!(count >= 6, "{count}");
}
