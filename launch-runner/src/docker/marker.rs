//! How it is kept that a run was cancelled.
//!
//! A container cannot be told apart from one whose program failed, once it has ended:
//! labels are fixed when it is made. So cancelling first makes an empty volume beside
//! it, `<name>.cancelled`, with the labels of the run. It lives in the engine like the
//! container, so everybody who can see the one sees the other; and it can be there
//! before the container, so that a run can be cancelled that has not started.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use launch_config::id::RunKey;

use super::failure::{absent_is_none, answered, status};
use crate::run::run_name;

fn name_of(run: &RunKey) -> String {
    format!("{}.cancelled", run_name(run))
}

/// Marks a run; repeating it changes nothing.
pub(super) async fn set(
    docker: &Docker,
    run: &RunKey,
    labels: HashMap<String, String>,
) -> Result<(), EngineError> {
    let request = VolumeCreateRequest {
        name: Some(name_of(run)),
        labels: Some(labels),
        ..VolumeCreateRequest::default()
    };
    answered(docker.create_volume(request)).await.map(drop)
}

/// Whether a run is marked.
pub(super) async fn is_set(docker: &Docker, run: &RunKey) -> Result<bool, EngineError> {
    let name = name_of(run);
    absent_is_none(answered(docker.inspect_volume(&name)).await).map(|found| found.is_some())
}

/// Removes the mark.
pub(super) async fn clear(docker: &Docker, run: &RunKey) -> Result<(), EngineError> {
    let name = name_of(run);
    match answered(docker.remove_volume(&name, None::<RemoveVolumeOptions>)).await {
        Err(error) if status(&error) == Some(404) => Ok(()),
        other => other,
    }
}
