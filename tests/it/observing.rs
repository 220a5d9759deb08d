//! A running agent, seen from outside.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use launch_tests::{Agent, collect, eventually, series, signal};
use rustix::process::Signal;
use serde_json::Value;

/// An agent file that serves health and metrics on a port of the system's choice.
fn config(agent: &Agent) -> String {
    let file = agent.dir("config").join("launch-config.yaml");
    fs_err::write(&file, "observability: {address: '127.0.0.1:0'}\n").unwrap();
    file.display().to_string()
}

/// What `status` shows of the one agent, once it answers.
fn status(agent: &Agent) -> Value {
    eventually("the agent answers", Duration::from_secs(30), || {
        let said = agent.say(&["status", "--output", "json"]);
        (said.code == 0).then(|| said.json()[0].clone())
    })
}

/// Asks the page; answers the code, and head and body.
fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer)
}

fn sleeping(agent: &Agent, seconds: f64) -> String {
    agent.project("p", &format!("import time\ntime.sleep({seconds})\n"))
}

#[test]
fn health_and_metrics_follow_a_job() {
    let agent = Agent::new();
    let project = sleeping(&agent, 1.5);
    for _ in 0..2 {
        agent.submit(&["-q", "q", &project]);
    }
    let child = agent.start(&["run", "-q", "q", "-j", "3", "-c", &config(&agent)]);
    let address = status(&agent)["address"].as_str().unwrap().to_owned();
    assert_eq!(get(&address, "/live").0, 200);
    let text = eventually("both jobs run", Duration::from_secs(20), || {
        let text = get(&address, "/metrics").1;
        (series(&text, "launch_slots_used") == Some(2.0)).then_some(text)
    });
    assert_eq!(get(&address, "/ready").0, 200);
    assert!(text.contains("text/plain; version=0.0.4"), "{text}");
    assert_eq!(series(&text, "launch_slots "), Some(3.0));
    assert_eq!(series(&text, "launch_leases_held"), Some(2.0));
    let text = eventually("both jobs end", Duration::from_secs(20), || {
        let text = get(&address, "/metrics").1;
        let ended = "launch_jobs_ended_total{queue=\"q\",reason=\"succeeded\"}";
        (series(&text, ended) == Some(2.0)).then_some(text)
    });
    for (name, least) in [
        ("launch_queue_wait_seconds_count{queue=\"q\"}", 2.0),
        ("launch_stage_seconds_sum{stage=\"watch\"}", 3.0),
        ("launch_stage_seconds_count{stage=\"submit\"}", 2.0),
        (
            "launch_cache_lookups_total{cache=\"context\",result=\"miss\"}",
            1.0,
        ),
    ] {
        let value = series(&text, name);
        assert!(
            value.is_some_and(|value| value >= least),
            "{name}: {value:?}"
        );
    }
    assert_eq!(get(&address, "/status").0, 404, "the page tells of no job");
    assert_eq!(get(&address, "/").0, 404);
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn an_agent_is_not_ready_while_it_stops_and_lives_on() {
    let agent = Agent::new();
    agent.submit(&["-q", "q", &sleeping(&agent, 3.0)]);
    let child = agent.start(&["run", "-q", "q", "-c", &config(&agent)]);
    let address = status(&agent)["address"].as_str().unwrap().to_owned();
    eventually("it runs", Duration::from_secs(20), || {
        (status(&agent)["jobs"][0]["stage"] == "watch").then_some(())
    });
    signal(&child, Signal::TERM);
    eventually("it stops", Duration::from_secs(5), || {
        (get(&address, "/ready").0 == 503).then_some(())
    });
    let (code, why) = get(&address, "/ready");
    assert!(code == 503 && why.contains("it is stopping"), "{why}");
    assert_eq!(get(&address, "/live").0, 200);
    assert_eq!(status(&agent)["phase"], "stopping");
    let _ = collect(child).expect(0);
}

#[test]
fn a_status_shows_what_each_job_is_at() {
    let agent = Agent::new();
    let project = sleeping(&agent, 30.0);
    let id = agent.submit(&["-q", "q", &project]);
    agent.submit(&["-q", "q", &project]);
    let child = agent.start(&["run", "-q", "q", "-j", "1"]);
    let shown = eventually("the job runs", Duration::from_secs(20), || {
        let shown = status(&agent);
        (shown["jobs"][0]["stage"] == "watch").then_some(shown)
    });
    let job = &shown["jobs"][0];
    assert_eq!(
        (&job["job"], &job["queue"]),
        (&id.clone().into(), &"q".into())
    );
    assert_eq!(shown["slots"], 1);
    assert_eq!(shown["pid"], child.id());
    assert_eq!(
        (&shown["ready"], &shown["phase"]),
        (&true.into(), &"serving".into())
    );
    let queue = &shown["queues"][0];
    assert_eq!(
        (&queue["waiting"], &queue["leased"]),
        (&1.into(), &1.into())
    );
    assert!(job["heartbeat_seconds"].is_number() && shown["last_poll_seconds"].is_number());
    let text = agent.say(&["status"]).expect(0).out;
    for word in [id.as_str(), "slots: 1 of 1 used", "watch", "open"] {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
    let _ = agent.say(&["queue", "cancel", &id]).expect(0);
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
}

#[test]
fn without_an_agent_status_says_so() {
    let agent = Agent::new();
    let said = agent.say(&["status"]).expect(3);
    let _ = said.complains("no agent runs with").complains("hint:");
    let mut child = agent.start(&["run", "-q", "q"]);
    status(&agent);
    signal(&child, Signal::STOP);
    // It is there, and does not answer.
    let said = agent.say(&["status"]).expect(3);
    let _ = said.complains("does not answer");
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let _ = agent.say(&["status"]).expect(3).complains("no agent runs");
}

#[test]
fn an_address_that_is_taken_is_said_and_nothing_is_started() {
    let agent = Agent::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = agent.dir("config").join("f.yaml");
    let text = format!("observability: {{address: '{address}'}}\n");
    fs_err::write(&file, text).unwrap();
    let said = agent.say(&["run", "-q", "q", "-c", &file.display().to_string()]);
    let said = said
        .expect(3)
        .complains(&format!("cannot serve metrics on `{address}`"));
    let _ = said.complains("observability.address");
    assert_eq!(
        fs_err::read_dir(agent.state().join("agents"))
            .unwrap()
            .count(),
        0
    );
}

fn heard(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 512];
    let read = socket.recv(&mut buffer).expect("the manager is told");
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

fn manager(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    let patience = Some(Duration::from_secs(20));
    socket.set_read_timeout(patience).unwrap();
    socket
}

#[test]
fn a_service_manager_is_told_of_readiness_life_and_end() {
    let agent = Agent::new();
    let path = agent.dir("manager").join("notify");
    let socket = manager(&path);
    let agent = agent
        .env("NOTIFY_SOCKET", &path.display().to_string())
        .env("WATCHDOG_USEC", "200000");
    let child = agent.start(&["run", "-q", "q", "-j", "2"]);
    let first = std::iter::repeat_with(|| heard(&socket));
    let mut rest = first.skip_while(|text| text.starts_with("WATCHDOG=1"));
    assert_eq!(rest.next().as_deref(), Some("READY=1"));
    for _ in 0..3 {
        let sign = heard(&socket);
        assert!(
            sign.starts_with("WATCHDOG=1\nSTATUS=0 of 2 slots used"),
            "{sign}"
        );
    }
    signal(&child, Signal::TERM);
    let end = std::iter::repeat_with(|| heard(&socket));
    let mut end = end.skip_while(|text| text.starts_with("WATCHDOG=1"));
    assert_eq!(end.next().as_deref(), Some("STOPPING=1"));
    let _ = collect(child).expect(0);
}

/// The next line of an agent's log that is of this message.
fn log_line(child: &mut Child, message: &str) -> Value {
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut found = lines.map_while(Result::ok).filter_map(|line| {
        let value: Value = serde_json::from_str(&line).expect("each line is JSON");
        (value["fields"]["message"] == message).then_some(value)
    });
    found.next().expect("the line comes")
}

#[test]
fn a_log_in_json_names_the_job_of_each_line() {
    let agent = Agent::new().env("LAUNCH_LOG_FORMAT", "json");
    let id = agent.submit(&["-q", "q", &sleeping(&agent, 0.0)]);
    let mut child = agent.start(&["run", "-q", "q", "--drain"]);
    let line = log_line(&mut child, "job ended");
    assert_eq!(line["span"]["job.id"], id);
    assert_eq!(line["fields"]["reason"], "succeeded");
    assert_eq!(line["level"], "INFO");
    child.wait().unwrap();
}

#[test]
fn the_agent_file_says_how_to_log_and_the_command_line_counts_before_it() {
    let agent = Agent::new();
    let file = agent.dir("config").join("f.yaml");
    fs_err::write(&file, "observability: {log-format: json}\n").unwrap();
    let file = file.display().to_string();
    let run = ["run", "-q", "q", "--drain", "-c", &file];
    let said = agent.say(&run).expect(0);
    for line in said.err.lines() {
        let line: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_eq!(line["level"], "INFO", "{line}");
    }
    assert!(said.err.contains("agent starts"), "{said:#?}");
    let said = agent.say(&[&run[..], &["--log-format", "text"]].concat());
    assert!(
        said.err.contains("agent starts") && !said.err.contains('{'),
        "{said:#?}"
    );
    let _ = agent
        .env("LAUNCH_LOG_FORMAT", "text")
        .say(&run)
        .complains(" INFO ");
}

#[test]
fn as_many_ended_jobs_are_remembered_as_the_agent_file_says() {
    let agent = Agent::new();
    let file = agent.dir("config").join("f.yaml");
    fs_err::write(
        &file,
        "backend: {type: sqlite, keep-jobs: 2, keep-days: 1}\n",
    )
    .unwrap();
    let project = sleeping(&agent, 0.0);
    let ids: Vec<String> = (0..4)
        .map(|_| agent.submit(&["-q", "q", &project]))
        .collect();
    let run = ["run", "-q", "q", "--drain"];
    let _ = agent.say(&run).expect(0);
    let known = || {
        let items = agent.say(&["queue", "items", "q", "--output", "json"]);
        let items = items.json().as_array().unwrap().clone();
        let known = |id: &&String| items.iter().any(|item| item["id"] == id.as_str());
        ids.iter().filter(known).count()
    };
    assert_eq!(known(), 4);
    let file = file.display().to_string();
    let _ = agent.say(&[&run[..], &["-c", &file]].concat()).expect(0);
    assert_eq!(known(), 2);
}

#[test]
fn the_output_of_a_job_is_kept_within_its_bounds() {
    let agent = Agent::new();
    let file = agent.dir("config").join("f.yaml");
    fs_err::write(&file, "observability: {job-log-mib: 1, job-logs-mib: 1}\n").unwrap();
    let file = file.display().to_string();
    let main = "for i in range(60000): print(f'{i:06}', 'x' * 60)\n";
    let project = agent.project("p", main);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(agent.submit(&["-q", "q", &project]));
    }
    let _ = agent
        .say(&["run", "-q", "q", "--drain", "-c", &file])
        .expect(0);
    let logs = agent.state().join("logs");
    let sizes = || -> Vec<u64> {
        let entries = fs_err::read_dir(&logs).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect()
    };
    assert_eq!(sizes().len(), 6, "two pieces each");
    assert!(
        sizes().iter().all(|size| *size <= 512 << 10),
        "{:?}",
        sizes()
    );
    let last = fs_err::read_to_string(logs.join(format!("launch-{}-0.log", ids[2]))).unwrap();
    assert!(last.lines().last().unwrap().starts_with("059999 "));
    // The next start removes what is too much.
    let child = agent.start(&["run", "-q", "q", "-c", &file]);
    eventually("old output goes", Duration::from_secs(20), || {
        (sizes().iter().sum::<u64>() <= 1 << 20).then_some(())
    });
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    assert!(!sizes().is_empty());
}

/// A collector that keeps the bodies it is sent.
fn collector() -> (String, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(&stream);
            let (mut line, mut length) = (String::new(), 0);
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with("POST /v1/traces "), "{line}");
            while line.trim() != "" {
                line.clear();
                reader.read_line(&mut line).unwrap();
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            (&stream).write_all(answer.as_bytes()).unwrap();
            if tell.send(body).is_err() {
                return;
            }
        }
    });
    (address, told)
}

#[test]
fn a_trace_has_the_stages_of_each_job() {
    let (address, told) = collector();
    let agent = Agent::new().env("OTEL_EXPORTER_OTLP_ENDPOINT", &address);
    let id = agent.submit(&["-q", "q", &sleeping(&agent, 0.0)]);
    let said = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    assert!(!said.err.contains("traces"), "{said:#?}");
    let bodies: Vec<u8> = told.try_iter().flatten().collect();
    let text = String::from_utf8_lossy(&bodies);
    for word in [
        id.as_str(),
        "launch-agent",
        "fetch",
        "plan",
        "submit",
        "watch",
    ] {
        assert!(text.contains(word), "`{word}` is not in {text}");
    }
}

#[test]
fn a_collector_that_is_not_there_holds_nothing_up() {
    let agent = Agent::new().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let id = agent.submit(&["-q", "q", &sleeping(&agent, 0.0)]);
    let _ = agent.say(&["run", "-q", "q", "--drain"]).expect(0);
    assert_eq!(agent.outcome("q", &id)["reason"], "succeeded");
}
