//! The project of the credentials, as Google's own libraries find it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::managed::Http;

/// How long the metadata server may take; where there is none, nothing answers.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);

/// The project: of the environment, of the credentials' file, of this machine.
pub(super) async fn of_credentials(given: Option<&Value>) -> Option<String> {
    if let Some(project) = given.and_then(project_in) {
        return Some(project);
    }
    if let Some(project) = variable("GOOGLE_CLOUD_PROJECT") {
        return Some(project);
    }
    if let Some(file) = file().and_then(|file| read(&file)) {
        return project_in(&file);
    }
    of_machine().await
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Where Application Default Credentials are.
fn file() -> Option<PathBuf> {
    let named = variable("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    named.or_else(|| {
        let home = variable("HOME")?;
        Some(Path::new(&home).join(".config/gcloud/application_default_credentials.json"))
    })
}

fn read(file: &Path) -> Option<Value> {
    serde_json::from_str(&fs_err::read_to_string(file).ok()?).ok()
}

fn project_in(credentials: &Value) -> Option<String> {
    ["project_id", "quota_project_id"]
        .iter()
        .find_map(|key| credentials[*key].as_str())
        .map(str::to_owned)
}

/// What the metadata server of a virtual machine or pod says.
async fn of_machine() -> Option<String> {
    let host = variable("GCE_METADATA_HOST");
    let host = host.unwrap_or_else(|| "metadata.google.internal".to_owned());
    let url = format!("http://{host}/computeMetadata/v1/project/project-id");
    let http = Http::new(true).ok()?;
    let request = http
        .request(Method::GET, &url)
        .header("Metadata-Flavor", "Google")
        .timeout(METADATA_TIMEOUT);
    let reply = http.send(request).await.ok()?;
    let project = String::from_utf8(reply.body.to_vec()).ok()?;
    (reply.status.is_success() && !project.is_empty()).then_some(project)
}
