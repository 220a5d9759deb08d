//! How failures are told, and how work is put back.

use super::*;

#[tokio::test]
async fn a_failure_is_told_with_its_log_and_without_keys() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("run.log");
    fs_err::write(&log, "epoch 1\nkey is planted-key\nboom\n").unwrap();
    let id = server.state().put("first", spec());
    let queue = connect(options(&server).with_directory(home.path().join("items")));
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    queue.keep_log(&lease.job.id, &log).unwrap();
    let failed = outcome(Reason::Failed { code: 3 }, Stage::Watch);
    queue.finish(&lease.hold, failed).await.unwrap();
    let state = server.state();
    let path = format!("{id}/error/error.log");
    assert_eq!(state.items[&id].files, [path.as_str()]);
    let kept = &state.uploads[&format!("launch-agent-1/{path}")];
    let kept = String::from_utf8(kept.clone()).unwrap();
    assert!(
        kept.contains("failed with code 3: because") && kept.contains("boom"),
        "{kept}"
    );
    assert!(!kept.contains("planted"), "{kept}");
    let run = state.last("UpsertBucket");
    assert_eq!(
        (&run["name"], &run["project"], &run["jobType"]),
        (
            &json!("launch-agent-1"),
            &json!("model-registry"),
            &json!("sweep-controller")
        )
    );
    let order: Vec<&str> = state.calls.iter().map(|(name, _)| name.as_str()).collect();
    let at = |name| order.iter().position(|call| *call == name).unwrap();
    assert!(
        at("file_stream") < at("failRunQueueItem"),
        "the file is there before its name: {order:?}"
    );
}

#[tokio::test]
async fn a_failure_is_told_even_if_its_log_cannot_be_kept() {
    let server = Server::start().await;
    let id = server.state().put("first", spec());
    let queue = connect(options(&server).with_patience(Duration::ZERO));
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    server.state().faults.push_back(Fault::Status(403));
    let failed = outcome(Reason::Refused, Stage::Plan);
    queue.finish(&lease.hold, failed).await.unwrap();
    let state = server.state();
    assert_eq!(state.items[&id].state, "FAILED");
    assert!(state.items[&id].files.is_empty());
}

#[tokio::test]
async fn an_error_for_a_run_of_another_entity_is_told_too() {
    let server = Server::start().await;
    let other = json!({"entity": "others", "project": "p", "job": "a/b/c:v0"});
    let id = server.state().put("first", other);
    let queue = connect(options(&server));
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    let failed = outcome(Reason::SourceFailed, Stage::Fetch);
    queue.finish(&lease.hold, failed).await.unwrap();
    let told = server.state().items[&id].failure.clone().unwrap();
    assert_eq!(told.0, "agent");
}

#[tokio::test]
async fn a_requeue_keeps_the_priority_where_the_queue_has_some() {
    let server = Server::start().await;
    let queue = connect(options(&server));
    for has_priorities in [true, false] {
        let config = server::QueueConfig {
            has_priorities,
            ..server::QueueConfig::default()
        };
        let id = server.state().put("first", spec());
        {
            let mut state = server.state();
            state.configs.insert("first".to_owned(), config);
            state.items.get_mut(&id).unwrap().priority = 1;
        }
        let held = lease(&queue).await;
        queue.renew(&held.hold, TTL).await.unwrap();
        queue.requeue(&held.hold, Duration::ZERO).await.unwrap();
        let kept = if has_priorities { 1 } else { 2 };
        {
            let state = server.state();
            let (_, newest) = state.items.iter().last().unwrap();
            assert_eq!((newest.state, newest.priority), ("PENDING", kept));
            assert_eq!(newest.spec["_resume_count"], 1);
        }
        let _ = lease(&queue).await;
    }
}

#[tokio::test]
async fn a_requeue_whose_answer_is_lost_makes_one_item() {
    for fault in [Fault::LostAnswer, Fault::Reset, Fault::Status(429)] {
        let server = Server::start().await;
        let home = tempfile::tempdir().unwrap();
        let start = || {
            connect(
                options(&server)
                    .with_directory(home.path())
                    .with_patience(Duration::ZERO),
            )
        };
        server.state().put("first", spec());
        let queue = start();
        let held = lease(&queue).await;
        queue.renew(&held.hold, TTL).await.unwrap();
        server.state().fault_at = Some(("pushToRunQueueByName".to_owned(), fault));
        queue.requeue(&held.hold, Duration::ZERO).await.unwrap_err();
        drop(queue);
        // Killed meanwhile, too.
        let queue = start();
        queue.requeue(&held.hold, Duration::ZERO).await.unwrap();
        assert_eq!(server.state().items.len(), 2, "{fault:?}");
    }
}

/// What others push meanwhile is told from what was pushed again: the job is neither lost
/// nor doubled.
#[tokio::test]
async fn a_requeue_is_told_from_what_others_push_meanwhile() {
    for (fault, is_there) in [(Fault::LostAnswer, true), (Fault::Reset, false)] {
        let server = Server::start().await;
        let queue = connect(options(&server).with_patience(Duration::ZERO));
        server.state().put("first", spec());
        let held = lease(&queue).await;
        queue.renew(&held.hold, TTL).await.unwrap();
        server.state().fault_at = Some(("pushToRunQueueByName".to_owned(), fault));
        queue.requeue(&held.hold, Duration::ZERO).await.unwrap_err();
        let run = held.job.spec["run_id"].clone();
        let ours = || {
            let state = server.state();
            let items = state.items.values();
            items
                .filter(|item| item.state == "PENDING" && item.spec["run_id"] == run)
                .count()
        };
        assert_eq!(ours(), usize::from(is_there));
        server.state().put("first", spec());
        queue.requeue(&held.hold, Duration::ZERO).await.unwrap();
        assert_eq!((ours(), server.state().items.len()), (1, 3), "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_shows_no_specs_gets_no_second_item() {
    let server = Server::start().await;
    server.state().hides_specs = true;
    let queue = connect(options(&server).with_patience(Duration::ZERO));
    server.state().put("first", spec());
    let held = lease(&queue).await;
    queue.renew(&held.hold, TTL).await.unwrap();
    let fault = ("pushToRunQueueByName".to_owned(), Fault::LostAnswer);
    server.state().fault_at = Some(fault);
    queue.requeue(&held.hold, Duration::ZERO).await.unwrap_err();
    queue.requeue(&held.hold, Duration::ZERO).await.unwrap();
    assert_eq!(server.state().items.len(), 2);
}
