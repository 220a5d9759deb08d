//! AWS's credentials: every place, and what is said when there are none.
//!
//! AWS's own library reads the variables of the process, so each case is a process: this test
//! binary again, running `probe` alone.

use std::env;
use std::process::Command;

use launch_registry::aws::AwsCredentials;

use crate::support::Clouds;

const PROBE: &str = "LAUNCH_TEST_AWS_PROBE";

/// Run by the others, in an environment of theirs.
#[tokio::test]
async fn probe() {
    if env::var_os(PROBE).is_none() {
        return;
    }
    let credentials = AwsCredentials::new();
    match credentials.keys().await {
        Err(error) => eprintln!("error={error}"),
        Ok(keys) => {
            let region = credentials.region().await.unwrap_or_default();
            let token = keys.session_token.is_some();
            eprintln!("key={} token={token} region={region}", keys.access_key_id);
            match credentials.identity().await {
                Ok(identity) => eprintln!("identity={identity}"),
                Err(error) => eprintln!("error={error}"),
            }
        }
    }
}

fn probed(variables: &[(&str, &str)]) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "aws::probe", "--nocapture"])
        .env_clear()
        .env(PROBE, "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", "/nonexistent")
        .env("PATH", "/usr/bin:/bin")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    assert!(!text.contains("planted"), "{text}");
}

#[test]
fn the_error_says_what_was_tried() {
    let text = probed(&[]);
    assert_all(
        &text,
        &[
            "error=no credentials for AWS (environment: ",
            "; profile: ",
            "; web identity: ",
            "; container: ",
            "; instance metadata: ",
        ],
    );
}

#[test]
fn variables_and_files_of_profiles() {
    let Some(clouds) = Clouds::get() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (config, keys) = (
        directory.path().join("config"),
        directory.path().join("credentials"),
    );
    let text = "[default]\nregion = eu-west-1\n\
        [profile assumed]\nregion = eu-west-2\nrole_arn = arn:aws:iam::123456789012:role/launch\nsource_profile = default\n\
        [profile process]\ncredential_process = cat @process@\n\
        [profile sso]\nsso_start_url = https://launch.example.com/start\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = launch\n";
    let process = directory.path().join("process");
    let keys_of_process = r#"{"Version": 1, "AccessKeyId": "ASIAPROCESS", "SecretAccessKey": "planted", "SessionToken": "planted"}"#;
    fs_err::write(&process, keys_of_process).unwrap();
    let text = text.replace("@process@", &process.display().to_string());
    fs_err::write(&config, text).unwrap();
    let text = "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = planted\n";
    fs_err::write(&keys, text).unwrap();
    let (config, keys) = (config.display().to_string(), keys.display().to_string());
    let files = [
        ("AWS_CONFIG_FILE", config.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", keys.as_str()),
        ("AWS_ENDPOINT_URL_STS", clouds.aws.as_str()),
    ];
    let with = |more: &[(&'static str, &'static str)]| {
        let variables: Vec<_> = files.into_iter().chain(more.iter().copied()).collect();
        probed(&variables)
    };
    let text = with(&[]);
    assert_all(
        &text,
        &[
            "key=AKIAFILE token=false region=eu-west-1",
            "identity=AWS `arn:aws:",
            "from profile",
        ],
    );
    let text = with(&[
        ("AWS_ACCESS_KEY_ID", "AKIAENV"),
        ("AWS_SECRET_ACCESS_KEY", "planted"),
        ("AWS_REGION", "cn-north-1"),
    ]);
    assert_all(
        &text,
        &[
            "key=AKIAENV token=false region=cn-north-1",
            "from environment",
        ],
    );
    let text = with(&[("AWS_PROFILE", "assumed")]);
    assert_all(
        &text,
        &[
            "token=true region=eu-west-2",
            "assumed-role/launch",
            "from profile",
        ],
    );
    let text = with(&[("AWS_PROFILE", "process")]);
    assert_all(&text, &["key=ASIAPROCESS token=true"]);
    let text = with(&[("AWS_PROFILE", "sso")]);
    assert_all(&text, &["error=no credentials for AWS", "profile: "]);
    assert!(
        !text.contains("web identity"),
        "what is broken ends the search: {text}"
    );
    let text = with(&[("AWS_PROFILE", "nobody")]);
    assert_all(
        &text,
        &["error=no credentials for AWS", "profile: ", "nobody"],
    );
}

#[test]
fn identities_of_clusters_containers_and_instances() {
    let Some(clouds) = Clouds::get() else { return };
    let sts = ("AWS_ENDPOINT_URL_STS", clouds.aws.as_str());
    let token = clouds.file("federated.token");
    let container = format!("{}/container/keys", clouds.identity);
    let text = probed(&[
        sts,
        ("AWS_REGION", "us-east-1"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "planted-container-token",
        ),
    ]);
    assert_all(&text, &["key=ASIACONTAINER token=true", "from container"]);
    let text = probed(&[
        sts,
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &clouds.identity),
    ]);
    assert_all(
        &text,
        &[
            "key=ASIAINSTANCE token=true region=eu-central-1",
            "from instance metadata",
        ],
    );
    let text = probed(&[
        sts,
        ("AWS_REGION", "us-east-1"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &token),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/irsa"),
    ]);
    assert_all(
        &text,
        &[
            "token=true region=us-east-1",
            "assumed-role/irsa",
            "from web identity",
        ],
    );
}
