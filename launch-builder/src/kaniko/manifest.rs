//! What a build asks the cluster for: one pure function from settings and a build to a Job.
//!
//! The Job is the one teams with `kaniko-config` patches and admission rules rely on, in
//! names, labels, arguments and mounts. `kaniko-config` lies under it: what it says and we
//! have to say too is ours where the build could not work otherwise (kind, labels), theirs
//! where it is a default (deadline, image, service account); lists are theirs, then ours.

use std::collections::BTreeMap;

use launch_config::image::ImageRef;
use launch_config::secret::Secret;
use serde_json::{Map, Value, json};

use super::args;
use super::credentials::{Credentials, Login};
use super::fragment::{append, container, default, object, words};
use super::mounts::Mounts;
use super::names::{
    IMAGE_LABEL, OWNER_LABEL, docker_config_name, image_label, job_name, label, owner_label,
};
use super::settings::{KanikoSettings, settings as wrong};
use crate::error::Error;
use crate::plan::DOCKERFILE_NAME;

/// The pod ends a build after so many seconds, unless `kaniko-config` says otherwise.
pub(super) const DEADLINE: u64 = 1800;
/// A Job that nobody took away goes by itself so many seconds after its end.
const REMAINS: u64 = 3600;
/// A build that is not wanted any more has nothing to finish, and may not push.
const GRACE: u64 = 1;
/// Where the kubelet looks for a container's last word: the image's digest.
const DIGEST_FILE: &str = "/dev/termination-log";

/// One build, as far as its Job goes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KanikoBuild {
    /// What tells the build from others: the run's id. Ends the Job's name.
    pub id: String,
    /// The image, with its tag.
    pub image: ImageRef,
    /// The address of the context archive.
    pub context: String,
    /// The claim of the volume the archive is in.
    pub claim: Option<String>,
    /// Values for the Dockerfile's `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// The platform to build for; the node's own if not given.
    pub platform: Option<String>,
    /// The registry's login, for registries that a pod has no identity for.
    pub login: Option<Login>,
    /// Who may find the Job again.
    pub owner: Option<String>,
}

impl KanikoBuild {
    /// A build of `image` from the archive at `context`.
    pub fn new(id: impl Into<String>, image: ImageRef, context: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            image,
            context: context.into(),
            claim: None,
            build_args: BTreeMap::new(),
            platform: None,
            login: None,
            owner: None,
        }
    }

    /// Says that the archive is in a volume.
    #[must_use]
    pub fn with_claim(mut self, claim: impl Into<String>) -> Self {
        self.claim = Some(claim.into());
        self
    }

    /// The name of its context archive.
    pub fn archive(&self) -> String {
        format!("{}.tgz", label(&self.id))
    }
}

/// A Job, and what has to be there beside it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KanikoObjects {
    /// The Job's name.
    pub name: String,
    /// The namespace of all of it.
    pub namespace: String,
    /// The container that builds.
    pub container: String,
    /// The Job.
    pub job: Value,
    /// The content of docker's `config.json`, for the Secret [`docker_config_name`] of the
    /// Job; `None` if the build has no need for one.
    pub docker_config: Option<Secret>,
}

/// Makes a build's Job.
///
/// # Errors
/// [`Error::Settings`] if `kaniko-config` is no fragment of a Job with one container, or if
/// the settings' secret means nothing to the image's registry.
pub fn objects(settings: &KanikoSettings, build: &KanikoBuild) -> Result<KanikoObjects, Error> {
    let name = job_name(settings, &build.id);
    let credentials = Credentials::of(settings, build)?;
    let mounts = Mounts::of(settings, build, &credentials, &name);
    let mut job = settings.config.clone();
    head(settings, build, &name, &mut job)?;
    let spec = object(&mut job, "spec")?;
    default(spec, "backoffLimit", json!(0));
    default(spec, "ttlSecondsAfterFinished", json!(REMAINS));
    let template = object(spec, "template")?;
    let labels = object(object(template, "metadata")?, "labels")?;
    put_labels(labels, build);
    if credentials.uses_workload_identity() {
        labels.insert("azure.workload.identity/use".to_owned(), json!("true"));
    }
    let pod = object(template, "spec")?;
    default(pod, "restartPolicy", json!("Never"));
    default(pod, "activeDeadlineSeconds", json!(DEADLINE));
    default(pod, "terminationGracePeriodSeconds", json!(GRACE));
    default(pod, "serviceAccountName", json!(settings.service_account));
    append(pod, "volumes", mounts.volumes)?;
    let container = container(pod)?;
    default(container, "name", json!("wandb-container-build"));
    default(container, "image", json!(settings.image));
    let mut args = args::merge(&arguments(build), &words(container)?);
    let values = build.build_args.iter();
    // The run's own, beside those every build has.
    args.extend(values.map(|(key, value)| format!("--build-arg={key}={value}")));
    container.insert("args".to_owned(), json!(args));
    append(container, "env", mounts.env)?;
    append(container, "volumeMounts", mounts.container)?;
    let container = container["name"].as_str().unwrap_or_default().to_owned();
    Ok(KanikoObjects {
        name,
        namespace: settings.namespace.clone(),
        container,
        job: Value::Object(job),
        docker_config: credentials.into_docker_config(),
    })
}

/// The Secret with the logins of a Job, which goes when the Job goes.
pub fn docker_config_secret(objects: &KanikoObjects, job_uid: &str) -> Option<Value> {
    let text = objects.docker_config.as_ref()?;
    Some(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": docker_config_name(&objects.name),
            "namespace": objects.namespace,
            "labels": {"wandb": "launch"},
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": objects.name, "uid": job_uid,
            }],
        },
        "type": "Opaque",
        "immutable": true,
        "stringData": {"config.json": text.expose()},
    }))
}

fn head(
    settings: &KanikoSettings,
    build: &KanikoBuild,
    name: &str,
    job: &mut Map<String, Value>,
) -> Result<(), Error> {
    job.insert("apiVersion".to_owned(), json!("batch/v1"));
    job.insert("kind".to_owned(), json!("Job"));
    let metadata = object(job, "metadata")?;
    default(metadata, "name", json!(name));
    if metadata["name"] != name {
        let said = "`kaniko-config.metadata.name` would be the name of every build: set \
                    `build-job-name`, which the run's id is put behind";
        return Err(wrong(said));
    }
    metadata.insert("namespace".to_owned(), json!(settings.namespace));
    put_labels(object(metadata, "labels")?, build);
    Ok(())
}

fn put_labels(labels: &mut Map<String, Value>, build: &KanikoBuild) {
    labels.insert("wandb".to_owned(), json!("launch"));
    if let Some(owner) = &build.owner {
        labels.insert(OWNER_LABEL.to_owned(), json!(owner_label(owner)));
        labels.insert(IMAGE_LABEL.to_owned(), json!(image_label(&build.image)));
    }
}

/// The executor's arguments, which those of `kaniko-config` are laid over.
fn arguments(build: &KanikoBuild) -> Vec<String> {
    let repository = build.image.name();
    let mut arguments = vec![
        format!("--context={}", build.context),
        format!("--dockerfile={DOCKERFILE_NAME}"),
        format!("--destination={}", build.image),
        "--cache=true".to_owned(),
        format!("--cache-repo={repository}"),
        "--snapshot-mode=redo".to_owned(),
        "--compressed-caching=false".to_owned(),
        format!("--digest-file={DIGEST_FILE}"),
    ];
    let platform = build.platform.iter();
    arguments.extend(platform.map(|platform| format!("--custom-platform={platform}")));
    arguments
}
