//! What a build's pod gets to see: volumes, mounts, variables.

use launch_config::registry::RegistryUri;
use serde_json::{Value, json};

use super::credentials::{AZURE_SECRET, CloudKind, Credentials};
use super::manifest::KanikoBuild;
use super::names::docker_config_name;
use super::settings::KanikoSettings;
use super::store::MOUNT;

/// What the pod gets beside the user's own.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) env: Vec<Value>,
    pub(super) container: Vec<Value>,
    pub(super) volumes: Vec<Value>,
}

impl Mounts {
    pub(super) fn of(
        settings: &KanikoSettings,
        build: &KanikoBuild,
        credentials: &Credentials,
        job: &str,
    ) -> Self {
        let mut all = Self::default();
        if let Some(claim) = &build.claim {
            let volume =
                json!({"name": "kaniko-pvc", "persistentVolumeClaim": {"claimName": claim}});
            all.add(volume, json!({"name": "kaniko-pvc", "mountPath": MOUNT}));
        }
        if let RegistryUri::Ecr(ecr) = RegistryUri::of(&build.image) {
            all.env
                .push(json!({"name": "AWS_REGION", "value": ecr.region()}));
        }
        if settings.is_azure {
            let (name, key) = AZURE_SECRET;
            let source = json!({"secretKeyRef": {"name": name, "key": key}});
            all.env
                .push(json!({"name": "AZURE_STORAGE_ACCESS_KEY", "valueFrom": source}));
        }
        if let Some(path) = credentials.docker_config_mount() {
            let secret = json!({"secretName": docker_config_name(job)});
            all.add(
                json!({"name": "docker-config", "secret": secret}),
                json!({"name": "docker-config", "mountPath": path}),
            );
        }
        match credentials {
            Credentials::Own(secret) => all.own(secret),
            Credentials::Cloud { kind, secret, .. } => all.cloud(*kind, secret),
            _ => {}
        }
        all
    }

    fn add(&mut self, volume: Value, mount: Value) {
        self.volumes.push(volume);
        self.container.push(mount);
    }

    fn own(&mut self, secret: &str) {
        let items = json!([{"key": ".dockerconfigjson", "path": "config.json"}]);
        self.add(
            json!({"name": "kaniko-docker-config", "secret": {"secretName": secret, "items": items}}),
            json!({"name": "kaniko-docker-config", "mountPath": "/kaniko/.docker"}),
        );
    }

    fn cloud(&mut self, kind: CloudKind, (name, key): &(String, String)) {
        let (path, file) = match kind {
            CloudKind::Aws => ("/root/.aws", "credentials"),
            CloudKind::Google => ("/kaniko/.config/gcloud", "config.json"),
        };
        let items = json!([{"key": key, "path": file}]);
        self.add(
            json!({"name": name, "secret": {"secretName": name, "items": items}}),
            json!({"name": name, "mountPath": path, "readOnly": true}),
        );
        if kind == CloudKind::Google {
            let value = format!("{path}/{file}");
            self.env
                .push(json!({"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": value}));
        }
    }
}
