//! Why a request to a store failed, carried through object_store's errors and found again.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use reqwest::StatusCode;

/// The useful end of a failed request.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    /// The store answered something else than success.
    Answered(Answered),
    /// There was no answer.
    Broken {
        tries: u32,
        seconds: u64,
        source: Shared,
    },
    /// The certificate is not trusted.
    Untrusted(Shared),
    /// There are no credentials.
    Credentials(Shared),
}

/// What the store said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    /// The error's code, as `NoSuchBucket`.
    pub(super) code: String,
    pub(super) message: String,
}

impl Answered {
    /// Code and message on one line.
    pub(super) fn said(&self) -> String {
        match (self.message.as_str(), self.code.as_str()) {
            ("", code) => code.to_owned(),
            (message, "") => message.to_owned(),
            (message, code) => format!("{message} ({code})"),
        }
    }
}

/// An error that can be in two places, since object_store only lends its sources.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<dyn StdError + Send + Sync>);

impl Shared {
    pub(super) fn new(source: Box<dyn StdError + Send + Sync>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Shared {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(answered) => write!(f, "{}: {}", answered.status, answered.said()),
            Self::Broken { source, .. } | Self::Untrusted(source) | Self::Credentials(source) => {
                source.fmt(f)
            }
        }
    }
}

impl StdError for Refusal {}

impl Refusal {
    /// The refusal among an error's causes.
    pub(super) fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(refusal) = error.downcast_ref() {
                return Some(refusal);
            }
            cause = error.source();
        }
        None
    }
}

/// The code and message of an error's body: XML in all three clouds, now and then JSON
/// or a proxy's page.
///
/// Before: `<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`.
pub(super) fn read(status: StatusCode, body: &str) -> Answered {
    let part = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.trim())
    };
    let code = part("Code").unwrap_or_default();
    let message = part("Message")
        .or_else(|| first_line(body))
        .unwrap_or_default();
    // Azure adds lines with the request's id and time.
    let message = message.lines().next().unwrap_or_default();
    let printable = |text: &str| -> String {
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        clean.take(SENTENCE).collect::<String>().trim().to_owned()
    };
    Answered {
        status,
        code: printable(code),
        message: printable(message),
    }
}

/// As much of a message is shown.
const SENTENCE: usize = 300;

fn first_line(body: &str) -> Option<&str> {
    let line = body.lines().map(str::trim).find(|line| !line.is_empty())?;
    (!line.starts_with(['<', '\u{feff}'])).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_the_three_clouds_are_read() {
        let said = |body: &str| read(StatusCode::FORBIDDEN, body).said();
        let s3 = "<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(said(s3), "Access Denied (AccessDenied)");
        let azure = "\u{feff}<?xml version=\"1.0\"?><Error><Code>ContainerNotFound</Code><Message>The container does not exist.\nRequestId:1\nTime:2</Message></Error>";
        assert_eq!(
            said(azure),
            "The container does not exist. (ContainerNotFound)"
        );
        assert_eq!(said("<html>no</html>"), "");
        assert_eq!(said("\n quota\u{1b}[0m \n"), "quota [0m");
        assert_eq!(said("<Code>x"), "");
    }
}
