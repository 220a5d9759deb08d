//! What a queue may not ask for is refused before anything is done for the job.

use launch_tests::{Agent, has_docker};

const ASKS: &str = r#"{"volume": "/:/host"}"#;

fn submit(agent: &Agent) -> String {
    let project = agent.project("p", "print(1)\n");
    let args = ["-q", "q", &project, "-r", "local-container", "-R", ASKS];
    agent.submit(&args)
}

#[test]
fn a_mount_is_refused_with_a_hint_for_the_administrator() {
    let agent = Agent::new();
    let id = submit(&agent);
    let _ = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    let outcome = agent.outcome("q", &id);
    assert_eq!(outcome["reason"], "refused", "{outcome}");
    assert_eq!(outcome["stage"], "plan", "{outcome}");
    let message = outcome["message"].as_str().unwrap();
    assert!(
        message.contains("`resource_args.local-container.volume`"),
        "{outcome}"
    );
    let hint = outcome["hint"].as_str().unwrap();
    assert!(hint.contains("policy.docker.allow: [volume]"), "{outcome}");
}

#[test]
fn what_the_administrator_opened_goes_on() {
    let agent = Agent::new();
    let file = agent.dir("etc").join("launch-config.yaml");
    fs_err::write(&file, "policy: {docker: {allow: ['volume=/:/host']}}\n").unwrap();
    let id = submit(&agent);
    let config = file.display().to_string();
    let _ = agent
        .say(&["run", "-q", "q", "--drain", "--config", &config])
        .expect(0);
    let outcome = agent.outcome("q", &id);
    // There is no engine here, and that is what it now ends with.
    assert!(!outcome.to_string().contains("policy"), "{outcome}");
    assert!(outcome.to_string().contains("Docker"), "{outcome}");
}

#[test]
fn docker_a_cache_opened_by_the_administrator_is_shared_by_runs() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let cache = agent.dir("cache");
    let volume = format!("{}:/root/.cache", cache.display());
    let file = agent.dir("etc").join("launch-config.yaml");
    let text = format!("policy: {{docker: {{allow: ['volume={volume}']}}}}\n");
    fs_err::write(&file, text).unwrap();
    let config = file.display().to_string();
    let args = serde_json::json!({"volume": [volume]}).to_string();
    let launch = |command: &str, args: &str| {
        let image = [
            "launch",
            "--agent-config",
            &config,
            "-d",
            "launch-test/busybox:1",
        ];
        agent.say(&[&image[..], &["-E", command, "-R", args]].concat())
    };
    let _ = launch("sh -c 'echo kept > /root/.cache/x'", &args).expect(0);
    let said = launch("cat /root/.cache/x", &args).expect(0);
    assert!(said.out.contains("kept"), "{said:#?}");
    let _ = launch("cat /host/etc/passwd", r#"{"volume": "/:/host"}"#)
        .expect(1)
        .complains("is open for other values only");
}
