//! Agent files, and what is in force.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::load::{Report, Severity, agent_text, to_yaml};

fn read(text: &str) -> AgentConfig {
    agent_text("f", text).unwrap().value
}

fn warnings(text: &str) -> Report {
    agent_text("f", text).unwrap().warnings
}

#[test]
fn a_usual_file_is_read() {
    let text = "entity: acme\nqueues: [a, b]\nqueue: c\nmax_jobs: -1\nsecure_mode: 'false'\n\
                builder:\n  type: docker\n  destination: https://reg.io:5000/team/x\n";
    let config = read(text);
    assert_eq!(config.queues.len(), 3);
    assert_eq!(config.slots(), None);
    assert_eq!(config.secure_mode, Some(false));
    let destination = config.destination().unwrap().to_string();
    assert_eq!(destination, "reg.io:5000/team/x");
}

#[test]
fn what_could_not_work_is_refused() {
    for (text, path) in [
        ("max_jobs: -2", "max_jobs"),
        ("max_jobs: '2.5'", "max_jobs"),
        ("queues: a", "queues"),
        ("queues: null", "queues"),
        ("queues: [1]", "queues[0]"),
        ("queue: [a]", "queue"),
        ("builder: {type: dokcer}", "builder.type"),
        ("builder: {type: oci}", "builder.type"),
        ("builder: docker", "builder"),
        ("builder: {destination: UPPER/Case}", "builder.destination"),
        (
            "builder: {destination: 'reg.azurecr.io/x:tag'}",
            "builder.destination",
        ),
        (
            "builder: {build-context-store: /mnt/x}",
            "builder.build-context-store",
        ),
        (
            "builder: {build-context-store: 'http://a.blob.core.windows.net/c'}",
            "builder.build-context-store",
        ),
        (
            "builder: {type: kaniko, build-context-store: null}",
            "builder.build-context-store",
        ),
        ("environment: {type: aws}", "environment.region"),
        ("environment: {type: AWS, region: r}", "environment.type"),
        ("environment: aws", "environment"),
        ("secure_mode: maybe", "secure_mode"),
        ("backend: {type: sqlte}", "backend.type"),
        ("backend: {url: 'postgres://h/d'}", "backend"),
        ("backend: {type: postgres}", "backend.url"),
        ("backend: {type: sqlite, url-file: /x}", "backend.url-file"),
        (
            "backend: {type: wandb, poll-interval: 0}",
            "backend.poll-interval",
        ),
        (
            "backend: {type: sqlite, api-key-file: /x}",
            "backend.api-key-file",
        ),
        ("backend: {type: sqlite, keep-days: 0}", "backend.keep-days"),
        (
            "backend: {type: postgres, url: 'postgres://h/d', keep-jobs: all}",
            "backend.keep-jobs",
        ),
        ("backend: {type: wandb, keep-days: 7}", "backend.keep-days"),
        ("backend: {keep-days: 7}", "backend"),
        ("retry: {failures: -1}", "retry.failures"),
        ("retry: {reasons: [los]}", "retry.reasons[0]"),
        ("retry: {wait: soon}", "retry.wait"),
        (
            "backend: {type: wandb, base-url: api.wandb.ai}",
            "backend.base-url",
        ),
        ("journal: {file: x}", "journal.file"),
        ("observability: {address: here}", "observability.address"),
        (
            "observability: {log-format: xml}",
            "observability.log-format",
        ),
        (
            "observability: {job-log-mib: 0}",
            "observability.job-log-mib",
        ),
        (
            "observability: {job-logs-days: -1}",
            "observability.job-logs-days",
        ),
    ] {
        let report = agent_text("f", text).unwrap_err();
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        let first = report.problems.iter().find(is_error).unwrap();
        assert_eq!(first.path, path, "{text}: {report}");
    }
}

#[test]
fn what_the_documentation_shows_works() {
    for text in [
        "environment: {type: azure}",
        "environment: {type: local}",
        "environment: {type: aws, region: null}",
        "registry: {type: local}",
        "queue: one",
        "secure_mode: 'on'\nmax_jobs: 2.0\nmax_schedulers: '4'",
        "backend: {path: /var/lib/queue.db}",
        "backend: {type: sqlite, keep-days: 7, keep-jobs: '1000'}",
        "observability: {log-format: json}",
    ] {
        assert_eq!(warnings(text).problems, [], "{text}");
    }
}

