//! The queue of a W&B server, against a stand-in with its rules.

mod artifacts;
#[cfg(feature = "conformance")]
mod conformance;
mod failures;
mod outage;
mod reaching;
#[allow(
    dead_code,
    unused_imports,
    reason = "the suite of the whole program uses the rest"
)]
mod server;

use std::path::Path;
use std::time::{Duration, Instant};

use launch_queue::config::id::{QueueName, WorkerName};
use launch_queue::config::outcome::{Outcome, Reason, Stage};
use launch_queue::config::secret::Secret;
use launch_queue::job::{EnqueueRequest, Lease, LeaseRequest, Priority, Report};
use launch_queue::settings::QueueSettings;
use launch_queue::wandb::{Identity, WandbOptions, WandbQueue};
use launch_queue::{Error, Queue, QueueAdmin};
use serde_json::{Value, json};
use server::{Fault, Server};

const TTL: Duration = Duration::from_mins(1);

fn options(server: &Server) -> WandbOptions {
    let key = Identity::ApiKey(Secret::new("planted-key"));
    WandbOptions::new("team", key)
        .with_base_url(server.url.parse().expect("a URL"))
        .with_poll_interval(Duration::from_millis(30))
        .with_patience(Duration::from_secs(3))
        .with_start_grace(Duration::ZERO)
}

fn connect(options: WandbOptions) -> WandbQueue {
    WandbQueue::connect(options).expect("connect")
}

fn worker() -> WorkerName {
    "w".parse().expect("a name")
}

fn ask() -> LeaseRequest {
    let queues = vec![
        "first".parse().expect("a name"),
        "second".parse().expect("a name"),
    ];
    LeaseRequest::new(queues, worker(), TTL)
}

fn spec() -> Value {
    json!({"entity": "team", "project": "Proj", "job": "team/proj/job:v0"})
}

