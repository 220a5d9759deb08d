//! Artifacts and sweeps.

use launch_queue::config::wandb_ref::ArtifactRef;

use super::*;

fn named(text: &str) -> ArtifactRef {
    let reference = format!("wandb-artifact://{text}");
    reference.parse().expect("a reference")
}

#[tokio::test]
async fn files_of_artifacts_are_read_from_any_offset() {
    let server = Server::start().await;
    let files = [("a.txt", "0123456789"), ("b/c.txt", "c")];
    server
        .state()
        .artifact_of("team/proj/job:v1", "job", &files);
    let queue = connect(options(&server));
    let job = queue.artifact(&named("team/proj/job:v1")).await.unwrap();
    let job = job.unwrap();
    assert_eq!(job.kind, "job");
    let manifest = queue.artifact_manifest(&job).await.unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["contents"]["b/c.txt"]["size"], 1);
    for (path, offset, expected) in [
        ("a.txt", 0, "0123456789"),
        ("a.txt", 7, "789"),
        ("b/c.txt", 0, "c"),
    ] {
        let body = queue.artifact_file(&job, path, offset).await.unwrap();
        let (mut body, mut text) = (body.unwrap(), Vec::new());
        while let Some(chunk) = body.chunk().await.unwrap() {
            text.extend_from_slice(&chunk);
        }
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
    let name = queue.artifact_name(&named("team/proj/job:v1")).await;
    assert_eq!(name.unwrap().as_deref(), Some("team/proj/job:v1"));
    server.state().artifact_of("Q29kZQ==", "code", &files);
    let name = queue.artifact_name(&named("_id/Q29kZQ==")).await.unwrap();
    assert_eq!(name.as_deref(), Some("team/models/code-Q29kZQ:v3"));
    let none = queue.artifact_name(&named("_id/QQ")).await.unwrap();
    assert_eq!(none, None);
    let none = queue.artifact_file(&job, "none", 0).await.unwrap();
    assert!(none.is_none());
    let none = queue.artifact(&named("team/proj/other:v1")).await.unwrap();
    assert_eq!(none, None);
    assert_eq!(
        server.state().count("ArtifactFileURLs"),
        2,
        "two pages, asked for once"
    );
}

#[tokio::test]
async fn a_sweep_is_ended_once() {
    let server = Server::start().await;
    let queue = connect(options(&server));
    for (state, after) in [("RUNNING", "CANCELED"), ("FINISHED", "FINISHED")] {
        server
            .state()
            .sweeps
            .insert("s".to_owned(), state.to_owned());
        let found = queue.sweep_state("team", "proj", "s").await.unwrap();
        assert_eq!(found.as_deref(), Some(state));
        queue.cancel_sweep("team", "proj", "s").await.unwrap();
        assert_eq!(server.state().sweeps["s"], after);
    }
    let none = queue.sweep_state("team", "proj", "none").await.unwrap();
    assert_eq!(none, None);
}
