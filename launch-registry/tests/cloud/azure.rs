//! Azure's credentials: every place, and what is said when there are none.

use std::os::unix::fs::PermissionsExt as _;

use launch_registry::azure::AzureCredentials;
use launch_registry::credentials::Surroundings;

use crate::support::{CLIENT, Clouds, ENTRA_SECRET};

const SCOPE: &str = "https://containerregistry.azure.net/.default";
/// Nobody listens there.
const NOBODY: (&str, &str) = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1");

fn of(variables: &[(&str, &str)]) -> AzureCredentials {
    AzureCredentials::of(Surroundings::new(variables.iter().copied()))
}

async fn who(credentials: &AzureCredentials) -> String {
    let identity = credentials.identity(SCOPE).await;
    let identity = identity.unwrap_or_else(|error| panic!("{error}"));
    format!("{} from {}", identity.name, identity.place)
}

#[tokio::test]
async fn applications_prove_themselves_in_three_ways() {
    let Some(clouds) = Clouds::get() else { return };
    let (pem, federated) = (
        clouds.file("azure-application.pem"),
        clouds.file("federated.token"),
    );
    for (proof, value, place) in [
        ("AZURE_CLIENT_SECRET", ENTRA_SECRET, "environment"),
        ("AZURE_CLIENT_CERTIFICATE_PATH", &pem, "environment"),
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            &federated,
            "workload identity",
        ),
    ] {
        let credentials = of(&[
            ("AZURE_AUTHORITY_HOST", &clouds.identity),
            ("AZURE_TENANT_ID", "launch-tenant"),
            ("AZURE_CLIENT_ID", CLIENT),
            (proof, value),
            NOBODY,
        ]);
        let expected = format!("{CLIENT} in tenant launch-tenant from {place}");
        assert_eq!(who(&credentials).await, expected, "{proof}");
    }
}

#[tokio::test]
async fn machines_and_services_have_identities() {
    let Some(clouds) = Clouds::get() else { return };
    let service = format!("{}/msi/token", clouds.identity);
    for variables in [
        vec![(
            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
            clouds.identity.as_str(),
        )],
        vec![
            ("IDENTITY_ENDPOINT", service.as_str()),
            ("IDENTITY_HEADER", "planted-identity-header"),
        ],
    ] {
        let who = who(&of(&variables)).await;
        assert!(who.ends_with("from managed identity"), "{who}");
    }
}

/// The CLI is not here; this one answers as it does.
#[tokio::test]
async fn a_desk_has_the_cli() {
    let bin = tempfile::tempdir().unwrap();
    let az = bin.path().join("az");
    let script = "#!/bin/sh\n\
        case \"$*\" in *'--resource https://containerregistry.azure.net') ;; *) exit 2;; esac\n\
        echo '{\"accessToken\": \"planted-cli\", \"expires_on\": 4102444800, \"tenant\": \"t\"}'\n";
    fs_err::write(&az, script).unwrap();
    fs_err::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let credentials = of(&[("PATH", &path), NOBODY]);
    assert_eq!(
        credentials.token(SCOPE).await.unwrap().expose(),
        "planted-cli"
    );
    fs_err::write(
        &az,
        "#!/bin/sh\necho 'ERROR: Please run az login' >&2\nexit 1\n",
    )
    .unwrap();
    let error = of(&[("PATH", &path), NOBODY])
        .token(SCOPE)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`az` says: ERROR: Please run az login"),
        "{error}"
    );
}

#[tokio::test]
async fn the_error_says_what_was_tried() {
    let error = of(&[("PATH", "/nonexistent"), NOBODY])
        .token(SCOPE)
        .await
        .unwrap_err();
    let places: Vec<_> = error.steps().iter().map(|step| step.place).collect();
    let expected = [
        "environment",
        "workload identity",
        "managed identity",
        "Azure CLI",
    ];
    assert_eq!(places, expected);
    let text = error.to_string();
    for part in [
        "no credentials for Azure",
        "AZURE_TENANT_ID is not set",
        "AZURE_FEDERATED_TOKEN_FILE is not set",
        "`127.0.0.1:1/metadata/identity/oauth2/token` does not answer",
        "`az` is not installed",
    ] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    let only = of(&[("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")]);
    let text = only.token(SCOPE).await.unwrap_err().to_string();
    assert!(
        text.contains("managed identity: AZURE_TOKEN_CREDENTIALS is"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_broken_ends_the_search() {
    let Some(clouds) = Clouds::get() else { return };
    let error = clouds
        .azure("planted-wrong-secret")
        .token(SCOPE)
        .await
        .unwrap_err();
    assert_eq!(error.steps().len(), 1, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("answered 401: invalid_client, AADSTS7000215"),
        "{text}"
    );
    assert!(
        text.contains("provided: ***") && !text.contains("planted"),
        "{text}"
    );
    let key = clouds.file("azure.key");
    let error = of(&[
        ("AZURE_AUTHORITY_HOST", &clouds.identity),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_CERTIFICATE_PATH", &key),
    ]);
    let text = error.token(SCOPE).await.unwrap_err().to_string();
    assert!(text.contains("it holds no certificate in PEM"), "{text}");
    let plain = of(&[
        ("AZURE_AUTHORITY_HOST", "http://login.example.com"),
        ("AZURE_TENANT_ID", "t"),
        ("AZURE_CLIENT_ID", CLIENT),
        ("AZURE_CLIENT_SECRET", "planted-secret"),
    ]);
    let text = plain.token(SCOPE).await.unwrap_err().to_string();
    assert!(
        text.contains("is not encrypted, so it is not asked"),
        "{text}"
    );
}
