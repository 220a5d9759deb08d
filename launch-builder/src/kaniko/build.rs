//! One build: context up, Job made or found, watched to its end, everything taken away.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use launch_config::secret::Secret;

use super::cluster::Made;
use super::credentials::{AZURE_SECRET, Credentials, Login};
use super::guard::{Traces, remove, store_failed};
use super::manifest::{KanikoBuild, KanikoObjects, objects};
use super::names::{image_label, job_name, owner_label};
use super::settings::settings;
use super::watch::{Ended, Watch};
use super::{Inner, NAME};
use crate::context::{self, Format};
use crate::error::Error;
use crate::event::{Event, Events};
use crate::{BuildRequest, BuiltImage, Delivery};

/// How long a Job of our name that is not ours may take to go.
const GOING: Duration = Duration::from_mins(1);
const MOMENT: Duration = Duration::from_millis(500);
/// A build nobody named is named after so many digits of its image's tag.
const TAG_DIGITS: usize = 20;

/// Builds, or waits for the build that is under way.
pub(super) async fn build(
    inner: &Arc<Inner>,
    request: &BuildRequest,
    events: &Events,
) -> Result<BuiltImage, Error> {
    if request.delivery != Delivery::Registry {
        return Err(settings("its images go to a registry, and nowhere else"));
    }
    if !request.secrets.is_empty() {
        return Err(settings("it cannot give a step secrets to mount"));
    }
    let mut build = new_build(inner, request);
    let found = find(inner, &build).await?;
    let (name, archive) = names(inner, &build, found.as_ref());
    let traces = Traces::new(inner, name, archive);
    let work = async {
        let objects = match found {
            Some(job) => join(inner, &mut build, &job).await?,
            None => submit(inner, &mut build, request, events).await?,
        };
        let hidden = build
            .login
            .into_iter()
            .map(|login| login.password)
            .collect();
        watch(inner, request, &objects, (events, hidden)).await
    };
    let ended = work.await;
    traces.remove().await;
    ended
}

/// Removes what an earlier build of a request left.
pub(super) async fn clean_up(inner: &Arc<Inner>, request: &BuildRequest) -> Result<(), Error> {
    let build = new_build(inner, request);
    let found = find(inner, &build).await?;
    let (name, archive) = names(inner, &build, found.as_ref());
    remove(inner, &name, &archive).await
}

/// The names of a build's Job and context: those it was begun under, or its own.
fn names(inner: &Inner, build: &KanikoBuild, found: Option<&Job>) -> (String, String) {
    let Some(job) = found else {
        return (job_name(&inner.settings, &build.id), build.archive());
    };
    let begun = job_arguments(job);
    let mut contexts = begun
        .iter()
        .filter_map(|word| word.strip_prefix("--context="));
    let archive = contexts
        .next()
        .and_then(|address| address.rsplit('/').next());
    (
        job.name_any(),
        archive.map_or_else(|| build.archive(), str::to_owned),
    )
}

/// The build of a request, before its context is anywhere.
fn new_build(inner: &Inner, request: &BuildRequest) -> KanikoBuild {
    let tag = request.image.tag().unwrap_or_default();
    let id = request.id.clone();
    let id = id.unwrap_or_else(|| tag.chars().take(TAG_DIGITS).collect());
    let mut build = KanikoBuild::new(id, request.image.clone(), "");
    build.build_args.clone_from(&request.plan.build_args);
    build.platform.clone_from(&request.plan.platform);
    build.owner.clone_from(&inner.owner);
    build.claim = inner.store.claim().map(str::to_owned);
    build
}

/// A build of the same image that this owner began, and that is not being removed.
async fn find(inner: &Inner, build: &KanikoBuild) -> Result<Option<Job>, Error> {
    let Some(owner) = &build.owner else {
        return Ok(None);
    };
    let found = inner
        .cluster
        .find(&owner_label(owner), &image_label(&build.image))
        .await?;
    Ok(found.filter(|job| job.metadata.deletion_timestamp.is_none()))
}

/// Goes on with a build that was begun: all it may lack is the Secret made after the Job.
async fn join(inner: &Inner, build: &mut KanikoBuild, job: &Job) -> Result<KanikoObjects, Error> {
    tracing::info!(job = job.name_any(), "found the build again");
    build.login = login(inner, build).await?;
    let mut objects = objects(&inner.settings, build)?;
    objects.name = job.name_any();
    inner.cluster.make_secret(&objects, job).await?;
    Ok(objects)
}

