//! Where the libraries' events go: stderr, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::global::{Global, LogFormat};

/// The variable that sets the filter by hand, as `launch_agent=debug,warn`.
const FILTER: &str = "LAUNCH_LOG";

/// Installs the subscriber. An agent says what it does; the other commands only warn.
pub(crate) fn init(global: &Global, is_agent: bool, more: u8) {
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
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(global.verbose + more > 0)
        .with_ansi(std::io::stderr().is_terminal() && !plain);
    // A second subscriber in one process is only possible in tests; the first one stays.
    let _ = match global.log_format {
        LogFormat::Json => builder.json().with_span_list(false).try_init(),
        LogFormat::Text => builder.try_init(),
    };
}