#[test]
fn addresses_in_both_generations_are_one() {
    for (text, expected) in [
        (
            "builder: {type: docker, uri: us-docker.pkg.dev/p/r/i}",
            "us-docker.pkg.dev/p/r/i",
        ),
        (
            "builder: {destination: '1.ecr.us-east-1.amazonaws.com/a'}",
            "1.dkr.ecr.us-east-1.amazonaws.com/a",
        ),
        (
            "registry: {type: ecr, account_id: 123456789012, repository: a/b}\n\
             environment: {type: aws, region: eu-west-1}",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a/b",
        ),
        (
            "registry: {type: gcr, repository: r, image-name: i}\n\
             environment: {type: gcp, region: us, project: p}",
            "us-docker.pkg.dev/p/r/i",
        ),
        (
            "registry: {type: acr, uri: 'reg.azurecr.io/a:'}",
            "reg.azurecr.io/a",
        ),
        ("builder: {destination: 'ghcr.io/a/b:dev'}", "ghcr.io/a/b"),
    ] {
        let destination = read(text).destination().unwrap().to_string();
        assert_eq!(destination, expected, "{text}");
    }
    assert_eq!(read("registry: {uri: ghcr.io/a/b}").destination(), None);
}

#[test]
fn what_does_not_fit_is_warned_of() {
    for (text, words) in [
        ("max_jobs: 0", "never takes a job"),
        ("queues: [a, a]", "named twice"),
        ("builder: {type: kaniko}", "needs a `build-context-store`"),
        ("builder: {type: kaniko}", "needs a `destination`"),
        ("builder: {secret-name: s}", "without `secret-key`"),
        ("builder: {typ: docker}", "did you mean `type`"),
        (
            "environment: {type: gcp, region: r}\nbuilder: {build-context-store: 's3://b'}",
            "another cloud",
        ),
        (
            "environment: {type: aws, region: us-east-1}\n\
             builder: {destination: '1.dkr.ecr.us-west-2.amazonaws.com/a'}",
            "the repository is in `us-west-2`",
        ),
        (
            "registry: {type: ecr, uri: reg.azurecr.io/a}",
            "of another registry",
        ),
        (
            "registry: {type: ecr, repository: a}",
            "without `account_id`",
        ),
        (
            "builder: {type: noop, destination: UPPER/Case}",
            "nothing is pushed there",
        ),
    ] {
        let warnings = warnings(text).to_string();
        assert!(warnings.contains(words), "{text}: {warnings}");
    }
}

#[test]
fn a_shared_volume_is_a_store() {
    let text = "builder: {type: kaniko, destination: reg.azurecr.io/a}";
    let variable = |name: &str| (name == variables::KANIKO_VOLUME).then(|| "claim".to_owned());
    let layers = Layers::new().with_file("f", text);
    assert_eq!(layers.resolve().unwrap().warnings.problems.len(), 1);
    let layers = layers.with_variables(&variable);
    assert_eq!(layers.resolve().unwrap().warnings.problems, []);
}

#[test]
fn each_layer_beats_the_one_below_and_is_named() {
    let variable = |name: &str| match name {
        variables::ENTITY => Some(String::new()),
        variables::MAX_JOBS => Some(" 6 ".to_owned()),
        _ => None,
    };
    let text = "entity: file\nmax_jobs: 2\nqueues: [a]\nverbosity: 2\nbuilder:\n  type: noop\n";
    let layers = Layers::new().with_file("f", text).with_variables(&variable);
    let resolved = layers.resolve().unwrap().value;
    assert_eq!(resolved.raw()["entity"], "");
    assert_eq!(resolved.config.max_jobs, Some(6));
    let shown = |path: &str| resolved.origin(path).to_string();
    assert_eq!(shown("entity"), "$WANDB_ENTITY");
    assert_eq!(shown("builder.type"), "f:6");
    assert_eq!(shown("builder.platform"), "built-in");
    assert_eq!(shown("max_schedulers"), "built-in");
    let flags = Flags::new()
        .with_max_jobs(Some(9))
        .with_queues(vec!["b".to_owned()]);
    let resolved = layers.with_flags(&flags).resolve().unwrap().value;
    assert_eq!(resolved.config.max_jobs, Some(9));
    assert_eq!(resolved.origin("queues[0]").to_string(), "--queue");
    assert_eq!(resolved.config.verbosity, Some(2));
    let resolved = Layers::new()
        .with_default_entity("me")
        .resolve()
        .unwrap()
        .value;
    assert_eq!(resolved.origin("entity"), Origin::Server);
}

