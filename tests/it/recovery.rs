//! The agent is killed; its jobs are not.

use std::path::Path;
use std::time::Duration;

use launch_tests::{Agent, collect, eventually, signal};
use rustix::process::Signal;

/// A job that notes its start and its end, and ends with a code of its own.
fn counting(agent: &Agent, seconds: f64, code: i32) -> (String, std::path::PathBuf) {
    let file = agent.dir("out").join("starts");
    let main = format!(
        "import os, sys, time\nopen({:?}, 'a').write(os.environ['LAUNCH_JOB_ID'] + '\\n')\n\
         print('started', flush=True)\ntime.sleep({seconds})\nprint('ends')\nsys.exit({code})\n",
        file.display().to_string()
    );
    (agent.project("p", &main), file)
}

fn starts(file: &Path) -> Vec<String> {
    let text = fs_err::read_to_string(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_outlives_its_agent_and_its_true_code_is_reported() {
    let agent = Agent::new();
    let (project, file) = counting(&agent, 1.5, 7);
    let id = agent.submit(&["-q", "q", &project]);
    let mut child = agent.start(&["run", "-q", "q"]);
    eventually("the job starts", Duration::from_secs(30), || {
        (!starts(&file).is_empty()).then_some(())
    });
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    // It ends while nobody watches.
    std::thread::sleep(Duration::from_secs(2));
    let said = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    assert!(said.err.contains("taking up a job"), "{said:#?}");
    let outcome = agent.outcome("q", &id);
    assert_eq!(
        (outcome["reason"].as_str(), outcome["code"].as_i64()),
        (Some("failed"), Some(7))
    );
    assert_eq!(
        outcome["log_tail"].as_array().unwrap().len(),
        2,
        "the whole log: {outcome}"
    );
    assert_eq!(starts(&file), [id], "it ran once");
    nothing_left(&agent);
}

/// No run directory, working copy or journal stays behind.
fn nothing_left(agent: &Agent) {
    for name in ["runs", "work", "agents"] {
        let dir = agent.state().join(name);
        let left = fs_err::read_dir(&dir).map_or(0, std::iter::Iterator::count);
        assert_eq!(left, 0, "{} is not empty", dir.display());
    }
}

#[test]
fn kills_at_random_moments_lose_nothing_and_run_nothing_twice() {
    let agent = Agent::new();
    let (project, file) = counting(&agent, 0.2, 5);
    let mut ids: Vec<String> = (0..30)
        .map(|_| agent.submit(&["-q", "q", &project]))
        .collect();
    for round in 0..10_u64 {
        let mut child = agent.start(&["run", "-q", "q", "-j", "8"]);
        // Moments that differ from round to round and fall into every stage.
        std::thread::sleep(Duration::from_millis(40 + (round * 97) % 230));
        signal(&child, Signal::KILL);
        child.wait().unwrap();
    }
    let _ = agent
        .say(&["run", "-q", "q", "-j", "8", "--drain"])
        .expect(0);
    for id in &ids {
        let outcome = agent.outcome("q", id);
        assert_eq!(
            (outcome["reason"].as_str(), outcome["code"].as_i64()),
            (Some("failed"), Some(5)),
            "{id}"
        );
    }
    let mut ran = starts(&file);
    ran.sort();
    ids.sort();
    assert_eq!(ran, ids, "each ran exactly once");
    nothing_left(&agent);
}

#[test]
fn the_first_signal_lets_work_finish() {
    let agent = Agent::new();
    let (project, file) = counting(&agent, 1.0, 0);
    let id = agent.submit(&["-q", "q", &project]);
    let child = agent.start(&["run", "-q", "q", "-j", "1"]);
    eventually("the job starts", Duration::from_secs(30), || {
        (!starts(&file).is_empty()).then_some(())
    });
    let waits = agent.submit(&["-q", "q", &project]);
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    assert_eq!(agent.outcome("q", &id)["reason"], "succeeded");
    assert_eq!(
        agent.job("q", &waits)["state"],
        "waiting",
        "nothing new was leased"
    );
}

#[test]
fn when_the_grace_is_over_the_run_is_handed_over() {
    let agent = Agent::new();
    let (project, file) = counting(&agent, 3.0, 0);
    let id = agent.submit(&["-q", "q", &project]);
    let child = agent.start(&["run", "-q", "q", "--grace", "0"]);
    eventually("the job starts", Duration::from_secs(30), || {
        (!starts(&file).is_empty()).then_some(())
    });
    signal(&child, Signal::TERM);
    let _ = collect(child)
        .expect(0)
        .complains("runs go on without the agent");
    assert_eq!(agent.job("q", &id)["state"], "leased");
    let _ = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    assert_eq!(agent.outcome("q", &id)["reason"], "succeeded");
    assert_eq!(starts(&file).len(), 1);
}

#[test]
fn two_agents_share_a_queue_without_sharing_a_job() {
    let agent = Agent::new();
    let (project, file) = counting(&agent, 0.05, 0);
    let mut ids: Vec<String> = (0..20)
        .map(|_| agent.submit(&["-q", "q", &project]))
        .collect();
    let children: Vec<_> = (0..2)
        .map(|_| agent.start(&["run", "-q", "q", "-j", "3", "--drain"]))
        .collect();
    for child in children {
        let _ = collect(child).expect(0);
    }
    let mut ran = starts(&file);
    ran.sort();
    ids.sort();
    assert_eq!(ran, ids);
}
