//! Builds in a real cluster, by the whole program: contexts in S3 (moto), images in a real
//! registry, and an agent that is killed in the midst.

mod surroundings;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use launch_tests::{Agent, eventually, signal};
use rustix::process::Signal;
use surroundings::Surroundings;

/// A build takes this long at least: long enough to be killed in its midst.
const STEP: &str = "RUN echo the-step-runs; date > /built-at; sleep 10";
const PATIENCE: Duration = Duration::from_secs(90);

/// An agent whose file says `kaniko`.
fn agent(around: &Surroundings) -> (Agent, String) {
    let agent = Agent::with_docker()
        .env("AWS_ENDPOINT_URL", &around.endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("KUBECONFIG", &around.kubeconfig);
    let file = agent.dir("agent").join("launch-config.yaml");
    fs_err::write(&file, around.agent_file()).unwrap();
    (agent, file.display().to_string())
}

fn project(agent: &Agent, around: &Surroundings) -> String {
    let project = agent.project("p", "");
    let base = &around.base;
    let dockerfile = format!("FROM {base}\nCOPY . /job/\n{STEP}\nCMD [\"cat\", \"/built-at\"]\n");
    fs_err::write(agent.dir("p").join("Dockerfile.wandb"), dockerfile).unwrap();
    // An image nobody has built before.
    fs_err::write(
        agent.dir("p").join("unique"),
        agent.state().display().to_string(),
    )
    .unwrap();
    project
}

/// Watches which Jobs there are until told to stop.
fn watch(around: &Arc<Surroundings>) -> impl FnOnce() -> BTreeSet<String> + use<> {
    let is_over = Arc::new(AtomicBool::new(false));
    let (around, over) = (Arc::clone(around), Arc::clone(&is_over));
    let watching = std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !over.load(Ordering::Relaxed) {
            seen.extend(around.jobs());
            std::thread::sleep(Duration::from_millis(200));
        }
        seen
    });
    move || {
        is_over.store(true, Ordering::Relaxed);
        watching.join().unwrap()
    }
}

#[test]
fn docker_kaniko_build_survives_its_agent() {
    let Some(around) = Surroundings::make("killed") else {
        return;
    };
    let around = Arc::new(around);
    let (agent, file) = agent(&around);
    let project = project(&agent, &around);
    let seen = watch(&around);
    let id = agent.submit(&["-q", "q", "-r", "local-container", &project]);
    let mut child = agent.start(&["run", "-q", "q", "-c", &file]);
    eventually("the build runs", PATIENCE, || {
        around.is_building().then_some(())
    });
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert_eq!(around.jobs().len(), 1, "the build goes on alone");
    assert_eq!(around.contexts().len(), 1);
    let said = agent
        .say(&["run", "-q", "q", "-c", &file, "--drain"])
        .expect(0);
    let outcome = agent.outcome("q", &id);
    assert_eq!(outcome["reason"], "succeeded", "{outcome}\n{said:#?}");
    let image = outcome["image"].as_str().unwrap();
    assert!(image.contains("@sha256:"), "{outcome}");
    eventually("everything is gone", PATIENCE, || {
        around.is_empty().then_some(())
    });
    let jobs = seen();
    assert_eq!(jobs.len(), 1, "one Job: {jobs:?}");
    assert_eq!(
        around.digests(),
        [image.split_once('@').unwrap().1],
        "one image"
    );
    around.remove();
}

#[test]
fn docker_kaniko_build_is_found_when_it_ended_alone() {
    let Some(around) = Surroundings::make("ended") else {
        return;
    };
    let (agent, file) = agent(&around);
    let project = project(&agent, &around);
    let id = agent.submit(&["-q", "q", "-r", "local-container", &project]);
    let mut child = agent.start(&["run", "-q", "q", "-c", &file]);
    eventually("the build runs", PATIENCE, || {
        around.is_building().then_some(())
    });
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    eventually("the image is pushed", PATIENCE, || {
        (around.digests().len() == 1).then_some(())
    });
    let _ = agent
        .say(&["run", "-q", "q", "-c", &file, "--drain"])
        .expect(0);
    assert_eq!(agent.outcome("q", &id)["reason"], "succeeded");
    eventually("everything is gone", PATIENCE, || {
        around.is_empty().then_some(())
    });
    around.remove();
}

#[test]
fn docker_kaniko_build_stops_when_its_job_is_cancelled() {
    let Some(around) = Surroundings::make("cancelled") else {
        return;
    };
    let (agent, file) = agent(&around);
    let project = project(&agent, &around);
    let id = agent.submit(&["-q", "q", "-r", "local-container", &project]);
    let child = agent.start(&["run", "-q", "q", "-c", &file, "--drain"]);
    eventually("the build runs", PATIENCE, || {
        around.is_building().then_some(())
    });
    let _ = agent.say(&["queue", "cancel", &id]).expect(0);
    let said = launch_tests::collect(child);
    assert_eq!(agent.outcome("q", &id)["reason"], "cancelled", "{said:#?}");
    eventually("everything is gone", PATIENCE, || {
        around.is_empty().then_some(())
    });
    assert!(around.digests().is_empty());
    around.remove();
}
