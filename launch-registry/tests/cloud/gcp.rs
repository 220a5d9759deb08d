//! Google's credentials: every place, and what is said when there are none.

use launch_registry::credentials::{NoCredentials, Surroundings};
use launch_registry::gcp::GcpCredentials;

use crate::support::Clouds;

const EMAIL: &str = "launch@launch-test.iam.gserviceaccount.com";
const OTHER: &str = "other@launch-test.iam.gserviceaccount.com";

async fn who(credentials: &GcpCredentials) -> String {
    let identity = credentials
        .identity()
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    format!("{} from {}", identity.name, identity.place)
}

#[tokio::test]
async fn every_kind_of_file_gives_a_token() {
    let Some(clouds) = Clouds::get() else { return };
    let named = "from GOOGLE_APPLICATION_CREDENTIALS";
    let pool =
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";
    for (file, name) in [
        ("service-account.json", EMAIL),
        ("authorized-user.json", "a user's account"),
        ("impersonated.json", OTHER),
        ("external-file.json", pool),
        ("external-url.json", OTHER),
    ] {
        let credentials = clouds.google_file(file);
        assert_eq!(who(&credentials).await, format!("{name} {named}"), "{file}");
        let token = credentials.token().await.unwrap();
        assert!(token.expose().starts_with("planted-google."), "{file}");
        assert_eq!(
            token,
            credentials.token().await.unwrap(),
            "{file}: a good token is kept"
        );
    }
}

/// A program of a file's, in a directory of its own.
fn vouched_by(clouds: &Clouds, script: &str, allowed: &str) -> (tempfile::TempDir, GcpCredentials) {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("vouch");
    fs_err::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs_err::set_permissions(&program, executable).unwrap();
    let file = fs_err::read_to_string(clouds.file("external-file.json")).unwrap();
    let mut file: serde_json::Value = serde_json::from_str(&file).unwrap();
    let command = format!("{} --for launch", program.display());
    file["credential_source"] = serde_json::json!({"executable": {"command": command}});
    let path = directory.path().join("file.json");
    fs_err::write(&path, file.to_string()).unwrap();
    let credentials = GcpCredentials::of(Surroundings::new([
        ("PATH", "/usr/bin:/bin".to_owned()),
        ("GOOGLE_APPLICATION_CREDENTIALS", path.display().to_string()),
        (
            "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
            allowed.to_owned(),
        ),
    ]));
    (directory, credentials)
}

#[tokio::test]
async fn a_program_vouches_for_us_where_that_is_allowed() {
    let Some(clouds) = Clouds::get() else { return };
    let kind = "urn:ietf:params:oauth:token-type:id_token";
    let good = format!(
        r#"case "$2 $GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE" in "launch //iam."*) ;; *) exit 9;; esac
echo '{{"version": 1, "success": true, "token_type": "{kind}", "id_token": "planted-subject-file"}}'"#
    );
    let (_directory, credentials) = vouched_by(&clouds, &good, "1");
    let token = credentials.token().await.unwrap();
    assert!(token.expose().starts_with("planted-google."));
    let (_directory, credentials) = vouched_by(&clouds, &good, "");
    let error = credentials.token().await.unwrap_err().to_string();
    assert!(
        error.contains("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"),
        "{error}"
    );
    for (script, said) in [
        (
            r#"echo '{"version": 1, "success": false, "code": "401", "message": "log in first"}'"#,
            "log in first (401)",
        ),
        ("echo planted; exit 3", "something else than AIP-4117"),
        ("exit 3", "exit status: 3"),
    ] {
        let (_directory, credentials) = vouched_by(&clouds, script, "1");
        let error = credentials.token().await.unwrap_err().to_string();
        assert!(
            error.contains(said) && !error.contains("planted"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn gclouds_file_goes_before_the_machine() {
    let Some(clouds) = Clouds::get() else { return };
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join(".config/gcloud");
    fs_err::create_dir_all(&directory).unwrap();
    let file = directory.join("application_default_credentials.json");
    fs_err::copy(clouds.file("authorized-user.json"), &file).unwrap();
    let home = home.path().display().to_string();
    let machine = ("GCE_METADATA_HOST", clouds.identity_host().to_owned());
    let credentials =
        GcpCredentials::of(Surroundings::new([("HOME", home.clone()), machine.clone()]));
    assert_eq!(
        who(&credentials).await,
        "a user's account from gcloud's file"
    );
    fs_err::remove_file(&file).unwrap();
    let credentials = GcpCredentials::of(Surroundings::new([("HOME", home), machine]));
    assert_eq!(
        who(&credentials).await,
        format!("{EMAIL} from metadata server")
    );
    assert_eq!(credentials.project().await.as_deref(), Some("launch-test"));
}

async fn missing(variables: &[(&str, &str)]) -> NoCredentials {
    let credentials = GcpCredentials::of(Surroundings::new(variables.iter().copied()));
    credentials.token().await.unwrap_err()
}

#[tokio::test]
async fn the_error_says_what_was_tried() {
    let error = missing(&[
        ("HOME", "/nonexistent"),
        ("GCE_METADATA_HOST", "127.0.0.1:1"),
    ])
    .await;
    let places: Vec<_> = error.steps().iter().map(|step| step.place).collect();
    let expected = [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "gcloud's file",
        "metadata server",
    ];
    assert_eq!(places, expected);
    let text = error.to_string();
    for part in [
        "no credentials for Google Cloud",
        "GOOGLE_APPLICATION_CREDENTIALS is not set",
        "there is no `/nonexistent/.config/gcloud/application_default_credentials.json`",
        "`127.0.0.1:1/computeMetadata/v1/instance/service-accounts/default/email` does not answer",
    ] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[tokio::test]
async fn what_is_broken_ends_the_search() {
    let Some(clouds) = Clouds::get() else { return };
    let machine = ("GCE_METADATA_HOST", clouds.identity_host());
    let broken = clouds.file("ca.pem");
    for (file, part) in [
        (
            "/nonexistent/key.json",
            "there is no `/nonexistent/key.json`",
        ),
        (broken.as_str(), "it is not JSON"),
    ] {
        let error = missing(&[("GOOGLE_APPLICATION_CREDENTIALS", file), machine]).await;
        assert_eq!(error.steps().len(), 1, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = clouds
        .google_file("revoked-user.json")
        .token()
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("answered 400: invalid_grant, not good: ***"),
        "{text}"
    );
}

const PROBE: &str = "LAUNCH_TEST_GOOGLE_PROBE";

/// Run by the next, in an environment of its own: AWS's library reads the process's.
#[tokio::test]
async fn probe() {
    if std::env::var_os(PROBE).is_some() {
        eprintln!("{:?}", GcpCredentials::new().identity().await);
    }
}

#[test]
fn aws_vouches_for_us() {
    let Some(clouds) = Clouds::get() else { return };
    let probed = |key: &str| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "gcp::probe", "--nocapture"])
            .env_clear()
            .envs([
                (PROBE, "1"),
                (
                    "GOOGLE_APPLICATION_CREDENTIALS",
                    &clouds.file("external-aws.json"),
                ),
                ("AWS_ACCESS_KEY_ID", key),
                ("AWS_SECRET_ACCESS_KEY", "planted"),
                ("AWS_REGION", "eu-west-1"),
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = probed("AKIALAUNCH");
    assert!(
        text.contains("Ok(Identity") && text.contains("workloadIdentityPools"),
        "{text}"
    );
    let text = probed("AKIASTRANGER");
    assert!(
        text.contains("invalid_grant") && !text.contains("planted"),
        "{text}"
    );
}
