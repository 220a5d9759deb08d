//! What the program says, and its exit codes.

use launch_tests::{Agent, iris};

#[test]
fn the_quick_start_runs_without_docker_and_twice() {
    let agent = Agent::new();
    let first = agent.say(&["launch", &iris()]).expect(0);
    assert!(
        first.out.contains("test: {\"loss\""),
        "the job's output is shown: {first:#?}"
    );
    for stage in ["lease", "fetch", "plan", "build", "submit", "watch"] {
        let row = first.out.lines().any(|line| line.starts_with(stage));
        assert!(row, "no row for {stage}: {first:#?}");
    }
    assert!(first.out.contains("), new"), "{first:#?}");
    assert!(
        first.out.contains("local-process (docker is not available"),
        "why: {first:#?}"
    );
    assert!(first.out.contains("succeeded; image: none"), "{first:#?}");
    let second = agent.say(&["launch", &iris()]).expect(0);
    assert!(second.out.contains("), unchanged"), "{second:#?}");
    assert!(
        second.out.contains("skipped: context unchanged"),
        "{second:#?}"
    );
    let digest = |out: &str| {
        out.split("sha256:")
            .nth(1)
            .map(|rest| rest[..64].to_owned())
            .unwrap()
    };
    assert_eq!(digest(&first.out), digest(&second.out));
}

#[test]
fn hyperparameters_reach_the_program() {
    let config = r#"{"overrides": {"run_config": {"epochs": 10, "seed": 3}}}"#;
    let said = Agent::new()
        .say(&["launch", &iris(), "-c", config])
        .expect(0);
    assert!(
        said.out.contains(r#""epochs": 10"#) && said.out.contains(r#""seed": 3"#),
        "{said:#?}"
    );
    assert!(
        !said.out.contains(r#""epoch": 20"#),
        "ten epochs are ten: {said:#?}"
    );
}

#[test]
fn json_output_is_one_document() {
    let said = Agent::new()
        .say(&["launch", &iris(), "--output", "json"])
        .expect(0);
    let answer = said.json();
    assert_eq!(answer["reason"], "succeeded");
    assert_eq!(answer["stages"].as_array().unwrap().len(), 6);
    assert!(
        said.err.contains("metrics:"),
        "the job's output goes to stderr then"
    );
}

#[test]
fn mistakes_are_usage_and_start_nothing() {
    let agent = Agent::new();
    for (args, word) in [
        (vec!["launch"], "names no source"),
        (
            vec!["launch", "no/such/dir"],
            "there is no directory `no/such/dir`",
        ),
        (vec!["launch", "ext::sh -c id"], "it is no git URL"),
        (vec!["launch", "-d", "Upper/Case"], "invalid path component"),
        (
            vec!["launch", ".", "-r", "kubernets"],
            "did you mean `kubernetes`",
        ),
        (
            vec!["launch", ".", "-c", "{\"uri\": }"],
            "the command line:1:",
        ),
        (vec!["launch", ".", "-v", "a=b"], "no template variable `a`"),
        (
            vec!["launch", ".", "-P", "urgent"],
            "critical, high, medium, low",
        ),
        (vec!["run", "-j", "-3"], "expected -1 or more"),
        (vec!["queue", "show", "none"], "there is no queue `none`"),
        (vec!["queue", "cancel", "nojob"], "there is no job `nojob`"),
        (
            vec!["context", "hash", "/nonexistent"],
            "is not a directory",
        ),
        (
            vec!["build", ".", "--push", "--builder", "noop"],
            "nowhere to push to",
        ),
        (vec!["frobnicate"], "unrecognized subcommand"),
    ] {
        let said = agent.say(&args).expect(2).complains(word);
        assert_eq!(said.out, "", "stdout is for answers");
    }
}

#[test]
fn a_configuration_is_judged_as_a_whole() {
    let agent = Agent::new();
    let file = agent.dir("c").join("launch-config.yaml");
    fs_err::write(
        &file,
        "queus: [a]\nmax_jobs: many\nbuilder:\n  type: dokcer\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let said = agent.say(&["config", "check", "-c", path]).expect(2);
    for text in [
        "did you mean `queues`",
        "expected a whole number",
        "did you mean `docker`",
        ":4:9:",
    ] {
        assert!(said.err.contains(text), "{said:#?}");
    }
    let _ = agent
        .say(&["run", "-c", path, "--drain"])
        .expect(2)
        .complains("`queus`");
    fs_err::write(&file, "queues: [a]\nmax_jobs: 3\n").unwrap();
    let said = agent
        .say(&["config", "show", "-c", path, "--output", "json"])
        .expect(0);
    assert_eq!(said.json()["config"]["max_jobs"], 3);
}

#[test]
fn doctor_says_what_is_missing_and_what_to_do() {
    let said = Agent::new().say(&["doctor"]).expect(0);
    assert!(
        said.out.contains("docker") && said.out.contains("missing"),
        "{said:#?}"
    );
    assert!(
        said.out
            .contains("hint: docker: without one, jobs run as local processes"),
        "{said:#?}"
    );
}

#[test]
fn completions_and_the_manual_are_there() {
    let agent = Agent::new();
    assert!(
        agent
            .say(&["completions", "bash"])
            .expect(0)
            .out
            .contains("launch-agent")
    );
    assert!(
        agent
            .say(&["man"])
            .expect(0)
            .out
            .contains(".TH launch-agent")
    );
}

#[test]
fn queues_can_be_made_and_looked_into() {
    let agent = Agent::new();
    let _ = agent.say(&["queue", "create", "train"]).expect(0);
    let id = agent.submit(&["-q", "train", "-P", "high", &iris()]);
    let listed = agent
        .say(&["queue", "list", "--output", "json"])
        .expect(0)
        .json();
    assert_eq!(listed[0]["name"], "train");
    assert_eq!(listed[0]["waiting"], 1);
    let items = agent
        .say(&["queue", "items", "train", "--output", "json"])
        .expect(0)
        .json();
    assert_eq!(
        (items[0]["id"].as_str(), items[0]["priority"].as_str()),
        (Some(id.as_str()), Some("high"))
    );
    let cancelled = agent
        .say(&["queue", "cancel", &id, "--output", "json"])
        .expect(0)
        .json();
    assert_eq!(cancelled["cancelled"], "ended");
    assert_eq!(agent.outcome("train", &id)["reason"], "cancelled");
}

#[test]
fn submitting_an_id_twice_is_one_job() {
    let agent = Agent::new();
    let id = agent.submit(&["--id", "nightly-1", &iris()]);
    assert_eq!(agent.submit(&["--id", "nightly-1", &iris()]), id);
    assert_eq!(
        agent
            .say(&["queue", "show", "default", "--output", "json"])
            .json()["waiting"],
        1
    );
}
