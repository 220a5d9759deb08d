//! What the server is told of an item, and what it knows by itself.

use std::time::Duration;

use launch_config::outcome::{Outcome, Reason, Stage};
use serde_json::json;

use super::api::Api;
use super::failure::Failure;
use super::item::Item;
use super::operations::{FAIL, RUN_STATE, WARN};
use crate::job::Report;

/// Tells the end of an item, as far as its run does not.
///
/// A run that called in reports its own end, whatever it is. One that did not is unknown
/// to the server, and its item would wait for ever: it is failed here, with the reason.
pub(super) async fn tell(api: &Api, item: &Item, outcome: &Outcome) -> Result<(), Failure> {
    let has_run = outcome.stage >= Stage::Watch;
    if has_run && has_called_in(api, item, outcome.reason.is_success()).await? {
        return Ok(());
    }
    let message = match outcome.reason {
        Reason::Succeeded => {
            "the job ended well, but its run never called wandb.init(): W&B knows nothing of it"
                .to_owned()
        }
        reason if outcome.message.is_empty() => reason.to_string(),
        reason => format!("{reason}: {}", outcome.message),
    };
    let message = match &outcome.hint {
        Some(hint) => format!("{message} ({hint})"),
        None => message,
    };
    let variables = json!({
        "runQueueItemId": item.id,
        "message": message,
        "stage": stage(outcome),
    });
    api.call(&FAIL, variables).await.map(drop)
}

/// The server's word for where a job failed.
fn stage(outcome: &Outcome) -> &'static str {
    match outcome.reason {
        Reason::BuildFailed | Reason::PushFailed => "build",
        _ if outcome.stage >= Stage::Watch => "run",
        _ => "agent",
    }
}

/// Whether the server knows the run. One that ended well may still be on its way there.
async fn has_called_in(api: &Api, item: &Item, may_wait: bool) -> Result<bool, Failure> {
    let grace = if may_wait {
        api.options().start_grace
    } else {
        Duration::ZERO
    };
    let (mut waited, mut pause) = (Duration::ZERO, Duration::from_secs(1));
    loop {
        let variables = json!({
            "project": item.text("project").to_lowercase(),
            "entity": item.text("entity"),
            "name": item.run_id(),
        });
        let data = api.call(&RUN_STATE, variables).await?;
        let state = data["project"]["run"]["state"].as_str();
        if state.is_some_and(|state| !state.eq_ignore_ascii_case("pending")) {
            return Ok(true);
        }
        if waited + pause > grace {
            return Ok(false);
        }
        tokio::time::sleep(pause).await;
        waited += pause;
        pause *= 2;
    }
}

/// Shows a warning at its item; what is no warning stays in the agent's log.
pub(super) async fn warn(api: &Api, item: &Item, report: &Report) -> Result<(), Failure> {
    if !report.warning {
        return Ok(());
    }
    let stage = match report.stage {
        Stage::Build | Stage::Push => "build",
        _ => "Kubernetes",
    };
    let variables = json!({
        "runQueueItemId": item.id,
        "message": report.message,
        "stage": stage,
        "filePaths": [],
    });
    api.call(&WARN, variables).await.map(drop)
}
