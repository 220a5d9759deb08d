//! The cluster, as far as builds need it: Jobs, their pods and logs, one Secret.

use futures_util::AsyncBufRead;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::NAME;
use super::manifest::{KanikoObjects, docker_config_secret};
use super::names::{IMAGE_LABEL, OWNER_LABEL, docker_config_name};
use super::settings::settings;
use crate::error::Error;

/// What came of a wish to make a Job.
pub(super) enum Made {
    Now(Box<Job>),
    /// There is one of that name already.
    Before(Box<Job>),
}

#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    namespace: String,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
        }
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Whether we may make Jobs here; `None` if the cluster does not tell.
    pub(super) async fn may_build(&self) -> Result<Option<bool>, Error> {
        let action = json!({
            "namespace": self.namespace, "verb": "create", "group": "batch", "resource": "jobs",
        });
        let question = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": action},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        match self.post::<Value>(path, &question).await {
            Ok(answer) => Ok(answer["status"]["allowed"].as_bool()),
            Err(kube::Error::Api(status)) if matches!(status.code, 403 | 404) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Sends an object as it is: a user's fields are theirs, known to us or not.
    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        object: &Value,
    ) -> Result<T, kube::Error> {
        let bytes = object.to_string().into_bytes();
        let request = Request::new(path).create(&PostParams::default(), bytes);
        self.client
            .request(request.map_err(kube::Error::BuildRequest)?)
            .await
    }

    /// Makes the Job, or finds that it is there.
    pub(super) async fn make_job(&self, objects: &KanikoObjects) -> Result<Made, Error> {
        let path = format!("/apis/batch/v1/namespaces/{}/jobs", self.namespace);
        match self.post::<Job>(&path, &objects.job).await {
            Ok(job) => Ok(Made::Now(Box::new(job))),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                match self.job(&objects.name).await.map_err(failed)? {
                    Some(job) => Ok(Made::Before(Box::new(job))),
                    // Gone while we looked: the caller tries again.
                    None => Err(failed(kube::Error::Api(status))),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes the Secret with the logins of a Job, if it needs one.
    pub(super) async fn make_secret(
        &self,
        objects: &KanikoObjects,
        job: &Job,
    ) -> Result<(), Error> {
        let uid = job.uid().unwrap_or_default();
        let Some(secret) = docker_config_secret(objects, &uid) else {
            return Ok(());
        };
        let name = docker_config_name(&objects.name);
        let path = format!("/api/v1/namespaces/{}/secrets", self.namespace);
        loop {
            match self.post::<Value>(&path, &secret).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(failed(error)),
            }
            let found = self.secrets().get_opt(&name).await.map_err(failed)?;
            let is_ours = |found: &Secret| {
                found
                    .owner_references()
                    .iter()
                    .any(|owner| owner.uid == uid)
            };
            if found.as_ref().is_some_and(is_ours) {
                return Ok(());
            }
            // Of an earlier Job of this name: it is going anyway.
            ignore_missing(self.secrets().delete(&name, &DeleteParams::default()).await)?;
        }
    }

    /// Whether a secret is there.
    pub(super) async fn has_secret(&self, name: &str) -> Result<bool, Error> {
        let found = self.secrets().get_opt(name).await;
        found.map(|secret| secret.is_some()).map_err(failed)
    }

    /// The Job of this name, as its status shows it.
    pub(super) async fn job(&self, name: &str) -> Result<Option<Job>, kube::Error> {
        match self.jobs().get_status(name).await {
            Ok(job) => Ok(Some(job)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The Job that this owner made for an image, under whatever name.
    pub(super) async fn find(&self, owner: &str, image: &str) -> Result<Option<Job>, Error> {
        let labels = format!("{OWNER_LABEL}={owner},{IMAGE_LABEL}={image}");
        let jobs = self
            .jobs()
            .list(&ListParams::default().labels(&labels))
            .await;
        match jobs {
            Ok(list) => Ok(list.items.into_iter().next()),
            // An older role lets us make Jobs and not list them: then names have to do.
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// The newest pod of a Job.
    pub(super) async fn pod(&self, job: &str) -> Result<Option<Pod>, kube::Error> {
        let label = format!("job-name={job}");
        let pods = self
            .pods()
            .list(&ListParams::default().labels(&label))
            .await?;
        Ok(pods.items.into_iter().max_by_key(Pod::creation_timestamp))
    }

    /// The output of a pod's container from its beginning.
    pub(super) async fn log(
        &self,
        pod: &str,
        container: &str,
        follow: bool,
    ) -> Result<impl AsyncBufRead + Send + use<>, kube::Error> {
        let parameters = LogParams {
            container: Some(container.to_owned()),
            follow,
            ..LogParams::default()
        };
        self.pods().log_stream(pod, &parameters).await
    }

    /// Removes a Job, and what belongs to it with it.
    pub(super) async fn delete_job(&self, name: &str) -> Result<(), Error> {
        ignore_missing(self.jobs().delete(name, &DeleteParams::background()).await)
    }
}

fn ignore_missing<T>(result: Result<T, kube::Error>) -> Result<(), Error> {
    match result {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(failed),
    }
}

/// Whether the same request may work in a moment.
pub(super) fn is_transient(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 408 | 409 | 429 | 500..),
        _ => true,
    }
}

/// What the cluster said, in our words.
pub(super) fn failed(error: kube::Error) -> Error {
    if is_transient(&error) {
        let missing = match &error {
            kube::Error::Api(status) => format!("the cluster answers {}", status.code),
            _ => "the cluster does not answer".to_owned(),
        };
        return Error::Unavailable {
            builder: NAME,
            missing,
            source: Some(error.into()),
        };
    }
    match error {
        kube::Error::Api(status) => settings(format!("the cluster refuses: {}", status.message)),
        other => settings(other.to_string()),
    }
}