/// Leases until there is something, as an agent does.
async fn lease(queue: &WandbQueue) -> Lease {
    let began = Instant::now();
    loop {
        if let Some(lease) = queue.lease(ask()).await.expect("lease") {
            return lease;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "nothing came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn outcome(reason: Reason, stage: Stage) -> Outcome {
    Outcome::new(reason, stage).with_message("because")
}

#[tokio::test]
async fn an_item_is_claimed_with_its_runs_id_when_it_is_renewed() {
    let server = Server::start().await;
    let id = server.state().put("second", spec());
    let queue = connect(options(&server));
    let lease = lease(&queue).await;
    let run = lease.job.spec["run_id"]
        .as_str()
        .expect("a run id")
        .to_owned();
    assert_eq!((run.len(), lease.job.attempt), (8, 0));
    assert_eq!(server.state().items[&id].state, "LEASED");
    queue.renew(&lease.hold, TTL).await.unwrap();
    queue.renew(&lease.hold, TTL).await.unwrap();
    let state = server.state();
    assert_eq!(state.items[&id].run.as_deref(), Some(run.as_str()));
    assert_eq!(
        (
            state.count("ackRunQueueItem"),
            state.count("createLaunchAgent")
        ),
        (1, 1)
    );
    let asked = state.last("createLaunchAgent");
    assert_eq!(
        (&asked["project"], &asked["queues"]),
        (&json!("model-registry"), &json!(["Q:first", "Q:second"]))
    );
    assert!(
        state
            .credentials
            .iter()
            .all(|given| given == "Basic YXBpOnBsYW50ZWQta2V5")
    );
}

#[tokio::test]
async fn an_item_that_another_agent_claimed_is_left_alone() {
    let server = Server::start().await;
    let id = server.state().put("first", spec());
    let queue = connect(options(&server));
    let lease = lease(&queue).await;
    {
        let mut state = server.state();
        let item = state.items.get_mut(&id).unwrap();
        (item.state, item.run) = ("CLAIMED", Some("another".to_owned()));
    }
    let error = queue.renew(&lease.hold, TTL).await.unwrap_err();
    assert!(matches!(error, Error::Stale { .. }), "{error:?}");
    let failed = outcome(Reason::BuildFailed, Stage::Build);
    let answer = queue.finish(&lease.hold, failed).await;
    assert!(answer.is_ok() || matches!(answer, Err(Error::Stale { .. })));
    assert_eq!(server.state().items[&id].failure, None);
}

#[tokio::test]
async fn a_lost_answer_to_a_claim_is_no_refusal() {
    let server = Server::start().await;
    let id = server.state().put("first", spec());
    let queue = connect(options(&server));
    let lease = lease(&queue).await;
    server.state().faults.push_back(Fault::LostAnswer);
    queue.renew(&lease.hold, TTL).await.unwrap();
    assert_eq!(server.state().items[&id].state, "CLAIMED");
}

#[tokio::test]
async fn a_lost_answer_to_a_pop_leases_nothing_that_nobody_runs() {
    let server = Server::start().await;
    let queue = connect(options(&server));
    // Registered: what comes next is a pop.
    assert!(queue.lease(ask()).await.unwrap().is_none());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let id = server.state().put("first", spec());
    server.state().faults.push_back(Fault::LostAnswer);
    queue.lease(ask()).await.unwrap_err();
    let pops = server.state().count("popFromRunQueue");
    assert_eq!(server.state().items[&id].state, "LEASED");
    assert_eq!(
        server.state().count("popFromRunQueue"),
        pops,
        "not asked again at once"
    );
    server.state().expire();
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    assert_eq!(server.state().items[&id].state, "CLAIMED");
}

#[tokio::test]
async fn a_run_that_called_in_reports_itself_and_one_that_did_not_is_failed() {
    let server = Server::start().await;
    let queue = connect(options(&server));
    let cases = [
        (
            outcome(Reason::Succeeded, Stage::Watch),
            Some("finished"),
            None,
        ),
        (
            outcome(Reason::Failed { code: 1 }, Stage::Watch),
            Some("crashed"),
            None,
        ),
        (outcome(Reason::Succeeded, Stage::Watch), None, Some("run")),
        (
            outcome(Reason::Failed { code: 1 }, Stage::Watch),
            Some("pending"),
            Some("run"),
        ),
        (
            outcome(Reason::BuildFailed, Stage::Build),
            None,
            Some("build"),
        ),
        (
            outcome(Reason::SourceFailed, Stage::Fetch),
            None,
            Some("agent"),
        ),
        (outcome(Reason::Refused, Stage::Plan), None, Some("agent")),
    ];
    for (outcome, run, stage) in cases {
        let id = server.state().put("first", spec());
        let lease = lease(&queue).await;
        queue.renew(&lease.hold, TTL).await.unwrap();
        if let Some(state) = run {
            let id = lease.job.spec["run_id"].as_str().unwrap().to_owned();
            server.state().runs.insert(id, (state.to_owned(), false));
        }
        for _ in 0..2 {
            queue.finish(&lease.hold, outcome.clone()).await.unwrap();
        }
        let failure = server.state().items[&id].failure.clone();
        let found = failure.as_ref().map(|(stage, _)| stage.as_str());
        assert_eq!(found, stage, "{outcome:?} with run {run:?}");
    }
}

#[tokio::test]
async fn a_restarted_agent_goes_on_with_what_it_had() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let id = server.state().put("first", spec());
    let directory: &Path = home.path();
    let first = connect(options(&server).with_directory(directory));
    let lease = lease(&first).await;
    first.renew(&lease.hold, TTL).await.unwrap();
    drop(first);
    let second = connect(options(&server).with_directory(directory));
    let held = second.held(&worker()).await.unwrap();
    assert_eq!(held[0].hold(), lease.hold);
    second.renew(&lease.hold, TTL).await.unwrap();
    assert_eq!(server.state().count("ackRunQueueItem"), 1);
    let ended = outcome(Reason::BuildFailed, Stage::Build);
    second.finish(&lease.hold, ended).await.unwrap();
    assert_eq!(server.state().items[&id].state, "FAILED");
    let error = second.renew(&lease.hold, TTL).await.unwrap_err();
    assert!(matches!(error, Error::Ended(_)), "{error:?}");
}

#[tokio::test]
async fn stops_arrive_for_runs_and_for_the_agent() {
    let server = Server::start().await;
    server.state().put("first", spec());
    let queue = connect(options(&server));
    let lease = lease(&queue).await;
    assert!(
        !queue
            .renew(&lease.hold, TTL)
            .await
            .unwrap()
            .cancel_requested
    );
    let run = lease.job.spec["run_id"].as_str().unwrap().to_owned();
    server
        .state()
        .runs
        .insert(run, ("running".to_owned(), true));
    assert!(
        queue
            .renew(&lease.hold, TTL)
            .await
            .unwrap()
            .cancel_requested
    );
    let (_, asked) = server.state().calls.last().unwrap().clone();
    assert_eq!(asked["projectName"], "proj", "projects are lower case");

    server.state().stop_polling = true;
    let second = connect(options(&server));
    second.lease(ask()).await.unwrap();
    second.beat().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.state().put("first", spec());
    assert!(second.lease(ask()).await.unwrap().is_none());
    assert!(second.is_asked_to_stop());
    assert_eq!(server.state().agents["agent-2"].status, "POLLING");
    second.leave().await.unwrap();
    assert_eq!(server.state().agents["agent-2"].status, "KILLED");
}

#[tokio::test]
async fn a_stop_of_another_process_is_heard_before_there_is_a_run() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    server.state().put("first", spec());
    let agent = connect(options(&server).with_directory(home.path()));
    let lease = lease(&agent).await;
    agent.renew(&lease.hold, TTL).await.unwrap();
    let person = connect(options(&server).with_directory(home.path()));
    person.cancel(&lease.job.id).await.unwrap();
    let record = agent.job(&lease.job.id).await.unwrap().unwrap();
    assert!(record.cancel_requested);
    let heard = agent.renew(&lease.hold, TTL).await.unwrap();
    assert!(heard.cancel_requested);
    let ended = outcome(Reason::Cancelled, Stage::Build);
    agent.finish(&lease.hold, ended).await.unwrap();
    let left = fs_err::read_dir(home.path()).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| name.to_string_lossy().starts_with("agent-")),
        "{left:?}"
    );
}

