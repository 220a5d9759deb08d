//! Jobs of managed services, through the whole program. The services are stand-ins.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use launch_tests::running::Running;
use launch_tests::{Agent, eventually, root, signal, skip};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A stand-in that runs until it is dropped.
struct StandIn {
    url: String,
    _program: Running,
}

impl StandIn {
    fn start(name: &str) -> Option<Self> {
        let script = root().join(format!("launch-runner/tests/stand_in/{name}.py"));
        let child = Command::new("python3")
            .arg(script)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn();
        let Ok(child) = child else {
            skip("no `python3` to run a stand-in with");
            return None;
        };
        let mut child = Running::from(child);
        let mut port = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut port).unwrap();
        let url = format!("http://127.0.0.1:{}", port.trim());
        Some(Self {
            url,
            _program: child,
        })
    }
}

/// The program with this feature, or a word why not.
fn has(agent: &Agent, resource: &str) -> bool {
    let spec = json!({"docker": {"docker_image": "i:1"}, "resource": resource});
    let file = agent.dir("probe").join("spec.json");
    fs_err::write(&file, spec.to_string()).unwrap();
    let said = agent.say(&["launch", "--config", file.to_str().unwrap()]);
    let without = said.err.contains("was built without");
    if without {
        skip(&format!("the program was built without `{resource}`"));
    }
    !without
}

/// Runs a job whose agent is killed while it runs, and returns its outcome.
fn outcome_after_a_kill(agent: &Agent, spec: &Value, file: &std::path::Path) -> Value {
    let path = agent.dir("spec").join("spec.json");
    fs_err::write(&path, spec.to_string()).unwrap();
    let id = agent.submit(&["-q", "q", "--config", path.to_str().unwrap()]);
    let mut child = agent.start(&["run", "-q", "q"]);
    eventually("the job starts", Duration::from_mins(1), || {
        file.exists().then_some(())
    });
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let _ = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    agent.outcome("q", &id)
}

fn script(file: &std::path::Path) -> String {
    format!(
        "echo start >>{}; echo up; sleep 3; echo bye; exit 7",
        file.display()
    )
}

#[test]
fn a_training_job_outlives_its_agent() {
    let Some(service) = StandIn::start("sagemaker") else {
        return;
    };
    let agent = Agent::new()
        .env("AWS_ENDPOINT_URL", &service.url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "stand-in-secret");
    if !has(&agent, "sagemaker") {
        return;
    }
    let file = agent.dir("out").join("starts");
    let spec = json!({
        "docker": {"docker_image": "train:1"}, "resource": "sagemaker", "run_id": "abc123",
        "overrides": {"entry_point": ["sh", "-c", script(&file)]},
        "resource_args": {"sagemaker": {
            "RoleArn": "trainer", "ResourceConfig": {"InstanceCount": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/prefix"},
        }},
    });
    check(&outcome_after_a_kill(&agent, &spec, &file), &file);
}

#[test]
fn a_custom_job_outlives_its_agent() {
    let Some(service) = StandIn::start("vertex") else {
        return;
    };
    let agent = Agent::new();
    let key = agent.dir("key").join("key.json");
    let credentials = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
        "token_uri": format!("{}/token", service.url), "quota_project_id": "team",
    });
    fs_err::write(&key, credentials.to_string()).unwrap();
    let agent = agent
        .env("GOOGLE_APPLICATION_CREDENTIALS", key.to_str().unwrap())
        .env("GOOGLE_CLOUD_REGION", "europe-west4")
        .env("LAUNCH_VERTEX_ENDPOINT", &service.url);
    if !has(&agent, "vertex") {
        return;
    }
    let file = agent.dir("out").join("starts");
    let spec = json!({
        "docker": {"docker_image": "train:1"}, "resource": "vertex", "run_id": "abc123",
        "overrides": {"entry_point": ["sh", "-c", script(&file)]},
        "resource_args": {"vertex": {"spec": {
            "worker_pool_specs": [{"container_spec": {"image_uri": "train:1"}}],
            "staging_bucket": "gs://stage",
        }}},
    });
    check(&outcome_after_a_kill(&agent, &spec, &file), &file);
}

/// It ran once, to its own end, and all it wrote was kept.
fn check(outcome: &Value, file: &std::path::Path) {
    assert_eq!(
        (outcome["reason"].as_str(), outcome["code"].as_i64()),
        (Some("failed"), Some(7)),
        "{outcome}"
    );
    assert_eq!(outcome["log_tail"], json!(["up", "bye"]));
    assert_eq!(fs_err::read_to_string(file).unwrap(), "start\n");
}
