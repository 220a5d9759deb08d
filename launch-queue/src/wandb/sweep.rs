//! Sweeps, as far as an agent has to do with them.

use serde_json::json;

use super::WandbQueue;
use super::operations::{SWEEP, UPSERT_SWEEP};
use crate::error::Error;

/// States a sweep does not come back from.
const ENDED: [&str; 4] = ["FINISHED", "CANCELED", "FAILED", "CRASHED"];

impl WandbQueue {
    /// The state of a sweep, in the server's words; nothing if there is no such sweep.
    ///
    /// # Errors
    /// [`Error::Refused`] if it may not be looked at, [`Error::Backend`] if the server does
    /// not answer.
    pub async fn sweep_state(
        &self,
        entity: &str,
        project: &str,
        sweep: &str,
    ) -> Result<Option<String>, Error> {
        let variables = json!({"entity": entity, "project": project, "sweep": sweep});
        let data = self.api.call(&SWEEP, variables).await;
        let data = data.map_err(|failure| self.outward(failure, "look a sweep up"))?;
        let state = data["project"]["sweep"]["state"].as_str();
        Ok(state.map(str::to_owned))
    }

    /// Ends a sweep whose scheduler failed, unless it has ended.
    ///
    /// # Errors
    /// As [`sweep_state`](Self::sweep_state).
    pub async fn cancel_sweep(
        &self,
        entity: &str,
        project: &str,
        sweep: &str,
    ) -> Result<(), Error> {
        let variables = json!({"entity": entity, "project": project, "sweep": sweep});
        let cancelled = async {
            let data = self.api.call(&SWEEP, variables).await?;
            let found = &data["project"]["sweep"];
            let state = found["state"].as_str().unwrap_or_default();
            let Some(id) = found["id"].as_str().filter(|_| !ENDED.contains(&state)) else {
                return Ok(());
            };
            let variables = json!({
                "id": id, "state": "CANCELED", "entityName": entity, "projectName": project,
            });
            self.api.call(&UPSERT_SWEEP, variables).await.map(drop)
        };
        let cancelled = cancelled.await;
        cancelled.map_err(|failure| self.outward(failure, "end a sweep"))
    }
}