#[tokio::test]
async fn an_item_that_lapsed_and_came_back_is_one_job() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let id = server.state().put("first", spec());
    let queue = connect(options(&server).with_directory(home.path()));
    let first = lease(&queue).await;
    // The claim takes so long that the server gives the item away again: to us.
    server.state().expire();
    assert!(queue.lease(ask()).await.unwrap().is_none());
    assert_eq!(server.state().items[&id].state, "LEASED");
    queue.renew(&first.hold, TTL).await.unwrap();
    let run = first.job.spec["run_id"].as_str().unwrap();
    assert_eq!(server.state().items[&id].run.as_deref(), Some(run));
    // After a crash before the claim, it has the run it was known by.
    let id = server.state().put("first", spec());
    let before = lease(&queue).await;
    drop(queue);
    server.state().expire();
    let queue = connect(options(&server).with_directory(home.path()));
    let after = lease(&queue).await;
    assert_eq!(after.job.spec, before.job.spec);
    queue.let_go(&after.hold).unwrap();
    server.state().expire();
    assert_ne!(lease(&queue).await.job.spec, before.job.spec);
    assert_eq!(server.state().items[&id].failure, None);
}

#[tokio::test]
async fn an_agent_that_was_killed_is_the_same_agent_afterwards() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let start = || connect(options(&server).with_directory(home.path()));
    let first = start();
    first.lease(ask()).await.unwrap();
    let beside = start();
    beside.lease(ask()).await.unwrap();
    assert_eq!(server.state().agents.len(), 2, "two processes, two agents");
    drop(first);
    let second = start();
    second.lease(ask()).await.unwrap();
    second.beat().await.unwrap();
    assert_eq!(server.state().agents.len(), 2, "registered again");
    assert_eq!(server.state().agents["agent-1"].status, "POLLING");
    second.leave().await.unwrap();
    drop(second);
    start().lease(ask()).await.unwrap();
    assert_eq!(server.state().agents.len(), 3, "it had left");
}

#[tokio::test]
async fn queues_take_turns_and_a_refusal_of_one_keeps_none_from_its_own() {
    let server = Server::start().await;
    for queue in ["first", "second"] {
        for _ in 0..3 {
            server.state().put(queue, spec());
        }
    }
    let queue = connect(options(&server));
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(lease(&queue).await.job.queue.to_string());
    }
    let fair = ["first", "second", "first", "second", "first", "second"];
    assert_eq!(order, fair);
    server.state().put("second", spec());
    server.state().faults.push_back(Fault::Status(403));
    assert_eq!(lease(&queue).await.job.queue.as_str(), "second");
}

