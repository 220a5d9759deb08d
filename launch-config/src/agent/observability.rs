//! The `observability` block: how the agent is watched, and what it keeps for people.

use std::net::SocketAddr;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Problems, Unknown};
use crate::load::{Problem, ProblemKind};

/// How much of the output of one job is kept, in MiB, if the file does not say.
pub const DEFAULT_JOB_LOG_MIB: u64 = 100;

/// How much the output of all jobs may take, in MiB, if the file does not say.
pub const DEFAULT_JOB_LOGS_MIB: u64 = 2048;

/// How many days the output of an ended job is kept, if the file does not say.
pub const DEFAULT_JOB_LOGS_DAYS: u64 = 30;

/// The `observability` block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(deny_unknown_fields)
)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ObservabilityConfig {
    /// Where `/live`, `/ready` and `/metrics` are served: `127.0.0.1:9090`. Nowhere if
    /// absent.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub address: Option<SocketAddr>,
    /// How the agent's log is written: `text` or `json` (`text` if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<LogFormat>"))]
    pub log_format: Option<LogFormat>,
    /// How much of the output of one job is kept, in MiB: the newest (100 if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Whole>"))]
    pub job_log_mib: Option<u64>,
    /// How much the output of all jobs may take, in MiB: the oldest goes first (2048 if
    /// absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Whole>"))]
    pub job_logs_mib: Option<u64>,
    /// How many days the output of a job is kept (30 if absent).
    #[cfg_attr(feature = "schema", schemars(with = "Option<super::schema::Whole>"))]
    pub job_logs_days: Option<u64>,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

const KEYS: &[&str] = &[
    "address",
    "log-format",
    "job-log-mib",
    "job-logs-mib",
    "job-logs-days",
];

impl ObservabilityConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "observability", KEYS, Unknown::Error, problems);
        Self {
            address: address(&block, problems),
            log_format: log_format(&block, problems),
            job_log_mib: block.at_least(1, "job-log-mib", problems),
            job_logs_mib: block.at_least(1, "job-logs-mib", problems),
            job_logs_days: block.at_least(1, "job-logs-days", problems),
        }
    }
}

fn address(block: &Fields<'_>, problems: &mut Problems) -> Option<SocketAddr> {
    let text = block.text("address", problems)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`{text}` is no address with a port");
        let problem = Problem::new(ProblemKind::Value, &block.at("address"), message);
        problems.push(problem.with_hint("write `127.0.0.1:9090`, or `0.0.0.0:9090` for all"));
    }
    address
}

fn log_format(block: &Fields<'_>, problems: &mut Problems) -> Option<LogFormat> {
    let word = block.one_of("log-format", &["text", "json"], problems)?;
    Some(match word {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    })
}
