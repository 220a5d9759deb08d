//! What the engine answers while BuildKit builds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use launch_config::image::Digest;
use serde::Deserialize;

use super::super::failed::{Failed, sentence};
use super::connection::unreachable;
use super::trace::Trace;
use crate::log::Log;

/// A line of the trace is no longer than this.
const LONGEST_LINE: usize = 16 << 20;

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

/// Reads the answer to its end; answers the image's id.
pub(super) async fn receive(
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