#[tokio::test]
async fn a_preempted_run_goes_on_under_its_id() {
    let server = Server::start().await;
    let mut swept = spec();
    swept["sweep_id"] = json!("s1");
    server.state().put("first", swept);
    let queue = connect(options(&server));
    let lease1 = lease(&queue).await;
    queue.renew(&lease1.hold, TTL).await.unwrap();
    queue.requeue(&lease1.hold, Duration::ZERO).await.unwrap();
    let requeued = server.state().last("pushToRunQueueByName");
    assert_eq!(requeued.get("priority"), None, "the ordinary needs no word");
    let lease2 = lease(&queue).await;
    let (one, two) = (&lease1.job.spec, &lease2.job.spec);
    assert_eq!(
        (&two["run_id"], &two["_resume_count"]),
        (&one["run_id"], &json!(1))
    );
    assert_eq!((two.get("sweep_id"), lease2.job.attempt), (None, 1));
    let error = queue.renew(&lease1.hold, TTL).await.unwrap_err();
    assert!(matches!(error, Error::Ended(_)), "{error:?}");
}

#[tokio::test]
async fn repeatable_calls_are_tried_again() {
    let server = Server::start().await;
    let id = server.state().put("first", spec());
    let queue = connect(options(&server));
    let lease = lease(&queue).await;
    queue.renew(&lease.hold, TTL).await.unwrap();
    server
        .state()
        .faults
        .extend([Fault::Status(500), Fault::LostAnswer]);
    let warning = Report::new(Stage::Watch, "no node fits").as_warning();
    queue.report(&lease.hold, warning).await.unwrap();
    let note = Report::new(Stage::Watch, "only a note");
    queue.report(&lease.hold, note).await.unwrap();
    let said = ("Kubernetes".to_owned(), "no node fits".to_owned());
    // Said twice: the first answer was lost. The app shows a warning once.
    assert_eq!(server.state().items[&id].warnings, [said.clone(), said]);
}

#[tokio::test]
async fn a_token_of_another_provider_is_exchanged_once() {
    let server = Server::start().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("token");
    fs_err::write(&file, "an.identity.token\n").unwrap();
    server.state().put("first", spec());
    let mut options = options(&server);
    options.identity = Identity::TokenFile(file);
    let queue = connect(options);
    lease(&queue).await;
    let state = server.state();
    assert!(
        state
            .credentials
            .iter()
            .all(|given| given == "Bearer planted-key")
    );
}

#[tokio::test]
async fn queues_are_looked_into_and_jobs_are_pushed() {
    let server = Server::start().await;
    let queue = connect(options(&server));
    let first: QueueName = "first".parse().unwrap();
    let settings = json!({
        "resource": "kubernetes",
        "resource-args": {"gpus": "{{gpus}}"},
        "template-variables": {"gpus": {"schema": {"type": "integer", "default": 1}}},
    });
    let settings: QueueSettings = serde_json::from_value(settings).unwrap();
    queue.configure(&first, settings).await.unwrap();
    let request = |values| {
        EnqueueRequest::new(first.clone(), spec())
            .with_priority(Priority::High)
            .with_template_values(values)
    };
    // A command line has only texts.
    let id = queue.enqueue(request(json!({"gpus": "2"}))).await.unwrap();
    let pushed = server.state().last("pushToRunQueueByName");
    assert_eq!(
        (&pushed["priority"], &pushed["templateVariableValues"]),
        (&json!(1), &json!("{\"gpus\":2}"))
    );
    let refused = queue
        .enqueue(request(json!({"cpus": "2"})))
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Settings { .. }), "{refused:?}");
    let records = queue.queues().await.unwrap();
    assert_eq!((records[0].name.as_str(), records[0].waiting), ("first", 1));
    assert_eq!(records[0].settings.resource.as_deref(), Some("kubernetes"));
    assert_eq!(queue.jobs(&records[0].name, 9).await.unwrap()[0].job.id, id);
    queue.cancel(&id).await.unwrap();
    assert_eq!(queue.queues().await.unwrap()[0].waiting, 0);
    let unknown = LeaseRequest::new(vec!["third".parse().unwrap()], worker(), TTL);
    let error = queue.lease(unknown).await.unwrap_err();
    assert!(error.to_string().contains("first, second"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn the_key_is_in_no_error() {
    let server = Server::start().await;
    server.state().faults.push_back(Fault::Status(401));
    let queue = connect(options(&server));
    let error = queue.lease(ask()).await.unwrap_err();
    let text = format!("{queue:?} {queue} {error:?} {error}");
    assert!(
        !text.contains("planted") && !text.contains("YXBpO"),
        "{text}"
    );
}
