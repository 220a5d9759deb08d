//! One build with the engine's own BuildKit: the context goes up while its trace comes down.
//!
//! Engines have BuildKit behind the same call as the classic builder, `version=2`, since
//! 18.09. The context is the request's body as before; what a build needs of its caller
//! (secrets, logins) it asks for over a session. No program and no plug-in is called.

mod connection;
mod grpc;
mod protobuf;
mod session;
mod trace;
mod without;

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response};
use launch_config::image::Digest;
use serde::Deserialize;
use url::form_urlencoded;

pub(super) use self::connection::Address;
use self::connection::{Body, QUESTION, refusal, unreachable};
use self::session::Answers;
use self::trace::Trace;
pub(super) use self::without::Without;
use super::build::{Failed, labels, sentence};
use super::{DockerBuilder, silent};
use crate::BuildRequest;
use crate::context::{self, ContextOptions};
use crate::error::Error;
use crate::event::Events;
use crate::log::Log;
use crate::plan::{BUILDKIT_DOCKERFILE_NAME, DOCKERFILE_NAME, DockerfileOrigin, Plan};
use crate::source::blocking;

/// The first version of the API whose builds can be BuildKit's.
const FIRST_API: (u32, u32) = (1, 39);
/// A line of the trace is no longer than this.
const LONGEST_LINE: usize = 16 << 20;

/// What BuildKit reads of the archive, and what is taken out of it: it would be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) dockerfile: String,
    pub(super) without: Vec<&'static str>,
}

/// A Dockerfile of the source is read where it lies. One that lies outside its context, or
/// that the rules leave out, could be copied by its added name: such a build is the classic
/// builder's, unless the Dockerfile needs BuildKit.
pub(super) async fn route(request: &BuildRequest) -> Result<Option<Route>, Error> {
    const IGNORE_FILE: &str = crate::plan::IGNORE_FILE;
    let plan = &request.plan;
    let path = match &plan.dockerfile.origin {
        DockerfileOrigin::Generated => {
            let dockerfile = BUILDKIT_DOCKERFILE_NAME.to_owned();
            let without = vec![DOCKERFILE_NAME, IGNORE_FILE];
            return Ok(Some(Route {
                dockerfile,
                without,
            }));
        }
        DockerfileOrigin::Spec(path) => path.clone(),
        DockerfileOrigin::BesideEntryPoint(path) => path.file_name().unwrap_or_default().into(),
    };
    if let Some(dockerfile) = in_context(plan, &path).await? {
        let without = vec![DOCKERFILE_NAME, IGNORE_FILE];
        return Ok(Some(Route {
            dockerfile,
            without,
        }));
    }
    let text = &plan.dockerfile.text;
    let needs = !request.secrets.is_empty() || text.contains("--mount=") || text.contains("<<");
    Ok(needs.then(|| Route {
        dockerfile: DOCKERFILE_NAME.to_owned(),
        without: vec![IGNORE_FILE],
    }))
}

/// The Dockerfile's name in the packed context, if it is there: asked of a context that
/// would hold nothing else, under the same rules.
async fn in_context(plan: &Plan, path: &Path) -> Result<Option<String>, Error> {
    let mut name = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => name.push(part),
            Component::CurDir => {}
            _ => return Ok(None),
        }
    }
    let rules = plan.ignore_rules().to_owned();
    blocking(move || {
        let scratch = tempfile::tempdir()?;
        let (root, file) = (scratch.path().join("context"), scratch.path().join("rules"));
        let dockerfile = root.join(&name);
        fs_err::create_dir_all(dockerfile.parent().unwrap_or(&root))?;
        fs_err::write(&dockerfile, "")?;
        fs_err::write(&file, rules)?;
        let options = ContextOptions::new().with_ignore_file(file);
        let found = context::hash(&root, &options, &Events::silent())?;
        Ok((found.files == 1).then(|| name.display().to_string()))
    })
    .await
}

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
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("version", "2")
        .append_pair("session", session)
        .append_pair("buildid", session)
        .append_pair("dockerfile", dockerfile)
        .append_pair("t", &request.image.to_string())
        .append_pair("buildargs", &json(&plan.build_args))
        .append_pair("labels", &json(&labels));
    if let Some(platform) = &plan.platform {
        query.append_pair("platform", platform);
    }
    if let Some(network) = &builder.network {
        query.append_pair("networkmode", network);
    }
    if !builder.is_cached {
        query.append_pair("nocache", "1");
    }
    query.finish()
}

