//! Jobs that fail, each in its own way, as local processes.

use std::time::Duration;

use launch_tests::{Agent, collect, eventually, signal};
use rustix::process::Signal;

#[test]
fn a_job_that_fails_says_so_with_its_code_and_last_lines() {
    let agent = Agent::new();
    let main = "import sys\nfor i in range(30): print('line', i)\nprint('boom', file=sys.stderr)\nsys.exit(3)\n";
    let project = agent.project("p", main);
    let said = agent
        .say(&["launch", &project])
        .expect(1)
        .complains("failed with code 3");
    assert!(
        said.out.contains("line 0\n") && said.out.contains("boom"),
        "{said:#?}"
    );
    let id = agent.submit(&["-q", "q", &project]);
    let _ = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    let outcome = agent.outcome("q", &id);
    assert_eq!(
        (outcome["reason"].as_str(), outcome["code"].as_i64()),
        (Some("failed"), Some(3))
    );
    let tail = outcome["log_tail"].as_array().unwrap();
    assert_eq!(
        (tail.len(), tail.last().unwrap().as_str()),
        (20, Some("boom"))
    );
}

#[test]
fn code_says_what_runs_whether_or_not_a_process_was_asked_for() {
    let agent = Agent::new();
    let project = agent.project("p", "import sys\nprint('args', sys.argv[1:])\n");
    for asked in [&[][..], &["-r", "local-process"]] {
        let args = [&["launch", &project][..], asked, &["--", "--lr", "1"]].concat();
        let said = agent.say(&args).expect(0);
        assert!(said.out.contains("args ['--lr', '1']"), "{said:#?}");
    }
    fs_err::remove_file(format!("{project}/main.py")).unwrap();
    let said = agent.say(&["launch", &project, "-r", "local-process"]);
    let _ = said.expect(1).complains("no entry point");
}

#[test]
fn a_job_cancelled_while_it_runs_ends_as_cancelled() {
    let agent = Agent::new();
    let project = agent.project(
        "p",
        "import time\nprint('up', flush=True)\ntime.sleep(600)\n",
    );
    let child = agent.start(&["launch", &project, "-q", "q"]);
    let id = running(&agent);
    assert_eq!(
        agent.say(&["queue", "cancel", &id]).expect(0).out.trim(),
        format!("job `{id}`: its agent was asked to end it")
    );
    let said = collect(child)
        .expect(1)
        .complains("the job ended as `cancelled` at stage `watch`");
    assert!(said.out.contains("up\n"), "{said:#?}");
    assert_eq!(agent.outcome("q", &id)["reason"], "cancelled");
}

/// The id of the one job, once its run is being watched.
fn running(agent: &Agent) -> String {
    eventually("the job runs", Duration::from_secs(30), || {
        let items = agent.say(&["queue", "items", "q", "--output", "json"]);
        let id = items
            .out
            .contains("leased")
            .then(|| items.json()[0]["id"].as_str().unwrap().to_owned())?;
        agent.job("q", &id)["reports"]
            .to_string()
            .contains("submit")
            .then_some(id)
    })
}

#[test]
fn a_job_that_ignores_the_nice_signal_is_ended_by_force() {
    let agent = Agent::new();
    let main = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)\n";
    let project = agent.project("p", main);
    let child = agent.start(&["launch", &project, "-q", "q"]);
    let id = running(&agent);
    let _ = agent.say(&["queue", "cancel", &id]).expect(0);
    let _ = collect(child).expect(1);
    assert_eq!(agent.outcome("q", &id)["reason"], "cancelled");
}

#[test]
fn two_signals_cancel_the_job_of_launch() {
    let agent = Agent::new();
    let project = agent.project("p", "import time\ntime.sleep(600)\n");
    let child = agent.start(&["launch", &project, "-q", "q"]);
    let id = running(&agent);
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        agent.job("q", &id)["state"],
        "leased",
        "the first signal lets it go on"
    );
    signal(&child, Signal::INT);
    let _ = collect(child).expect(1).complains("cancelled");
}

