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

const KEYS: &[&str] = &["address", "job-log-mib", "job-logs-mib", "job-logs-days"];

impl ObservabilityConfig {
    pub(super) fn read(value: Option<&Value>, problems: &mut Problems) -> Self {
        let block = Fields::open(value, "observability", KEYS, Unknown::Error, problems);
        Self {
            address: address(&block, problems),
            job_log_mib: positive(&block, "job-log-mib", problems),
            job_logs_mib: positive(&block, "job-logs-mib", problems),
            job_logs_days: positive(&block, "job-logs-days", problems),
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

/// A number of something of which there must be some.
fn positive(block: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<u64> {
    let given = block.integer(key, problems)?;
    let number = u64::try_from(given).ok().filter(|number| *number > 0);
    if number.is_none() {
        let message = format!("`{given}` is not 1 or more");
        problems.push(Problem::new(ProblemKind::Value, &block.at(key), message));
    }
    number
}