fn json(map: &BTreeMap<String, String>) -> String {
    serde_json::to_string(map).expect("a map of texts is JSON")
}

/// A line of the engine's answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    id: Option<String>,
    aux: Option<serde_json::Value>,
    stream: Option<String>,
    error: Option<String>,
    #[serde(rename = "errorDetail")]
    detail: Option<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    message: Option<String>,
}

async fn receive(
    response: Response<Incoming>,
    log: &mut Log<'_>,
) -> Result<Option<Digest>, Failed> {
    let (mut body, mut trace) = (response.into_body(), Trace::default());
    let (mut image, mut waiting) = (None, BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failed::Otherwise(unreachable(error)))?;
        let Ok(bytes) = frame.into_data() else {
            continue;
        };
        waiting.extend_from_slice(&bytes);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line = waiting.split_to(end + 1);
            image = take(&line, &mut trace, log)?.or(image);
        }
        if waiting.len() > LONGEST_LINE {
            return Err(Failed::Said("a line of the engine's has no end".to_owned()));
        }
    }
    Ok(take(&waiting, &mut trace, log)?.or(image))
}

/// Takes one line; answers the image's id if it is the one that says it.
fn take(line: &[u8], trace: &mut Trace, log: &mut Log<'_>) -> Result<Option<Digest>, Failed> {
    let Ok(line) = serde_json::from_slice::<Line>(line) else {
        return Ok(None);
    };
    let said = line.detail.and_then(|detail| detail.message).or(line.error);
    if let Some(said) = said {
        return Err(Failed::Said(sentence(&log.masked(&said))));
    }
    if let Some(text) = &line.stream {
        log.take(text);
    }
    let Some(aux) = line.aux else { return Ok(None) };
    match (line.id.as_deref(), &aux) {
        (Some("moby.buildkit.trace"), serde_json::Value::String(text)) => {
            if let Ok(message) = BASE64_STANDARD.decode(text) {
                trace.take(&message, log);
            }
            Ok(None)
        }
        _ => Ok(aux["ID"].as_str().and_then(|id| id.parse().ok())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;

    fn taken(line: &str) -> Result<Option<Digest>, String> {
        let events = Events::silent();
        let mut log = Log::new(&events, vec![launch_config::secret::Secret::new("planted")]);
        take(line.as_bytes(), &mut Trace::default(), &mut log).map_err(|failed| match failed {
            Failed::Said(said) => said,
            Failed::Otherwise(error) => error.to_string(),
        })
    }

    #[test]
    fn lines_of_the_answer_are_told_apart() {
        let id = format!("sha256:{}", "7".repeat(64));
        let line = format!("{{\"id\":\"moby.image.id\",\"aux\":{{\"ID\":\"{id}\"}}}}");
        assert_eq!(taken(&line).unwrap().unwrap().to_string(), id);
        assert_eq!(
            taken("{\"id\":\"moby.buildkit.trace\",\"aux\":\"!\"}"),
            Ok(None)
        );
        assert_eq!(taken("no json"), Ok(None));
        let line =
            "{\"errorDetail\":{\"message\":\"step\\nexit code: 3, planted.\"},\"error\":\"x\"}";
        assert_eq!(taken(line), Err("exit code: 3, ***".to_owned()));
        assert_eq!(taken("{\"error\":\"no\"}"), Err("no".to_owned()));
    }
}