/// Puts the context up and makes the Job.
async fn submit(
    inner: &Inner,
    build: &mut KanikoBuild,
    request: &BuildRequest,
    events: &Events,
) -> Result<KanikoObjects, Error> {
    // What could not work is known before a byte has moved.
    objects(&inner.settings, build)?;
    build.context = upload(inner, build, request, events).await?;
    if inner.settings.is_azure && !inner.cluster.has_secret(AZURE_SECRET.0).await? {
        let (name, namespace) = (AZURE_SECRET.0, &inner.settings.namespace);
        return Err(settings(format!(
            "namespace `{namespace}` has no Secret `{name}` with the storage account's key"
        )));
    }
    build.login = login(inner, build).await?;
    let objects = objects(&inner.settings, build)?;
    let job = make(inner, &objects).await?;
    inner.cluster.make_secret(&objects, &job).await?;
    Ok(objects)
}

/// Makes the Job; one of this name that builds the same is it.
async fn make(inner: &Inner, objects: &KanikoObjects) -> Result<Job, Error> {
    let deadline = tokio::time::Instant::now() + GOING;
    loop {
        let job = match inner.cluster.make_job(objects).await? {
            Made::Now(job) => return Ok(*job),
            Made::Before(job) => job,
        };
        let is_going = job.metadata.deletion_timestamp.is_some();
        if !is_going && job_arguments(&job) == wanted(objects) {
            tracing::info!(job = objects.name, "found the build again");
            return Ok(*job);
        }
        if tokio::time::Instant::now() >= deadline {
            let name = &objects.name;
            return Err(settings(format!(
                "there is another Job `{name}`, which does not go"
            )));
        }
        if !is_going {
            // An earlier build of this run, from another context.
            inner.cluster.delete_job(&objects.name).await?;
        }
        tokio::time::sleep(MOMENT).await;
    }
}

/// What a Job's container is told, which is all that decides its image.
fn job_arguments(job: &Job) -> Vec<String> {
    let pod = job
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let container = pod.and_then(|pod| pod.containers.first());
    container
        .and_then(|container| container.args.clone())
        .unwrap_or_default()
}

fn wanted(objects: &KanikoObjects) -> Vec<String> {
    let args = &objects.job["spec"]["template"]["spec"]["containers"][0]["args"];
    let words = args.as_array().into_iter().flatten();
    words
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

/// Packs the context and puts it where the build finds it. Only the context the image was
/// named after goes anywhere.
async fn upload(
    inner: &Inner,
    build: &KanikoBuild,
    request: &BuildRequest,
    events: &Events,
) -> Result<String, Error> {
    let options = request.plan.context_options().with_format(Format::TarGz);
    let (context, scratch) = (
        request.plan.context.clone(),
        tempfile::NamedTempFile::new()?,
    );
    let packing = context::pack_async(context, options, scratch, events.clone());
    let (packed, scratch) = packing.await?;
    if request
        .context
        .is_some_and(|digest| digest != packed.digest)
    {
        return Err(Error::Changed(request.plan.context.clone()));
    }
    let put = inner.store.put(&build.archive(), scratch.path()).await;
    let address = put.map_err(|source| store_failed(inner, "write to", source))?;
    events.say(Event::Fetch(format!("context at {address}")));
    Ok(address)
}

/// The agent's login for the image's registry, if the build has a use for it.
async fn login(inner: &Inner, build: &KanikoBuild) -> Result<Option<Login>, Error> {
    let wanted = Credentials::take_login(&inner.settings, &build.image);
    let Some(logins) = inner.logins.as_ref().filter(|_| wanted) else {
        return Ok(None);
    };
    let login = logins.login(&build.image).await;
    login.map_err(|source| Error::Unavailable {
        builder: NAME,
        missing: format!("no login for `{}`", build.image.host()),
        source: Some(source),
    })
}

/// Waits for the end, and reads the image from it.
async fn watch(
    inner: &Inner,
    request: &BuildRequest,
    objects: &KanikoObjects,
    log: (&Events, Vec<Secret>),
) -> Result<BuiltImage, Error> {
    let watch = Watch::new(&inner.cluster, &objects.name, &objects.container, log);
    match watch.end(inner.limit).await? {
        Ended::Pushed(Some(digest)) => Ok(BuiltImage::Pushed(request.image.pin(digest))),
        Ended::Pushed(None) => Ok(BuiltImage::Tagged(request.image.clone())),
        Ended::Failed(said, log_tail) => Err(Error::Build {
            builder: NAME,
            image: request.image.to_string(),
            said,
            log_tail,
        }),
    }
}
