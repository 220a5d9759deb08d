//! The server fails in its ways, and what is asked of it meanwhile.

use std::sync::{Arc, Mutex};

use launch_queue::wandb::KeySource;

use super::*;

#[tokio::test]
async fn an_outage_ends_nothing_and_is_not_hammered() {
    let server = Server::start().await;
    server.state().put("first", spec());
    let queue = connect(options(&server).with_patience(Duration::ZERO));
    let lease1 = lease(&queue).await;
    server.state().outage = Some(Fault::Status(502));
    let began = Instant::now();
    let (mut asked, mut failed) = (0, 0);
    while began.elapsed() < Duration::from_millis(600) {
        asked += 1;
        if let Err(error) = queue.lease(ask()).await {
            assert!(error.is_retryable(), "{error:?}");
            failed += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(
        asked > 100 && (2..40).contains(&failed),
        "{failed} of {asked}"
    );
    let error = queue.renew(&lease1.hold, TTL).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    server.state().outage = None;
    queue.renew(&lease1.hold, TTL).await.unwrap();
}

#[tokio::test]
async fn after_a_call_was_given_up_each_call_is_one_request() {
    let server = Server::start().await;
    server.state().put("first", spec());
    let queue = connect(options(&server).with_patience(Duration::from_secs(1)));
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    server.state().outage = Some(Fault::Reset);
    queue.renew(&lease.hold, TTL).await.unwrap_err();
    let tried = server.state().requests;
    for _ in 0..5 {
        queue.renew(&lease.hold, TTL).await.unwrap_err();
    }
    assert_eq!(server.state().requests, tried + 5);
    server.state().outage = None;
    queue.renew(&lease.hold, TTL).await.unwrap();
    server.state().faults.push_back(Fault::Reset);
    queue.renew(&lease.hold, TTL).await.unwrap();
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_kept_by_all() {
    let server = Server::start().await;
    server.state().put("first", spec());
    let queue = connect(options(&server).with_patience(Duration::ZERO));
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    server.state().faults.push_back(Fault::Rest(429, 1));
    queue.renew(&lease.hold, TTL).await.unwrap_err();
    let requests = server.state().requests;
    for _ in 0..20 {
        queue.renew(&lease.hold, TTL).await.unwrap_err();
        queue.beat().await.unwrap_err();
    }
    assert_eq!(server.state().requests, requests);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
}

/// A key that somebody replaces.
#[derive(Debug)]
struct Rotated(Mutex<String>);

impl KeySource for Rotated {
    fn key(&self) -> std::io::Result<Secret> {
        Ok(Secret::new(self.0.lock().expect("no panic").clone()))
    }
}

#[tokio::test]
async fn a_key_that_was_rotated_is_read_anew() {
    let server = Server::start().await;
    let source = Arc::new(Rotated(Mutex::new("planted-key".to_owned())));
    let mut options = options(&server);
    options.identity = Identity::Keys(Arc::<Rotated>::clone(&source));
    let queue = connect(options);
    assert!(queue.lease(ask()).await.unwrap().is_none());
    "another-key".clone_into(&mut server.state().key);
    server.state().put("first", spec());
    tokio::time::sleep(Duration::from_millis(50)).await;
    queue.lease(ask()).await.unwrap_err();
    let before = server.state().requests;
    tokio::time::sleep(Duration::from_millis(50)).await;
    queue.lease(ask()).await.unwrap_err();
    assert_eq!(server.state().requests, before + 1, "the same key, once");
    "another-key".clone_into(&mut source.0.lock().unwrap());
    // Refused, read anew, asked again: also a pop, which was not done.
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
}

/// Two hundred agents that all lost their server at the same moment do not come back at the
/// same moment: each asks at a time of its own within the interval.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_agents_come_back_without_a_burst() {
    const AGENTS: usize = 200;
    let interval = Duration::from_secs(1);
    let server = Server::start().await;
    for _ in 0..AGENTS {
        let options = options(&server)
            .with_poll_interval(interval)
            .with_patience(Duration::ZERO);
        let queue = connect(options);
        queue.register(&ask().queues).await.unwrap();
        tokio::spawn(async move {
            loop {
                let _ = queue.lease(ask()).await;
                tokio::time::sleep(interval / 20).await;
            }
        });
    }
    server.state().outage = Some(Fault::Status(503));
    tokio::time::sleep(interval * 3).await;
    server.state().outage = None;
    let (mut most, began) = (0, server.state().requests);
    for _ in 0..20 {
        let before = server.state().requests;
        tokio::time::sleep(interval / 20).await;
        most = most.max(server.state().requests - before);
    }
    let all = server.state().requests - began;
    // Two queues are asked by each; a burst would be all of them at once.
    assert!(all >= AGENTS, "all are back within a poll: {all}");
    assert!(most < all / 4, "{most} of {all} within a twentieth");
}