#[test]
fn a_reference_that_does_not_exist_is_a_source_failure() {
    let Ok(base) = std::env::var("LAUNCH_TEST_GIT_HTTP") else {
        return launch_tests::skip("LAUNCH_TEST_GIT_HTTP is not set: no git server for tests");
    };
    let agent = Agent::new();
    let url = format!("{base}/sample.git");
    let said = agent
        .say(&["launch", &url, "-g", "no-such-branch"])
        .expect(1);
    let said = said
        .complains("no branch, tag or commit `no-such-branch`")
        .complains("hint:");
    assert!(said.out.contains("source-failed"), "{said:#?}");
    let said = agent.say(&["launch", &url]).expect(0);
    assert!(said.out.contains(" at "), "the commit is said: {said:#?}");
}

#[test]
fn a_private_repository_is_fetched_and_its_password_never_shown() {
    let Ok(base) = std::env::var("LAUNCH_TEST_GIT_HTTP") else {
        return launch_tests::skip("LAUNCH_TEST_GIT_HTTP is not set: no git server for tests");
    };
    let agent = Agent::new();
    let host = base.trim_start_matches("http://");
    let said = agent
        .say(&[
            "launch",
            &format!("http://launch:s3cret-git@{host}/private/sample.git"),
            "--verbose",
        ])
        .expect(0);
    assert!(
        !said.err.contains("s3cret-git") && !said.out.contains("s3cret-git"),
        "{said:#?}"
    );
    let said = agent
        .say(&["launch", &format!("{base}/private/sample.git")])
        .expect(1);
    assert!(said.out.contains("source-failed"), "{said:#?}");
}

#[test]
fn a_spec_that_only_the_agent_sees_is_refused_with_its_reason() {
    let agent = Agent::new();
    let project = agent.project("p", "print(1)\n");
    let id = agent.submit(&["-q", "q", &project, "-r", "sagemaker"]);
    let none = agent.submit(&["-q", "q", &agent.dir("empty").display().to_string()]);
    let _ = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    let outcome = agent.outcome("q", &id);
    assert_eq!(outcome["reason"], "refused");
    assert!(
        outcome["message"]
            .as_str()
            .unwrap()
            .contains("`sagemaker` pulls its images"),
        "{outcome}"
    );
    let outcome = agent.outcome("q", &none);
    assert_eq!(
        (outcome["reason"].as_str(), outcome["stage"].as_str()),
        (Some("refused"), Some("plan"))
    );
    assert!(
        outcome["message"].as_str().unwrap().contains("main.py"),
        "{outcome}"
    );
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let agent = Agent::new();
    let project = agent.project("p", "");
    let said = agent
        .say(&[
            "launch",
            &project,
            "-r",
            "local-process",
            "-E",
            "no-such-program-x",
        ])
        .expect(1);
    let _ = said.complains("no-such-program-x");
}

#[test]
fn the_agents_secrets_do_not_reach_a_process_job() {
    let agent = Agent::new().env("AWS_SECRET_ACCESS_KEY", "planted-secret");
    let project = agent.project(
        "p",
        "import os\nprint(sorted(os.environ))\nprint(os.environ.get('AWS_SECRET_ACCESS_KEY'))\n",
    );
    let said = agent.say(&["launch", &project]).expect(0);
    assert!(
        said.out.contains("WANDB_RUN_ID") && !said.out.contains("planted-secret"),
        "{said:#?}"
    );
}

#[test]
fn the_most_urgent_job_goes_first() {
    let agent = Agent::new();
    let file = agent.dir("out").join("order");
    let main = format!(
        "import sys\nopen({:?}, 'a').write(sys.argv[1] + ' ')\n",
        file.display().to_string()
    );
    let project = agent.project("p", &main);
    for priority in ["low", "medium", "critical", "high"] {
        agent.submit(&["-q", "q", &project, "-P", priority, "--", priority]);
    }
    let _ = agent
        .say(&["run", "-q", "q", "-j", "1", "--drain"])
        .expect(0);
    assert_eq!(
        fs_err::read_to_string(&file).unwrap(),
        "critical high medium low "
    );
}
