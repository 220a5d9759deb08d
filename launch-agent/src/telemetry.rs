//! Where the libraries' events go: stderr, as text or JSON; and traces to a collector.

#[cfg(feature = "otel")]
mod otel;

use std::io::{self, IsTerminal as _};

use launch_config::outcome::Stage;
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

#[cfg(feature = "otel")]
pub(crate) use self::otel::Traces;
use crate::global::{Global, LogFormat};
use crate::masking;

/// The variable that sets the filter by hand, as `launch_agent=debug,warn`.
const FILTER: &str = "LAUNCH_LOG";

/// Installs the subscriber. An agent says what it does; the other commands only warn.
pub(crate) fn init(global: &Global, format: LogFormat, is_agent: bool, more: u8) -> Traces {
    let level = match (global.verbose + more, global.quiet) {
        (_, true) => "error",
        (0, _) if is_agent => "info",
        (0, _) => "warn",
        (1, _) => {
            "info,launch_agent=debug,launch_builder=debug,launch_registry=debug,launch_runner=debug"
        }
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(level));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt::layer()
        .with_writer(|| Masked)
        // What cannot be written would be told to the stderr that is gone, in a panic.
        .log_internal_errors(false)
        .with_target(global.verbose + more > 0)
        .with_ansi(io::stderr().is_terminal() && !plain);
    let log = match format {
        LogFormat::Json => log.json().with_span_list(false).boxed(),
        LogFormat::Text => log.boxed(),
    };
    let begun = Traces::begin();
    let (problem, (traces, layer)) = match begun {
        Ok(begun) => (None, begun),
        Err(problem) => (Some(problem), (Traces::default(), None)),
    };
    let subscriber = tracing_subscriber::registry()
        .with(layer)
        .with(log.with_filter(filter));
    // A second subscriber in one process is only possible in tests; the first one stays.
    let _ = subscriber.try_init();
    if let Some(problem) = problem {
        tracing::warn!("no traces are sent: {problem}");
    }
    traces
}

/// The span of a stage: for traces alone, so that lines of the log are the job's.
pub(crate) fn stage_span(stage: Stage) -> Span {
    tracing::trace_span!(target: "launch_agent::stage", "stage", otel.name = stage.as_str())
}

/// Nothing is traced: this program was built without the feature `otel`.
#[cfg(not(feature = "otel"))]
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces(());

#[cfg(not(feature = "otel"))]
#[allow(
    clippy::unnecessary_wraps,
    clippy::unused_async,
    clippy::unused_self,
    reason = "the same signatures with and without the feature"
)]
impl Traces {
    fn begin() -> Result<(Self, Option<tracing_subscriber::layer::Identity>), String> {
        Ok((Self::default(), None))
    }

    pub(crate) fn run_on(&self, _runtime: &tokio::runtime::Handle) {}

    pub(crate) async fn end(self) {}
}

/// Stderr, without secrets. Each event is written at once.
struct Masked;

impl io::Write for Masked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = masking::masked(String::from_utf8_lossy(bytes).into_owned());
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
