//! `config`: what is said about files, values and the environment.

use fs_err as fs;
use launch_tests::Agent;

const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

fn written(agent: &Agent, name: &str, text: &str) -> String {
    let file = agent.dir("c").join(name);
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn show_names_the_origin_of_every_value_and_hides_secrets() {
    let netrc = format!("machine w.example.com:8080 login user password {KEY}\n");
    let agent = Agent::new()
        .env("WANDB_BASE_URL", "http://w.example.com:8080")
        .env("WANDB_LAUNCH_MAX_JOBS", "7")
        .env("WANDB__PROXIES", "{\"https\": \"http://u:planted@proxy\"}");
    let netrc = written(&agent, "netrc", &netrc);
    let agent = agent.env("NETRC", &netrc);
    let text = "queue: train\nmax_jobs: 2\nbackend:\n  type: postgres\n  \
                url: postgres://u:planted@h/d\n";
    let file = written(&agent, "launch-config.yaml", text);
    let said = agent.say(&["config", "show", "-c", &file]).expect(0);
    for line in [
        format!("queues: [\"train\"]  # {file}:1"),
        "max_jobs: 7  # $WANDB_LAUNCH_MAX_JOBS".to_owned(),
        "max_schedulers: 1  # built-in".to_owned(),
        format!("  url: postgres://***:***@h/d  # {file}:5"),
        format!("# key of W&B: *** ({netrc})"),
        "# $WANDB__PROXIES=***".to_owned(),
    ] {
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = said.out.lines().any(|shown| plain(shown) == plain(&line));
        assert!(found, "{line} in:\n{}", said.out);
    }
    let json = agent.say(&["config", "show", "-c", &file, "--output", "json"]);
    assert_eq!(
        json.json()["origins"]["max_jobs"]["name"],
        "WANDB_LAUNCH_MAX_JOBS"
    );
    assert_eq!(json.json()["origins"]["queues"]["line"], 1);
    let all = format!("{}{}{}{}", said.out, said.err, json.out, json.err);
    assert!(!all.contains("planted") && !all.contains(KEY), "{all}");
}

#[test]
fn check_judges_the_file_and_the_environment_at_once() {
    let agent = Agent::new().env("WANDB_LAUNCH_START_TIMEOUT", "soon");
    let file = written(&agent, "launch-config.yaml", "queus: [a]\nmax_jobs: many\n");
    let said = agent.say(&["config", "check", "-c", &file]).expect(2);
    for text in [
        "did you mean `queues`",
        ":2:11: error: ",
        "$WANDB_LAUNCH_START_TIMEOUT: error",
    ] {
        assert!(said.err.contains(text), "{text} in {said:#?}");
    }
    let said = agent
        .say(&["config", "check", "-c", &file, "--output", "json"])
        .expect(2);
    let problems = said.json()["problems"].as_array().unwrap().clone();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert_eq!(problems[0]["kind"], "unknown-key");
    assert_eq!(
        (&problems[1]["line"], &problems[1]["path"]),
        (&2.into(), &"max_jobs".into())
    );
}

#[test]
fn warnings_fail_only_where_asked_to() {
    let agent = Agent::new();
    let file = written(
        &agent,
        "launch-config.yaml",
        "builder: {type: kaniko, typ: x}\n",
    );
    let said = agent.say(&["config", "check", "-c", &file]).expect(0);
    assert!(said.out.contains("ok, with warnings"), "{said:#?}");
    let _ = agent
        .say(&["config", "check", "-c", &file, "--strict"])
        .expect(2)
        .complains("unknown key `typ`");
}

#[test]
fn helm_values_are_checked_where_they_stand() {
    let agent = Agent::new();
    let text = "namespace: wandb\nlaunchConfig: |\n  queues: [a]\n  max_jobs: many\n";
    let values = written(&agent, "values.yaml", text);
    let _ = agent
        .say(&["config", "check", "--helm", &values])
        .expect(2)
        .complains("values.yaml:4:13: error: `launchConfig.max_jobs`");
    let values = written(&agent, "good.yaml", &text.replace("many", "4"));
    let said = agent.say(&["config", "check", "--helm", &values]).expect(0);
    assert!(said.out.contains("good.yaml: ok"), "{said:#?}");
}

#[test]
fn the_schema_is_json() {
    let said = Agent::new().say(&["config", "schema"]).expect(0);
    let schema = said.json();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["properties"]["max_jobs"]["default"], 1);
}

#[test]
fn a_backend_that_lacks_its_key_is_named() {
    let agent = Agent::new();
    let file = written(&agent, "launch-config.yaml", "backend: {type: wandb}\n");
    let _ = agent
        .say(&["run", "-c", &file, "--drain"])
        .expect(2)
        .complains("backend `wandb` has no key");
}

/// What makes no sense together is told by `config check`, and nothing starts with it.
#[test]
fn an_agent_goes_by_what_its_blocks_mean_together() {
    let agent = Agent::new();
    for (name, text, said) in [
        (
            "a",
            "registry: {type: ecr}\n",
            "`registry.account_id` is missing",
        ),
        (
            "b",
            "queues: [q]\nregistry: {type: acr, uri: 'us-docker.pkg.dev/p/r/i'}\n",
            "not an address of type `acr`",
        ),
        (
            "c",
            "builder: {type: docker, credentials: 1}\nregistry: {credentials: 2}\n",
            "differ",
        ),
    ] {
        let file = written(&agent, name, text);
        let _ = agent
            .say(&["config", "check", "-c", &file])
            .expect(2)
            .complains(said);
        let _ = agent
            .say(&["run", "--drain", "-c", &file])
            .expect(2)
            .complains(said);
    }
    let parts = "environment: {type: aws, region: eu-west-1}\n\
                 registry: {type: ecr, account_id: 123456789012, repository: a/b}\n";
    let file = written(&agent, "parts", parts);
    let said = agent.say(&["doctor", "-c", &file]);
    // Whether it answers is the network's; that it is asked for is the blocks'.
    let registry = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
    assert!(said.out.contains(registry), "{said:#?}");
}
