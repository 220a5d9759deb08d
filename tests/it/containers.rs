//! Jobs in containers of a real Docker Engine.

use std::process::Command;
use std::time::{Duration, Instant};

use launch_tests::{Agent, eventually, has_docker, iris, signal};
use rustix::process::Signal;

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker")
        .args(args)
        .output()
        .expect("the docker program");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The containers that belong to this state directory.
fn containers(agent: &Agent) -> Vec<String> {
    let filter = format!("label=launch.owner={}", agent.state().display());
    let ids = docker(&["ps", "-aq", "--filter", &filter]);
    ids.lines().map(str::to_owned).collect()
}

#[test]
fn docker_quick_start_builds_an_image_once_and_runs_it() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let project = agent.project("fresh", &format!("print('made', '{:?}')\n", Instant::now()));
    fs_err::write(agent.dir("fresh").join(".python-version"), "3.11\n").unwrap();
    let first = agent.say(&["launch", &project]).expect(0);
    assert!(
        first
            .out
            .contains("local-container (a Docker Engine answers)"),
        "{first:#?}"
    );
    assert!(first.out.contains("image `launch/fresh:"), "{first:#?}");
    let second = agent.say(&["launch", &project]).expect(0);
    assert!(
        second.out.contains("skipped: `launch/fresh:"),
        "{second:#?}"
    );
    assert!(
        second.out.contains("unchanged") && second.out.contains("made "),
        "{second:#?}"
    );
    assert_eq!(containers(&agent), Vec::<String>::new());
    let tag = first
        .out
        .split("image `")
        .nth(1)
        .unwrap()
        .split('`')
        .next()
        .unwrap()
        .to_owned();
    docker(&["rmi", "-f", &tag]);
}

#[test]
fn docker_runs_the_example() {
    if has_docker() {
        let agent = Agent::with_docker();
        let said = agent
            .say(&["launch", &iris(), "-r", "local-container"])
            .expect(0);
        assert!(said.out.contains("test: {\"loss\""), "{said:#?}");
    }
}

#[test]
fn docker_a_failing_build_shows_why() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let project = agent.project("p", "");
    let file = "FROM launch-test/busybox:1\nRUN echo about to fail && false\n";
    fs_err::write(agent.dir("p").join("Dockerfile"), file).unwrap();
    let said = agent
        .say(&["launch", &project, "-D", "Dockerfile"])
        .expect(1)
        .complains("about to fail");
    assert!(said.out.contains("build-failed"), "{said:#?}");
}

#[test]
fn docker_image_that_is_not_there_is_a_submit_failure() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let said = agent
        .say(&["launch", "-d", "127.0.0.1:1/no/such:image"])
        .expect(1);
    let _ = said.complains("127.0.0.1:1/no/such:image");
}

#[test]
fn docker_image_jobs_take_arguments_and_options() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let args = [
        "launch",
        "-d",
        "launch-test/busybox:1",
        "-E",
        "sh -c 'echo $0 $WANDB_LAUNCH; exit 4'",
    ];
    let said = agent.say(
        &[
            &args[..],
            &["-R", r#"{"memory": "64m", "cpus": 1}"#, "--", "hello"],
        ]
        .concat(),
    );
    let said = said.expect(1).complains("failed with code 4");
    assert!(said.out.contains("hello True"), "{said:#?}");
    let said = agent.say(&[
        "launch",
        "-d",
        "launch-test/busybox:1",
        "-R",
        r#"{"privileged": "true"}"#,
    ]);
    let said = said.expect(1).complains("privileged");
    assert!(said.out.contains("refused"), "{said:#?}");
}

#[test]
fn docker_kills_at_random_moments_lose_nothing_and_run_nothing_twice() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let script = "sh -c 'echo started; sleep 0.3; exit 6'";
    let ids: Vec<String> = (0..12)
        .map(|_| agent.submit(&["-q", "q", "-d", "launch-test/busybox:1", "-E", script]))
        .collect();
    for round in 0..6_u64 {
        let mut child = agent.start(&["run", "-q", "q", "-j", "4"]);
        std::thread::sleep(Duration::from_millis(150 + (round * 137) % 400));
        signal(&child, Signal::KILL);
        child.wait().unwrap();
    }
    let _ = agent
        .say(&["run", "-q", "q", "-j", "4", "--drain"])
        .expect(0);
    for id in &ids {
        let outcome = agent.outcome("q", id);
        assert_eq!(
            (outcome["reason"].as_str(), outcome["code"].as_i64()),
            (Some("failed"), Some(6)),
            "{id}"
        );
        let log = agent.state().join(format!("logs/launch-{id}-0.log"));
        assert_eq!(
            fs_err::read_to_string(log).unwrap(),
            "started\n",
            "{id} ran once, and all of its log is there"
        );
    }
    eventually("no container is left", Duration::from_secs(10), || {
        containers(&agent).is_empty().then_some(())
    });
}

#[test]
fn docker_pushes_to_a_registry_and_finds_the_image_there() {
    let Ok(registry) = std::env::var("LAUNCH_TEST_REGISTRY") else {
        return launch_tests::skip("LAUNCH_TEST_REGISTRY is not set: no registry for tests");
    };
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let project = agent.project("p", "");
    let file = "FROM launch-test/busybox:1\nCOPY main.py /main.py\nENTRYPOINT [\"sh\", \"-c\", \"echo from the registry\"]\n";
    fs_err::write(agent.dir("p").join("Dockerfile"), file).unwrap();
    let config = agent.dir("c").join("launch-config.yaml");
    let unique = agent
        .state()
        .display()
        .to_string()
        .to_lowercase()
        .replace(['/', '.'], "-");
    fs_err::write(
        &config,
        format!("builder:\n  destination: {registry}/team/x{unique}\n"),
    )
    .unwrap();
    let args = [
        "launch",
        &project,
        "-D",
        "Dockerfile",
        "--agent-config",
        config.to_str().unwrap(),
    ];
    let first = agent.say(&args).expect(0);
    assert!(
        first.out.contains("push ") && first.out.contains("from the registry"),
        "{first:#?}"
    );
    assert!(
        first.out.contains("@sha256:"),
        "past the build only the digest travels: {first:#?}"
    );
    let second = agent.say(&args).expect(0);
    assert!(second.out.contains("skipped: `"), "{second:#?}");
}
