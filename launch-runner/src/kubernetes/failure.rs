//! What errors of the API mean.

use std::future::Future;
use std::time::Duration;

use kube::Error as ApiError;
use launch_config::id::RunKey;

use super::NAME;
use crate::Error;

/// How long the API may take to answer a simple question.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The API did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", ANSWER_TIMEOUT.as_secs())]
struct Silence;

/// Waits for an answer, but not for ever.
pub(super) async fn answered<T>(
    question: impl Future<Output = Result<T, ApiError>> + Send,
) -> Result<T, ApiError> {
    tokio::time::timeout(ANSWER_TIMEOUT, question)
        .await
        .unwrap_or_else(|_| Err(ApiError::Service(Box::new(Silence))))
}

/// The HTTP status of an answer that is an error.
pub(super) fn code(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::Api(status) => Some(status.code),
        _ => None,
    }
}

/// An answer, or `None` where there is no such thing.
pub(super) fn absent_is_none<T>(result: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if code(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Deleting what is not there is fine.
pub(super) fn gone_is_fine<T>(result: Result<T, ApiError>) -> Result<(), ApiError> {
    absent_is_none(result).map(drop)
}

/// What the cluster says it will not take, if sending it again is in vain: the object is
/// invalid, an admission rule or a quota is against it, we may not, or there is no such
/// kind.
pub(super) fn refusal(error: &ApiError) -> Option<String> {
    let ApiError::Api(status) = error else {
        return None;
    };
    let is_final =
        (400..500).contains(&status.code) && ![401, 408, 409, 429].contains(&status.code);
    is_final.then(|| said(&status.message, &status.reason))
}

/// The cluster's words, without the Go structures of old ones.
fn said(message: &str, reason: &str) -> String {
    let text = if message.trim().is_empty() {
        reason
    } else {
        message
    };
    text.trim().to_owned()
}

/// An error in a sentence of a person.
pub(super) fn words(error: &ApiError) -> String {
    match error {
        ApiError::Api(status) => said(&status.message, &status.reason),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// What the API answered about one run.
#[derive(Debug, thiserror::Error)]
#[error("{words}")]
struct Answer {
    words: String,
}

/// A failed call about one run.
pub(super) fn backend(action: &'static str, key: &RunKey, error: &ApiError) -> Error {
    let source = Box::new(Answer {
        words: words(error),
    });
    Error::Backend {
        runner: NAME,
        action,
        key: key.clone(),
        source,
    }
}

/// A cluster that cannot be used.
pub(super) fn unavailable(missing: impl Into<String>, error: Option<&ApiError>) -> Error {
    let source = error.map(|error| {
        let words = words(error);
        Box::new(Answer { words }) as Box<dyn std::error::Error + Send + Sync>
    });
    Error::Unavailable {
        runner: NAME,
        missing: missing.into(),
        source,
    }
}

/// A request that asks for what cannot be.
pub(super) fn refused(key: &RunKey, why: impl Into<String>) -> Error {
    Error::Refused {
        runner: NAME,
        key: key.clone(),
        why: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answer(code: u16, message: &str) -> ApiError {
        ApiError::Api(Box::new(Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        }))
    }

    #[test]
    fn what_will_not_change_is_a_refusal() {
        for code in [400, 403, 404, 413, 422] {
            assert_eq!(
                refusal(&answer(code, "no ")).as_deref(),
                Some("no"),
                "{code}"
            );
        }
        for code in [401, 409, 429, 500, 503] {
            assert_eq!(refusal(&answer(code, "later")), None, "{code}");
        }
    }
}
