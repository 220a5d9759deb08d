//! One build with the engine's own BuildKit: the context goes up while its trace comes down.
//!
//! Engines have BuildKit behind the same call as the classic builder, `version=2`, since
//! 18.09. The context is the request's body as before; what a build needs of its caller
//! (secrets, logins) it asks for over a session. No program and no plug-in is called.

mod answer;
mod connection;
mod grpc;
mod protobuf;
mod route;
mod session;
mod trace;
mod without;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use hyper::{Method, Request};
use launch_config::image::Digest;
use serde::Serialize;
use url::form_urlencoded;

use self::answer::receive;
pub(super) use self::connection::Address;
use self::connection::{Body, QUESTION, refusal, unreachable};
pub(super) use self::route::{Route, route};
use self::session::Answers;
pub(super) use self::without::Without;
use super::DockerBuilder;
use super::engine::labels;
use super::engine::silent;
use super::failed::{Failed, sentence};
use crate::BuildRequest;
use crate::error::Error;
use crate::log::Log;

/// The first version of the API whose builds can be BuildKit's.
const FIRST_API: (u32, u32) = (1, 39);
/// The build argument that notes an image's steps in it.
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";

fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Whether the engine at this address has BuildKit. Podman, which answers like an engine,
/// has not.
pub(super) async fn is_there(address: &Address) -> Result<bool, Error> {
    let asking = async {
        let request = Request::builder().uri("/_ping").header("Host", "docker");
        let request = request.body(empty()).map_err(unreachable)?;
        let (response, _driver) = address
            .connect()
            .await?
            .send(request)
            .await
            .map_err(unreachable)?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let is_podman = header("Libpod-API-Version").is_some();
        let is_linux = header("OSType").is_none_or(|os| os == "linux");
        let api = header("API-Version").and_then(|text| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        Ok(is_linux && !is_podman && api.is_some_and(|api: (u32, u32)| api >= FIRST_API))
    };
    match tokio::time::timeout(QUESTION, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(silent(QUESTION)),
    }
}

/// Sends the build and reads its trace to the end.
pub(super) async fn run(
    builder: &DockerBuilder,
    (address, route): (&Address, &Route),
    request: &BuildRequest,
    context: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    log: &mut Log<'_>,
) -> Result<Option<Digest>, Failed> {
    let id = session_id()?;
    let answers = Arc::new(Answers {
        secrets: request.secrets.clone(),
        logins: builder.logins.clone().into_iter().collect(),
    });
    let _session = session::open(address, &id, answers)
        .await
        .map_err(Failed::Otherwise)?;
    let body = StreamBody::new(context.map(|block| block.map(Frame::data)));
    let sent = Request::builder()
        .method(Method::POST)
        .uri(format!(
            "/build?{}",
            query(builder, request, &route.dockerfile, &id)
        ))
        .header("Host", "docker")
        .header("Content-Type", "application/x-tar")
        .body(body.boxed_unsync())
        .map_err(|error| Failed::Otherwise(unreachable(error)))?;
    let connection = address.connect().await.map_err(Failed::Otherwise)?;
    let answered = connection.send(sent).await;
    let (response, _driver) = answered.map_err(|error| Failed::Otherwise(unreachable(error)))?;
    if !response.status().is_success() {
        let said = refusal(response).await;
        return Err(Failed::Said(sentence(&log.masked(&said))));
    }
    receive(response, log).await
}

/// A name nobody else uses.
fn session_id() -> Result<String, Failed> {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance)
        .map_err(|error| Failed::Otherwise(unreachable(error.to_string())))?;
    Ok(format!("launch-{:032x}", u128::from_be_bytes(chance)))
}

fn query(
    builder: &DockerBuilder,
    request: &BuildRequest,
    dockerfile: &str,
    session: &str,
) -> String {
    let plan = &request.plan;
    let labels: BTreeMap<_, _> = labels().into_iter().collect();
    let mut arguments = plan.build_args.clone();
    if builder.cache.is_inline {
        // The engine's word for it; a Dockerfile that does not know it never sees it.
        arguments.insert(INLINE_CACHE.to_owned(), "1".to_owned());
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("version", "2")
        .append_pair("session", session)
        .append_pair("buildid", session)
        .append_pair("dockerfile", dockerfile)
        .append_pair("t", &request.image.to_string())
        .append_pair("buildargs", &json(&arguments))
        .append_pair("labels", &json(&labels));
    if let Some(platform) = &plan.platform {
        query.append_pair("platform", platform);
    }
    if let Some(network) = &builder.network {
        query.append_pair("networkmode", network);
    }
    if builder.cache.is_off {
        query.append_pair("nocache", "1");
    }
    if let Some(images) = builder.cache.images() {
        query.append_pair("cachefrom", &json(&images));
    }
    query.finish()
}

fn json(texts: &impl Serialize) -> String {
    serde_json::to_string(texts).expect("texts are JSON")
}
