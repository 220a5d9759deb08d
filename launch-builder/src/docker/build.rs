//! One build: the context goes up while its log comes down.

use std::io;

use bollard::errors::Error as EngineError;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use launch_config::image::Digest;

use super::body::{BodyWriter, body};
use super::buildkit::Without;
use super::engine::labels;
use super::failed::Failed;
use super::{DockerBuilder, NAME, buildkit};
use crate::BuildRequest;
use crate::context::{self, Format};
use crate::error::Error;
use crate::event::Events;
use crate::log::Log;
use crate::plan::DOCKERFILE_NAME;
use crate::source::blocking;

/// How long the packing may still take to say why it broke the build off.
const EXPLANATION: std::time::Duration = std::time::Duration::from_secs(5);

/// Builds and tags; answers the engine's id of the image.
pub(super) async fn build(
    builder: &DockerBuilder,
    request: &BuildRequest,
    events: &Events,
) -> Result<Digest, Error> {
    let mut log = Log::new(events, builder.secrets(request));
    let outcome = tokio::time::timeout(builder.timeout, run(builder, request, events, &mut log));
    let failed = match outcome.await {
        Ok(Ok(id)) => return Ok(id),
        Ok(Err(failed)) => failed,
        Err(_) => Failed::Said(format!("no end after {} s", builder.timeout.as_secs())),
    };
    match failed {
        Failed::Otherwise(error) => Err(error),
        Failed::Said(said) => Err(Error::Build {
            builder: NAME,
            image: request.image.to_string(),
            said,
            log_tail: log.into_tail(),
        }),
    }
}

async fn run(
    builder: &DockerBuilder,
    request: &BuildRequest,
    events: &Events,
    log: &mut Log<'_>,
) -> Result<Digest, Failed> {
    let address = builder.buildkit().await.map_err(Failed::Otherwise)?;
    let route = match &address {
        Some(_) => buildkit::route(request).await.map_err(Failed::Otherwise)?,
        None => None,
    };
    let (writer, stream) = body();
    let without = route
        .as_ref()
        .map_or_else(Vec::new, |route| route.without.clone());
    let packing = pack(request, Without::new(writer, without), events);
    let building = async {
        match (&address, &route) {
            (Some(address), Some(route)) => {
                buildkit::run(builder, (address, route), request, stream, log).await
            }
            _ => classic(builder, request, stream, log).await,
        }
    };
    tokio::pin!(packing, building);
    let id = tokio::select! {
        packed = &mut packing => match packed {
            Err(error) if !is_broken_pipe(&error) => return Err(Failed::Otherwise(error)),
            _ => building.await?,
        },
        built = &mut building => {
            // A body that breaks off shows here first; the reason is the packing's.
            match tokio::time::timeout(EXPLANATION, packing).await {
                Ok(Err(error)) if !is_broken_pipe(&error) => return Err(Failed::Otherwise(error)),
                _ => built?,
            }
        }
    };
    match id {
        Some(id) => Ok(id),
        None => look_up(builder, request).await,
    }
}

/// The engine's old builder, which all engines have.
async fn classic(
    builder: &DockerBuilder,
    request: &BuildRequest,
    context: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    log: &mut Log<'_>,
) -> Result<Option<Digest>, Failed> {
    if let Some(name) = request.secrets.keys().next() {
        let said = format!("secret `{name}` needs BuildKit, which this engine is not asked for");
        return Err(Failed::Said(said));
    }
    let list = request.plan.requirements.as_ref();
    if list.is_some_and(|list| !list.is_empty) {
        log.warn("without BuildKit, the packages are downloaded for every build");
    }
    let docker = builder.docker.clone().with_timeout(builder.timeout);
    let answers = docker.build_image(
        options(builder, request),
        Some(builder.credentials()),
        Some(bollard::body_try_stream(context)),
    );
    receive(answers, log).await
}

/// The id of an image whose build did not tell it.
async fn look_up(builder: &DockerBuilder, request: &BuildRequest) -> Result<Digest, Failed> {
    let found = builder.find(&request.image).await;
    let nothing = || Failed::Said("the engine made no image".to_owned());
    found.map_err(Failed::Otherwise)?.ok_or_else(nothing)
}

fn options(builder: &DockerBuilder, request: &BuildRequest) -> BuildImageOptions {
    let arguments = request.plan.build_args.clone().into_iter().collect();
    let mut options = BuildImageOptionsBuilder::default()
        .dockerfile(DOCKERFILE_NAME)
        .t(&request.image.to_string())
        .rm(true)
        .forcerm(true)
        .nocache(builder.cache.is_off)
        .buildargs(&arguments)
        .labels(&labels());
    if let Some(platform) = &request.plan.platform {
        options = options.platform(platform);
    }
    if let Some(network) = &builder.network {
        options = options.networkmode(network);
    }
    if let Some(images) = builder.cache.images() {
        options = options.cachefrom(&images);
    }
    options.build()
}

/// Packs the context into the request. The end is only written if the context is the one
/// the image was named after, so that no other is ever built under that name.
async fn pack(
    request: &BuildRequest,
    writer: Without<BodyWriter>,
    events: &Events,
) -> Result<(), Error> {
    let options = request.plan.context_options().with_format(Format::Tar);
    let context = request.plan.context.clone();
    let packing = context::pack_async(context, options, writer, events.clone());
    let (packed, writer) = packing.await?;
    if request
        .context
        .is_some_and(|digest| digest != packed.digest)
    {
        return Err(Error::Changed(request.plan.context.clone()));
    }
    blocking(move || Ok(writer.into_inner().finish()?)).await
}

fn is_broken_pipe(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
}

/// Reads the engine's answers to their end.
async fn receive(
    answers: impl Stream<Item = Result<BuildInfo, EngineError>>,
    log: &mut Log<'_>,
) -> Result<Option<Digest>, Failed> {
    let mut id = None;
    let mut answers = std::pin::pin!(answers);
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if let Some(piece) = answer.stream {
            log.take(&piece);
        }
        // Pulling a base image reports thousands of times; once a layer is enough.
        if let Some(status) = answer.status.filter(|_| answer.progress_detail.is_none()) {
            let subject = answer.id.map(|id| format!("{id}: ")).unwrap_or_default();
            log.progress(&(subject + &status));
        }
        if let Some(image) = answer.aux.and_then(|aux| aux.id) {
            id = image.parse().ok();
        }
    }
    Ok(id)
}
