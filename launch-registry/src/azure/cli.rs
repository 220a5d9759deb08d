//! The account that `az login` left on a desk.

use std::process::Stdio;
use std::time::Duration;

use launch_config::secret::Secret;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::{Lookup, now, seconds};
use crate::credentials::{Fresh, Surroundings};

/// The CLI is Python and takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: Secret,
    /// Seconds since 1970; CLIs before 2.54 have only a local time beside it.
    #[serde(rename = "expires_on")]
    expires_on: Option<Value>,
}

pub(super) async fn token(from: &Surroundings, scope: &str) -> Result<Fresh<Secret>, Lookup> {
    let absent = |why: &str| Lookup::Absent(why.to_owned());
    let program = from
        .program("az")
        .ok_or_else(|| absent("`az` is not installed"))?;
    let resource = scope.strip_suffix("/.default").unwrap_or(scope);
    let mut command = Command::new(program);
    command.args([
        "account",
        "get-access-token",
        "--output",
        "json",
        "--resource",
        resource,
    ]);
    if let Some(tenant) = from.get("AZURE_TENANT_ID") {
        command.args(["--tenant", tenant]);
    }
    command
        .env_clear()
        .envs(from.all())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| absent("`az` does not answer"))?;
    let output = output.map_err(|error| Lookup::Absent(format!("`az` does not run: {error}")))?;
    if !output.status.success() {
        // What it prints on failure is advice, and never a token.
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        return Err(Lookup::Absent(format!(
            "`az` says: {}",
            line.unwrap_or("nothing")
        )));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| absent("`az` answered something else than a token"))?;
    let end = answer.expires_on.as_ref().and_then(seconds);
    let life = end.map_or(300, |end| end.saturating_sub(now()));
    Ok(Fresh {
        value: answer.access_token,
        life: Some(Duration::from_secs(life)),
    })
}
