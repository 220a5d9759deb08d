//! What errors of the engine mean.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use bollard::errors::Error as EngineError;
use launch_config::id::RunKey;

use super::NAME;
use crate::Error;

/// How long the engine may take to answer a simple question.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for an answer, but not for ever.
pub(super) async fn answered<T>(
    question: impl Future<Output = Result<T, EngineError>> + Send,
) -> Result<T, EngineError> {
    tokio::time::timeout(ANSWER_TIMEOUT, question)
        .await
        .unwrap_or(Err(EngineError::RequestTimeoutError))
}

/// The HTTP status of the engine's answer, if it answered.
pub(super) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// An answer, or `None` where the engine says there is no such thing.
pub(super) fn absent_is_none<T>(result: Result<T, EngineError>) -> Result<Option<T>, EngineError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if status(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The engine's own sentence about what it will not do, if trying again is in vain.
pub(super) fn refusal(error: &EngineError) -> Option<&str> {
    // The engine answers 500 for much that is the request's fault.
    const FINAL: [&str; 7] = [
        "OCI runtime create failed",
        "failed to create task for container",
        "could not select device driver",
        "executable file not found",
        "no such file or directory",
        "unknown runtime",
        "invalid",
    ];
    match error {
        EngineError::DockerResponseServerError {
            status_code,
            message,
        } => {
            let client = (400..500).contains(status_code) && ![408, 429].contains(status_code);
            let known = FINAL.iter().any(|part| message.contains(part));
            (client || known).then_some(message.trim())
        }
        _ => None,
    }
}

/// A failed call about one run.
pub(super) fn backend(action: &'static str, key: &RunKey, error: EngineError) -> Error {
    if is_unreachable(&error) {
        return unavailable(error);
    }
    Error::Backend {
        runner: NAME,
        action,
        key: key.clone(),
        source: Box::new(error),
    }
}

/// An engine that does not answer, with what a person can do about it.
pub(super) fn unavailable(error: EngineError) -> Error {
    Error::Unavailable {
        runner: NAME,
        missing: missing(&error),
        source: Some(Box::new(error)),
    }
}

fn missing(error: &EngineError) -> String {
    let socket = socket();
    match (error, io_kind(error)) {
        (EngineError::UnsupportedURISchemeError { .. }, _) => {
            format!(
                "`{socket}` (DOCKER_HOST) is not a kind of address we speak: unix, tcp, http, https"
            )
        }
        (EngineError::SocketNotFoundError(_), _) | (_, Some(ErrorKind::NotFound)) => {
            format!("no Docker Engine at `{socket}`: install and start it, or set DOCKER_HOST")
        }
        (_, Some(ErrorKind::PermissionDenied)) => format!(
            "we may not use the Docker Engine at `{socket}`: add the user to the `docker` group \
             and log in again"
        ),
        (_, Some(ErrorKind::ConnectionRefused)) => {
            format!("nothing listens at `{socket}`: start the Docker Engine")
        }
        (EngineError::RequestTimeoutError, _) => {
            format!("the Docker Engine at `{socket}` does not answer in time")
        }
        _ => format!("the Docker Engine at `{socket}` does not answer as one"),
    }
}

/// Where the engine is looked for. An address has no password, so it can be shown.
fn socket() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned())
}

fn is_unreachable(error: &EngineError) -> bool {
    let refused = [
        ErrorKind::NotFound,
        ErrorKind::PermissionDenied,
        ErrorKind::ConnectionRefused,
    ];
    io_kind(error).is_some_and(|kind| refused.contains(&kind))
}

/// The kind of the first I/O error in the chain.
fn io_kind(error: &EngineError) -> Option<ErrorKind> {
    // This variant forwards to what it holds, and so hides it from the chain.
    if let EngineError::IOError { err } = error {
        return Some(err.kind());
    }
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status_code: u16, message: &str) -> EngineError {
        EngineError::DockerResponseServerError {
            status_code,
            message: message.to_owned(),
        }
    }

    #[test]
    fn what_will_not_change_is_a_refusal() {
        assert_eq!(
            refusal(&response(400, "bad parameter\n")),
            Some("bad parameter")
        );
        assert!(refusal(&response(500, "OCI runtime create failed: x")).is_some());
        assert_eq!(refusal(&response(500, "no space left on device")), None);
        assert_eq!(refusal(&response(429, "slow down")), None);
        assert_eq!(refusal(&EngineError::RequestTimeoutError), None);
    }

    #[test]
    fn advice_fits_the_failure() {
        let denied = EngineError::IOError {
            err: ErrorKind::PermissionDenied.into(),
        };
        assert!(missing(&denied).contains("`docker` group"));
        let absent = EngineError::SocketNotFoundError("/x".into());
        assert!(missing(&absent).contains("no Docker Engine at"));
    }
}
