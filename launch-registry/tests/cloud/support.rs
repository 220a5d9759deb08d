//! The stand-ins, and clients that reach them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fmt};

use launch_registry::acr::AcrRegistry;
use launch_registry::aws::{AwsCredentials, AwsKeys};
use launch_registry::azure::AzureCredentials;
use launch_registry::config::image::ImageRef;
use launch_registry::config::secret::Secret;
use launch_registry::credentials::Surroundings;
use launch_registry::ecr::EcrRegistry;
use launch_registry::gar::GarRegistry;
use launch_registry::gcp::GcpCredentials;
use launch_registry::oci::{
    AnonymousKeychain, FixedKeychain, Login, Network, OciRegistry, OciRegistryBuilder, RetryPolicy,
};
use launch_registry::{Credentials, PushEvents, Registry};
use serde_json::Value;

pub(crate) const ECR: [&str; 3] = [
    "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
];
pub(crate) const GAR: [&str; 4] = [
    "us-central1-docker.pkg.dev",
    "europe-docker.pkg.dev",
    "gcr.io",
    "eu.gcr.io",
];
pub(crate) const ACR: [&str; 3] = [
    "launchtest.azurecr.io",
    "launchtest.azurecr.us",
    "launchtest.azurecr.cn",
];
/// Its certificate is of the private authority; it wants no login.
pub(crate) const PRIVATE: &str = "registry.launch.test";

pub(crate) const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const ENTRA_SECRET: &str = "planted-entra-secret";
pub(crate) const AWS_SECRET: &str = "planted-aws-secret-key";

/// The stand-ins of `tests/services/clouds.sh`.
#[derive(Debug, Clone)]
pub(crate) struct Clouds {
    registries: SocketAddr,
    pub(crate) identity: String,
    pub(crate) aws: String,
    files: PathBuf,
}

/// The value of an environment variable; without it the test is skipped, but never in CI.
pub(crate) fn real(name: &str) -> Option<String> {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let is_ci = env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "{name} must be set in CI");
        eprintln!("skipped: {name} is not set");
    }
    value
}

impl Clouds {
    pub(crate) fn get() -> Option<Self> {
        Some(Self {
            registries: real("LAUNCH_TEST_CLOUD_REGISTRIES")?.parse().unwrap(),
            identity: real("LAUNCH_TEST_CLOUD_IDENTITY")?,
            aws: real("LAUNCH_TEST_CLOUD_AWS")?,
            files: real("LAUNCH_TEST_CLOUD_FILES")?.into(),
        })
    }

    /// A file with this name, as a cloud's tool would have written it.
    pub(crate) fn file(&self, name: &str) -> String {
        self.files.join(name).display().to_string()
    }

    /// Host and port of the identities.
    pub(crate) fn identity_host(&self) -> &str {
        self.identity.strip_prefix("http://").unwrap()
    }

    pub(crate) fn authority(&self) -> String {
        fs_err::read_to_string(self.files.join("ca.pem")).unwrap()
    }

    pub(crate) fn network(&self) -> Network {
        let hosts = ECR.iter().chain(&GAR).chain(&ACR).chain([&PRIVATE]);
        let network = Network::default()
            .with_authorities(&self.authority())
            .unwrap();
        hosts.fold(network, |network, host| {
            network.with_address(*host, self.registries)
        })
    }

    pub(crate) fn client(&self) -> OciRegistryBuilder {
        let retry = RetryPolicy::default()
            .with_first(Duration::from_millis(5))
            .with_longest(Duration::from_millis(50));
        OciRegistry::builder()
            .with_network(self.network())
            .with_retry(retry)
            .keychain(AnonymousKeychain)
    }

    pub(crate) fn ecr(&self, key: &str) -> EcrRegistry {
        let keys = AwsKeys::new(key, Secret::new(AWS_SECRET));
        EcrRegistry::builder()
            .credentials(AwsCredentials::of_keys(&keys))
            .client(self.client())
            .with_endpoint(&self.aws)
            .build()
            .unwrap()
    }

    pub(crate) fn gar(&self, credentials: GcpCredentials) -> GarRegistry {
        let builder = GarRegistry::builder().credentials(credentials);
        builder.client(self.client()).build().unwrap()
    }

    pub(crate) fn acr(&self, credentials: AzureCredentials) -> AcrRegistry {
        let builder = AcrRegistry::builder().credentials(credentials);
        builder.client(self.client()).build().unwrap()
    }

    /// Google's credentials of the machine.
    pub(crate) fn google(&self) -> GcpCredentials {
        GcpCredentials::of(Surroundings::new([(
            "GCE_METADATA_HOST",
            self.identity_host(),
        )]))
    }

    /// Google's credentials in a file.
    pub(crate) fn google_file(&self, name: &str) -> GcpCredentials {
        let file = self.file(name);
        GcpCredentials::of(Surroundings::new([(
            "GOOGLE_APPLICATION_CREDENTIALS",
            file,
        )]))
    }

    /// Azure's credentials of an application.
    pub(crate) fn azure(&self, secret: &str) -> AzureCredentials {
        AzureCredentials::of(Surroundings::new([
            ("AZURE_AUTHORITY_HOST", self.identity.as_str()),
            ("AZURE_TENANT_ID", "launch-tenant"),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_CLIENT_SECRET", secret),
        ]))
    }

    /// A client with the credentials that were handed out, and no others.
    pub(crate) fn puller(&self, host: &str) -> launch_registry::conformance::Puller {
        let (clouds, host) = (self.clone(), host.to_owned());
        Arc::new(move |credentials: Option<Credentials>| {
            let client = clouds.client();
            let client = match credentials {
                None => client.build(),
                Some(credentials) => {
                    let login = Login::Password(credentials);
                    client.keychain(FixedKeychain::new(&host, login)).build()
                }
            };
            Arc::new(client.unwrap()) as Arc<dyn Registry>
        })
    }

    /// The calls the stand-ins saw so far.
    pub(crate) async fn log(&self) -> Vec<BTreeMap<String, String>> {
        let text = self.read("/control/log").await;
        let calls: Vec<Value> = serde_json::from_str(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let call = |call: &Value| {
            let fields = call.as_object().unwrap().iter();
            fields
                .map(|(name, value)| (name.clone(), text(value)))
                .collect()
        };
        calls.iter().map(call).collect()
    }

    async fn read(&self, path: &str) -> String {
        let host = self.identity_host().to_owned();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        tokio::task::spawn_blocking(move || {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(host).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer.split_once("\r\n\r\n").unwrap().1.to_owned()
        })
        .await
        .unwrap()
    }
}

pub(crate) fn image(host: &str, path: &str) -> ImageRef {
    format!("{host}/{path}").parse().unwrap()
}

/// A name that no other test uses.
pub(crate) fn unique(prefix: &str) -> String {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).unwrap();
    format!(
        "{prefix}-{}",
        bytes.map(|byte| format!("{byte:02x}")).concat()
    )
}

pub(crate) fn silent() -> PushEvents {
    Arc::new(|_| ())
}

/// An error with all its causes.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

pub(crate) fn shown(value: &impl fmt::Debug) -> String {
    format!("{value:?}")
}