#[test]
fn what_a_variable_or_a_flag_says_wrong_is_named() {
    let variable = |name: &str| (name == variables::MAX_JOBS).then(|| "six".to_owned());
    let report = Layers::new()
        .with_variables(&variable)
        .resolve()
        .unwrap_err();
    assert!(
        report
            .to_string()
            .starts_with("$WANDB_LAUNCH_MAX_JOBS: error: "),
        "{report}"
    );
    let flags = Flags::new().with_max_jobs(Some(-3));
    let layers = Layers::new()
        .with_file("f", "max_jobs: 1")
        .with_flags(&flags);
    let report = layers.resolve().unwrap_err().to_string();
    assert!(
        report.starts_with("--max-jobs: error: `max_jobs`"),
        "{report}"
    );
}

#[test]
fn what_is_shown_holds_no_secret() {
    let text = "queue: a\nbackend: {type: postgres, url: 'postgres://u:planted@h/d'}\nbuilder:\n  \
                build-context-store: 'https://a.blob.core.windows.net/c/p?sig=planted'\n  \
                kaniko-config: {spec: {env: [{name: A, value: planted}]}}\n";
    let resolved = Layers::new().with_file("f", text).resolve().unwrap().value;
    let entries = resolved.entries();
    let all = format!(
        "{entries:?} {:?} {}",
        resolved.config.backend,
        resolved.config.in_force()
    );
    assert!(!all.contains("planted"), "{all}");
    let queues = entries.iter().find(|entry| entry.path == "queues").unwrap();
    assert_eq!(
        (&queues.value, queues.origin.to_string()),
        (&json!(["a"]), "f:1".to_owned())
    );
}

#[test]
fn what_is_registered_is_what_the_python_agent_knows() {
    let text = "queue: a\nbackend: {type: wandb}\npolicy: {}\nmax_jobs: '3'\n";
    let resolved = Layers::new().with_file("f", text).resolve().unwrap().value;
    let registration = resolved.registration();
    assert_eq!(registration["queues"], json!(["a"]));
    assert_eq!(registration["config"]["max_jobs"], "3");
    assert!(registration["config"].get("backend").is_none());
}

proptest! {
    /// What `config show` prints as in force is a file that says the same.
    #[test]
    fn what_is_in_force_reads_back(
        queues in proptest::collection::vec("[a-z]{1,6}", 0..4),
        numbers in proptest::array::uniform4(-1_i64..50),
        secure in proptest::option::of(any::<bool>()),
        cloud in "aws|gcp|azure|local",
        builder in "docker|kaniko|noop",
        path in "[a-z0-9]{1,5}(/[a-z0-9]{1,5})?",
        store in proptest::option::of("(s3|gs)://[a-z]{3,8}(/[a-z]{1,4})?"),
    ) {
        let value = json!({
            "entity": "on",
            "queues": queues,
            "max_jobs": numbers[0],
            "max_schedulers": numbers[1].to_string(),
            "verbosity": numbers[2],
            "stopped_run_timeout": numbers[3],
            "secure_mode": secure,
            "environment": {"type": cloud, "region": "eu-west-1"},
            "builder": {
                "type": builder,
                "destination": format!("acme.azurecr.io/{path}"),
                "build-context-store": store.unwrap_or_else(|| "s3://contexts".to_owned()),
                "kaniko-config": {"spec": {"backoffLimit": numbers[0], "12:30": "yes"}},
            },
            "policy": {"docker": {"allow": ["volume=a:/b", "network"]}},
        });
        let first = read(&to_yaml(&value));
        let second = read(&to_yaml(&first.in_force()));
        prop_assert_eq!(first.in_force(), second.in_force());
        prop_assert_eq!(first.slots(), second.slots());
        prop_assert_eq!(first.destination(), second.destination());
    }
}
