//! The agent's hidden run: where the app finds the files of failed items.
//!
//! It has the agent's name and the type of a sweep's controller, which keeps it out of
//! lists. Only what is said of a failure goes there, and before the failure names it: not
//! the agent's console.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::api::{Api, document};
use super::failure::Failure;
use super::operations::{CREATE_FILES, UPSERT_RUN};

/// The type that the app hides.
const JOB_TYPE: &str = "sweep-controller";

/// The run, once there was something to keep.
#[derive(Debug, Default)]
pub(super) struct HiddenRun {
    made: OnceCell<()>,
}

impl HiddenRun {
    /// Keeps a file under the run of this name.
    pub(super) async fn keep(
        &self,
        api: &Api,
        name: &str,
        path: &str,
        content: Vec<u8>,
    ) -> Result<(), Failure> {
        self.made.get_or_try_init(|| make(api, name)).await?;
        let entity = api.entity().await?;
        let project = &api.options().project;
        let variables = json!({
            "entity": entity, "project": project, "run": name, "files": [path],
        });
        let data = api.call(&CREATE_FILES, variables).await?;
        upload(api, &data["createRunFiles"], content).await?;
        let url = api.at(&format!("files/{entity}/{project}/{name}/file_stream"))?;
        let said = api.file(Method::POST, &url).await?;
        let said = said
            .header("content-type", "application/json")
            .timeout(api.options().request_timeout)
            .body(json!({"uploaded": [path]}).to_string());
        document(said.send().await.map_err(Failure::of_request)?)
            .await
            .map(drop)
    }
}

async fn make(api: &Api, name: &str) -> Result<(), Failure> {
    let options = api.options();
    let variables = json!({
        "name": name,
        "project": options.project,
        "entity": api.entity().await?,
        "jobType": JOB_TYPE,
        "host": options.hostname,
        "program": "launch-agent",
    });
    api.call(&UPSERT_RUN, variables).await.map(drop)
}

/// Puts the bytes where the server said, with the headers it said.
async fn upload(api: &Api, created: &Value, content: Vec<u8>) -> Result<(), Failure> {
    let url = created["files"][0]["uploadUrl"].as_str();
    let url = url.ok_or(Failure::Shape("uploadUrl"))?;
    let mut request = api.file(Method::PUT, url).await?;
    let headers = created["uploadHeaders"].as_array().into_iter().flatten();
    for header in headers.filter_map(Value::as_str) {
        if let Some((name, value)) = header.split_once(':') {
            request = request.header(name.trim(), value.trim());
        }
    }
    let sent = request.body(content).send().await;
    let answer = sent.map_err(Failure::of_request)?;
    let (status, said, wait) = (answer.status(), String::new(), None);
    if status.is_success() {
        return Ok(());
    }
    Err(Failure::Status { status, said, wait })
}
