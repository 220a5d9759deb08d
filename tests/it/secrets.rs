//! Planted secrets, which must not be found again in anything the agent writes or says.

use std::path::Path;
use std::time::Duration;

use launch_tests::{Agent, collect, eventually, page, signal};
use rustix::process::Signal;

/// With letters that every encoding changes.
const OF_AGENT: &str = "ag&nt \"k\\ey/ü+planted-0123456789";
const OF_SPEC: &str = "sp&c \"k\\ey/ü+planted-9876543210";
const OF_URL: &str = "url-planted-5550123";
/// Of the agent alone: no spec has it.
const OF_PROXY: &str = "proxy-planted-5550456";

/// A job that says both secrets in every form, and fails.
const MAIN: &str = r#"
import base64, json, os, sys, urllib.parse
for secret in (os.environ["PLANTED_A"], os.environ["PLANTED_B"]):
    data = secret.encode()
    print("plain", secret)
    print("repr", repr(secret))
    print("json", json.dumps(secret), json.dumps(secret, ensure_ascii=False))
    print("json twice", json.dumps(json.dumps(secret, ensure_ascii=False), ensure_ascii=False))
    print("query", urllib.parse.quote_plus(secret), "path", urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""))
    for user in ("", "a:", "ab:", "api:"):
        whole = (user + secret).encode()
        print("Authorization: Basic", base64.b64encode(whole).decode())
        print("base64", base64.b64encode(whole + b"\n").decode(), base64.urlsafe_b64encode(whole).decode())
    for letter in secret:
        sys.stdout.write(letter)
        sys.stdout.flush()
    print()
print("the end", flush=True)
sys.exit(3)
"#;

/// What must not be found: the secrets and everything that gives them away.
fn needles() -> Vec<String> {
    let script = r"
import base64, json, sys, urllib.parse
for secret in sys.argv[1:]:
    print(secret); print(json.dumps(secret)[1:-1]); print(json.dumps(secret, ensure_ascii=False)[1:-1])
    print(urllib.parse.quote_plus(secret)); print(urllib.parse.quote(secret)); print(urllib.parse.quote(secret, safe=''))
    for user in ('', 'a:', 'ab:', 'api:'):
        print(base64.b64encode((user + secret).encode()).decode()[4:-4])
        print(base64.urlsafe_b64encode((user + secret).encode()).decode()[4:-4])
";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", script, OF_AGENT, OF_SPEC, OF_URL, OF_PROXY]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn assert_silent(needles: &[String], place: &str, text: &str) {
    for needle in needles {
        assert!(!text.contains(needle), "`{needle}` is in {place}: {text}");
    }
}

/// Every file below, as text.
fn files(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs_err::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(bytes) = fs_err::read(&path) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn planted_secrets_are_found_nowhere() {
    let agent = Agent::new().env("OTHER_API_KEY", OF_AGENT).env(
        "HTTPS_PROXY",
        &format!("http://user:{OF_PROXY}@127.0.0.1:9"),
    );
    let config = agent.dir("config").join("f.yaml");
    fs_err::write(&config, "observability: {address: '127.0.0.1:0'}\n").unwrap();
    let config = config.display().to_string();
    let project = agent.project("p", MAIN);
    let spec = serde_json::json!({
        "resource": "local-process",
        "_wandb_api_key": OF_SPEC,
    });
    // The job gets both by the command, as a program may that reads them elsewhere.
    let start = "exec env PLANTED_A=\"$1\" PLANTED_B=\"$2\" python3 main.py";
    let line = [
        "-q",
        "q",
        &project,
        "-c",
        &spec.to_string(),
        "-E",
        "sh",
        "--",
    ];
    let args = ["-c", start, "sh", OF_AGENT, OF_SPEC];
    let id = agent.submit(&[&line[..], &args[..]].concat());
    let far = format!("https://ann:{OF_URL}@127.0.0.1:9/private/r.git");
    let unfetched = agent.submit(&["-q", "q", &far]);
    let child = agent.start(&[
        "run",
        "-q",
        "q",
        "-c",
        &config,
        "-vv",
        "--log-format",
        "json",
    ]);
    let needles = needles();
    let status = eventually("the agent answers", Duration::from_secs(20), || {
        let said = agent.say(&["status", "--output", "json"]);
        (said.code == 0).then_some(said)
    });
    let address = status.json()[0]["address"].as_str().unwrap().to_owned();
    // The queue, the journal and the working copy hold what was submitted, for their owner
    // alone; of the agent's own secrets not even they hold one.
    let mut journals = Vec::new();
    eventually("both jobs end", Duration::from_mins(1), || {
        files(&agent.state().join("agents"), &mut journals);
        assert_silent(&needles, "metrics", &page(&address, "/metrics"));
        assert_silent(&needles, "status", &agent.say(&["status"]).out);
        let ended = [&id, &unfetched].map(|id| agent.job("q", id)["state"] == "ended");
        (ended == [true, true]).then_some(())
    });
    signal(&child, Signal::TERM);
    let said = collect(child).expect(0);
    assert_silent(&needles, "the log", &said.err);
    assert_silent(&needles, "stdout", &said.out);
    for id in [&id, &unfetched] {
        let shown = agent
            .say(&["queue", "items", "q", "--job", id])
            .expect(0)
            .out;
        assert_silent(&needles, "the outcome", &shown);
        assert_silent(&needles, "the record", &agent.job("q", id).to_string());
    }
    assert_eq!(
        agent.job("q", &unfetched)["outcome"]["reason"],
        "source-failed"
    );
    let mut logs = Vec::new();
    files(&agent.state().join("logs"), &mut logs);
    assert!(
        logs.iter().any(|(_, text)| text.contains("the end")),
        "{logs:?}"
    );
    for (path, text) in &logs {
        assert_silent(&needles, path, text);
    }
    assert!(
        journals.iter().any(|(path, _)| Path::new(path)
            .extension()
            .is_some_and(|kind| kind == "json")),
        "seen"
    );
    for (path, text) in &journals {
        assert_silent(&[OF_PROXY.to_owned()], path, text);
    }
}

#[test]
fn the_password_of_a_database_is_said_by_no_error() {
    let agent = Agent::new();
    let config = agent.dir("config").join("f.yaml");
    let url = format!("postgres://ann:{OF_URL}@127.0.0.1:9/jobs?sslmode=disable");
    let text = format!("backend: {{type: postgres, url: '{url}'}}\n");
    fs_err::write(&config, text).unwrap();
    let config = config.display().to_string();
    let said = agent
        .say(&["run", "-q", "q", "-c", &config, "-vv"])
        .expect(3);
    let needles = needles();
    assert_silent(&needles, "the error", &format!("{}{}", said.err, said.out));
    let said = agent.say(&["config", "show", "--config", &config]);
    assert_silent(
        &needles,
        "`config show`",
        &format!("{}{}", said.err, said.out),
    );
}
