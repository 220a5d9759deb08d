//! What the server is told of an item, and what it knows by itself.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::Duration;

use launch_config::outcome::{Outcome, Reason, Stage};
use launch_config::secret::MASK;
use serde_json::{Value, json};

use super::WandbQueue;
use super::api::Api;
use super::failure::Failure;
use super::item::Item;
use super::operations::{FAIL, RUN_STATE, WARN};
use crate::job::Report;

/// So much of a run's output is kept with its failure: the end.
const LONGEST_LOG: u64 = 1 << 20;

impl WandbQueue {
    /// Tells the end of an item, as far as its run does not.
    ///
    /// A run that called in reports its own end, whatever it is. One that did not is
    /// unknown to the server, and its item would wait for ever: it is failed here, with the
    /// reason.
    pub(super) async fn tell(&self, item: &Item, outcome: &Outcome) -> Result<(), Failure> {
        let has_run = outcome.stage >= Stage::Watch;
        if has_run
            && self
                .has_called_in(item, outcome.reason.is_success())
                .await?
        {
            return Ok(());
        }
        let mut variables = json!({
            "runQueueItemId": item.id,
            "message": message(outcome),
            "stage": stage(outcome),
        });
        if let Some(path) = self.keep_error(item, outcome).await {
            variables["filePaths"] = json!([path]);
        }
        match self.api.call(&FAIL, variables).await {
            // Nobody can say it better; asking for ever would help nobody either.
            Err(failure) if failure.is_refusal() => {
                tracing::warn!(item = item.id, %failure, "the server does not take the failure");
                Ok(())
            }
            answer => answer.map(drop),
        }
    }

    /// Keeps what is known of a failure as a file, which the app shows beside the item. The
    /// failure itself is more important: without a file, it is told all the same.
    async fn keep_error(&self, item: &Item, outcome: &Outcome) -> Option<String> {
        let name = self.presence.name()?;
        let path = format!("{}/error/error.log", item.id);
        let content = self.masked(item, &error_log(item, outcome)).await;
        let kept = self
            .hidden
            .keep(&self.api, &name, &path, content.into_bytes());
        match kept.await {
            Ok(()) => Some(path),
            Err(failure) => {
                tracing::warn!(item = item.id, %failure, "the log of a failure is not kept");
                None
            }
        }
    }

    /// The text without the keys we know.
    async fn masked(&self, item: &Item, text: &str) -> String {
        let own = self.api.credential().await.ok();
        let own = own.map(|credential| credential.secret().expose().to_owned());
        let theirs = item.spec["_wandb_api_key"].as_str().map(str::to_owned);
        let keys = own.into_iter().chain(theirs).filter(|key| !key.is_empty());
        keys.fold(text.to_owned(), |text, key| text.replace(&key, MASK))
    }

    /// Whether the server knows the run. One that ended well may still be on its way there.
    async fn has_called_in(&self, item: &Item, may_wait: bool) -> Result<bool, Failure> {
        let grace = self.api.options().start_grace;
        let grace = if may_wait { grace } else { Duration::ZERO };
        let (mut waited, mut pause) = (Duration::ZERO, Duration::from_secs(1));
        loop {
            let variables = json!({
                "project": item.project(),
                "entity": item.text("entity"),
                "name": item.run_id(),
            });
            let data = match self.api.call(&RUN_STATE, variables).await {
                // We may not look: a good end is believed, a bad one is told.
                Err(failure) if failure.is_refusal() => return Ok(may_wait),
                answer => answer?,
            };
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
}

/// A sentence a person can act on.
fn message(outcome: &Outcome) -> String {
    let message = match outcome.reason {
        Reason::Succeeded => {
            "the job ended well, but its run never called wandb.init(): W&B knows nothing of it"
                .to_owned()
        }
        reason if outcome.message.is_empty() => reason.to_string(),
        reason => format!("{reason}: {}", outcome.message),
    };
    match &outcome.hint {
        Some(hint) => format!("{message} ({hint})"),
        None => message,
    }
}

/// What happened, and the output of the run, or else the last lines of the build.
fn error_log(item: &Item, outcome: &Outcome) -> String {
    let output = item.log.as_deref().and_then(|path| last_of(path).ok());
    let output = output.unwrap_or_else(|| outcome.log_tail.join("\n"));
    format!(
        "stage {}: {}\n\n{output}\n",
        outcome.stage,
        message(outcome)
    )
}

/// The end of a file.
fn last_of(path: &Path) -> std::io::Result<String> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let left_out = length.saturating_sub(LONGEST_LOG);
    file.seek(SeekFrom::Start(left_out))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if left_out == 0 {
        text
    } else {
        format!("({left_out} bytes before this are left out)\n{text}")
    })
}

/// The server's word for where a job failed.
fn stage(outcome: &Outcome) -> &'static str {
    match outcome.reason {
        Reason::BuildFailed | Reason::PushFailed => "build",
        _ if outcome.stage >= Stage::Watch => "run",
        _ => "agent",
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
        "filePaths": Value::Array(Vec::new()),
    });
    api.call(&WARN, variables).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_is_kept_and_says_so() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log");
        fs_err::write(&path, "short").unwrap();
        assert_eq!(last_of(&path).unwrap(), "short");
        let long = "x".repeat(1 << 20) + "the end";
        fs_err::write(&path, long).unwrap();
        let kept = last_of(&path).unwrap();
        assert!(kept.starts_with("(7 bytes before this are left out)"));
        assert!(kept.ends_with("the end"));
    }
}
