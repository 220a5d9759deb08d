//! The agent at W&B's queues, which a stand-in serves.

mod cluster;
mod ends;
mod outage;
mod places;
mod reaching;
#[allow(
    dead_code,
    unused_imports,
    reason = "the suite of the queue uses the rest"
)]
#[path = "../../launch-queue/tests/wandb/server.rs"]
mod server;
mod sweeps;

use std::path::PathBuf;
use std::time::Duration;

use launch_tests::running::Running;
use launch_tests::{Agent, collect, eventually, signal};
use rustix::process::Signal;
use serde_json::{Value, json};
use server::{Server, State};
use tokio::runtime::Runtime;

/// A key as W&B makes them.
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";
const PATIENCE: Duration = Duration::from_secs(30);

/// What W&B's library does for a job: call in, and say how it ended.
const LIBRARY: &str = r"
import base64, json, os, sys, time, urllib.request
run = os.environ['WANDB_RUN_ID']
def post(path, body):
    key = base64.b64encode(('api:' + os.environ['WANDB_API_KEY']).encode()).decode()
    headers = {'Content-Type': 'application/json', 'Authorization': 'Basic ' + key}
    url = os.environ['WANDB_BASE_URL'] + path
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    urllib.request.urlopen(request).read()
def init():
    post('/graphql', {'operationName': 'UpsertBucket', 'query': 'mutation UpsertBucket',
                      'variables': {'name': run}})
def finish(code):
    place = os.environ['WANDB_ENTITY'] + '/' + os.environ['WANDB_PROJECT'] + '/' + run
    post('/files/' + place + '/file_stream', {'complete': True, 'exitcode': code})
    sys.exit(code)
def note(text):
    open(os.environ['NOTES'] if 'NOTES' in os.environ else NOTES, 'a').write(text + '\n')
";

/// A server with two queues, and an agent's home.
struct World {
    agent: Agent,
    server: Server,
    notes: PathBuf,
    _runtime: Runtime,
}

impl World {
    fn new() -> Self {
        Self::of(Agent::new())
    }

    fn of(agent: Agent) -> Self {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::start());
        KEY.clone_into(&mut server.state().key);
        let agent = agent
            .env("WANDB_BASE_URL", &server.url)
            .env("WANDB_API_KEY", KEY)
            .env("WANDB_ENTITY", "team")
            .env("WANDB_HTTP_TIMEOUT", "1");
        let notes = agent.dir("out").join("notes");
        Self {
            agent,
            server,
            notes,
            _runtime: runtime,
        }
    }

    /// Sets a variable for every command.
    fn env(mut self, name: &str, value: &str) -> Self {
        self.agent = std::mem::take(&mut self.agent).env(name, value);
        self
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.server.state()
    }

    /// An agent file: polls both queues five times a second.
    fn config(&self, more: &str) -> String {
        let file = self.agent.dir("config").join("launch-config.yaml");
        let key = self.agent.dir("config").join("key");
        if !key.exists() {
            fs_err::write(&key, KEY).unwrap();
        }
        let text = format!(
            "queues: [first, second]\nmax_jobs: 2\nstopped_run_timeout: 1\n\
             backend: {{type: wandb, poll-interval: 0.2, api-key-file: {}}}\n{more}\n",
            key.display()
        );
        fs_err::write(&file, text).unwrap();
        file.display().to_string()
    }

    fn start(&self) -> Running {
        self.start_with("", &[])
    }

    /// An agent with more in its file and on its command line.
    fn start_with(&self, more: &str, flags: &[&str]) -> Running {
        let config = self.config(more);
        self.agent.start(&[&["run", "-c", &config], flags].concat())
    }

    /// A spec whose process is this program.
    fn spec(&self, name: &str, program: &str) -> Value {
        let notes = format!("NOTES = {:?}\n", self.notes.display().to_string());
        let main = format!("{LIBRARY}{notes}{program}");
        let uri = self.agent.project(name, &main);
        json!({"entity": "team", "project": "Proj", "uri": uri, "resource": "local-process",
               "overrides": {"entry_point": ["python3", "main.py"]}})
    }

    fn notes(&self) -> Vec<String> {
        let text = fs_err::read_to_string(&self.notes).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn wait<T>(&self, what: &str, mut is_so: impl FnMut(&State) -> Option<T>) -> T {
        eventually(what, PATIENCE, || is_so(&self.state()))
    }

    /// Waits for a run to be in a state.
    fn run_is(&self, run: &str, state: &str) {
        self.wait(&format!("run {run} is {state}"), |server| {
            let of_run = |item: &&server::Item| item.run.as_deref() == Some(run);
            let item = server.items.values().find(of_run);
            let failure = item.and_then(|item| item.failure.clone());
            assert!(failure.is_none(), "{failure:?}");
            let (found, _) = server.runs.get(run)?;
            (found == state).then_some(())
        });
    }

    /// The run of an item, once an agent has it.
    fn run_of(&self, item: &str) -> String {
        self.wait("the item is claimed", |server| {
            server.items[item].run.clone()
        })
    }

    /// Nothing is in flight, on the disk either.
    fn nothing_left(&self) {
        eventually("nothing is left", PATIENCE, || {
            let left = |name: &str| {
                let dir = self.agent.state().join(name);
                fs_err::read_dir(&dir).map_or(0, std::iter::Iterator::count)
            };
            (left("runs") == 0 && left("work") == 0).then_some(())
        });
    }
}

fn kill(child: &mut Running) {
    signal(child, Signal::KILL);
    child.wait().unwrap();
}

#[test]
fn a_job_goes_from_its_push_to_a_finished_run() {
    let world = World::new();
    let program = format!(
        "{LIBRARY}NOTES = {:?}\ninit()\n\
         note(json.dumps(dict(os.environ)))\nnote(open('requirements.frozen.txt').read())\nfinish(0)\n",
        world.notes.display().to_string()
    );
    let document = json!({
        "_version": "v0", "source_type": "artifact", "runtime": "3.11",
        "source": {"artifact": "wandb-artifact://_id/Q29kZQ==", "entrypoint": ["python3", "train.py"]},
    });
    {
        let mut server = world.state();
        let job = [
            ("wandb-job.json", &*document.to_string()),
            ("requirements.frozen.txt", "six==1.16"),
        ];
        server.artifact_of("team/models/train:v1", "job", &job);
        let code = [("train.py", &*program), ("data/x.csv", "1,2\n")];
        server.artifact_of("Q29kZQ==", "code", &code);
        // Files break off, and go on where they stopped.
        server.breaks = (700, 2);
    }
    let child = world.start();
    let config = r#"{"overrides": {"run_config": {"lr": 0.1}}, "author": "ann"}"#;
    let args = [
        "submit",
        "-q",
        "second",
        "-j",
        "team/models/train:v1",
        "-p",
        "Proj",
    ];
    let more = ["-r", "local-process", "-c", config, "--name", "first try"];
    let _ = world.agent.say(&[&args[..], &more].concat()).expect(0);
    let item = world.state().items.keys().next().unwrap().clone();
    let run = world.run_of(&item);
    world.run_is(&run, "finished");
    assert_eq!(world.notes()[1], "six==1.16");
    let env: Value = serde_json::from_str(&world.notes()[0]).unwrap();
    for (name, value) in [
        ("WANDB_BASE_URL", world.server.url.as_str()),
        ("WANDB_API_KEY", KEY),
        ("WANDB_ENTITY", "team"),
        ("WANDB_PROJECT", "proj"),
        ("WANDB_RUN_ID", &run),
        ("WANDB_NAME", "first try"),
        ("WANDB_USERNAME", "ann"),
        ("WANDB_LAUNCH", "True"),
        ("WANDB_LAUNCH_QUEUE_NAME", "second"),
        ("WANDB_LAUNCH_QUEUE_ENTITY", "team"),
        ("WANDB_LAUNCH_TRACE_ID", &item),
        ("WANDB_CONFIG", r#"{"lr": 0.1}"#),
        (
            "WANDB_ARTIFACTS",
            r#"{"_wandb_job": "team/models/train:v1"}"#,
        ),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
    world.nothing_left();
    signal(&child, Signal::TERM);
    let said = collect(child).expect(0);
    let server = world.state();
    assert_eq!(server.items[&item].failure, None);
    assert!(server.count("content") > 4, "broken reads went on");
    let (last, asked) = server.calls.last().unwrap();
    assert_eq!(
        (last.as_str(), &asked["agentStatus"]),
        ("updateLaunchAgent", &json!("KILLED")),
        "the last thing it says"
    );
    assert!(!said.err.contains(KEY), "{said:#?}");
}

#[test]
fn a_killed_agent_is_back_as_the_same_and_its_run_was_never_gone() {
    let world = World::new();
    let spec = world.spec("p", "init()\nnote(run)\ntime.sleep(2)\nfinish(0)\n");
    let item = world.state().put("first", spec);
    let mut child = world.start();
    let run = world.run_of(&item);
    world.run_is(&run, "running");
    kill(&mut child);
    let child = world.start();
    world.run_is(&run, "finished");
    world.nothing_left();
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0).complains("taking up a job");
    assert_eq!(world.notes(), [run], "it ran once");
    let server = world.state();
    assert_eq!(server.count("ackRunQueueItem"), 1);
    assert_eq!(server.agents.len(), 1, "one agent in the app");
    assert_eq!(server.items[&item].failure, None);
}

#[test]
fn kills_at_random_moments_lose_no_item_and_run_none_twice() {
    let world = World::new();
    let spec = world.spec("p", "init()\nnote(run)\ntime.sleep(0.2)\nfinish(0)\n");
    let items: Vec<String> = (0..12)
        .map(|_| world.state().put("first", spec.clone()))
        .collect();
    for round in 0..12_u64 {
        let mut child = world.start();
        std::thread::sleep(Duration::from_millis(60 + (round * 97) % 330));
        kill(&mut child);
        // What was popped and not claimed goes back.
        world.state().expire();
    }
    let child = world.start();
    for item in &items {
        world.state().expire();
        let run = world.run_of(item);
        world.run_is(&run, "finished");
    }
    world.nothing_left();
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    let server = world.state();
    let mut runs: Vec<String> = server
        .items
        .values()
        .filter_map(|item| item.run.clone())
        .collect();
    drop(server);
    let mut ran = world.notes();
    ran.sort();
    runs.sort();
    assert_eq!(ran, runs, "each ran exactly once");
    assert!(
        world
            .state()
            .items
            .values()
            .all(|item| item.failure.is_none())
    );
}

#[test]
fn the_app_stops_a_run_and_the_agent() {
    let world = World::new();
    let deaf = world.spec("deaf", "init()\ntime.sleep(600)\n");
    let polite = "init()\nfor i in range(600):\n    time.sleep(0.1)\n    \
                  if os.path.exists(NOTES): note('ended itself'); finish(0)\n";
    let polite = world.spec("polite", polite);
    let (deaf, polite) = {
        let mut server = world.state();
        (server.put("first", deaf), server.put("second", polite))
    };
    let child = world.start();
    let (deaf_run, polite_run) = (world.run_of(&deaf), world.run_of(&polite));
    world.run_is(&deaf_run, "running");
    world.run_is(&polite_run, "running");
    fs_err::write(&world.notes, "now\n").unwrap();
    for run in [&deaf_run, &polite_run] {
        world.state().runs.get_mut(run).unwrap().1 = true;
    }
    world.run_is(&polite_run, "finished");
    world.nothing_left();
    assert_eq!(world.notes(), ["now", "ended itself"]);
    world
        .state()
        .agents
        .get_mut("agent-1")
        .unwrap()
        .stop_polling = true;
    let _ = collect(child).expect(0).complains("asks the agent to stop");
    assert_eq!(world.state().agents["agent-1"].status, "KILLED");
}

#[test]
fn queues_are_made_and_looked_into() {
    let world = World::new();
    let settings = r#"{"resource": "local-process",
        "template-variables": {"n": {"schema": {"type": "integer", "maximum": 3}}}}"#;
    let _ = world.agent.say(&["queue", "create", "third"]).expect(0);
    let said = world
        .agent
        .say(&["queue", "configure", "third", settings])
        .expect(0);
    assert!(said.out.contains("local-process"), "{said:#?}");
    let job = [
        "submit",
        "-q",
        "third",
        "-j",
        "team/models/train:v1",
        "-P",
        "critical",
    ];
    let id = world
        .agent
        .say(&[&job[..], &["-v", "n=2"]].concat())
        .expect(0);
    let pushed = world.state().last("pushToRunQueueByName");
    assert_eq!(
        (&pushed["priority"], &pushed["templateVariableValues"]),
        (&json!(0), &json!(r#"{"n":2}"#))
    );
    let _ = world
        .agent
        .say(&[&job[..], &["-v", "n=4"]].concat())
        .expect(2)
        .complains("`n`");
    let _ = world
        .agent
        .say(&["queue", "cancel", id.out.trim()])
        .expect(0);
    let said = world
        .agent
        .say(&["queue", "items", "third", "--output", "json"]);
    assert_eq!(said.expect(0).json(), json!([]));
    let none = world.config("").replace("launch-config.yaml", "none.yaml");
    fs_err::write(&none, "queues: [fourth]\nbackend: {type: wandb}\n").unwrap();
    let _ = world
        .agent
        .say(&["run", "-c", &none])
        .expect(2)
        .complains("has no queue `fourth`; it has: first, second, third");
}

#[test]
fn a_job_launched_by_hand_asks_no_queue_and_is_told_of_wandb() {
    let world = World::new();
    let spec = world.spec(
        "p",
        "init()\nnote(os.environ.get('WANDB_LAUNCH_QUEUE_NAME', 'none'))\nfinish(0)\n",
    );
    let project = spec["uri"].as_str().unwrap();
    let place = ["-r", "local-process", "-E", "python3 main.py"];
    let launch = ["launch", project, "-e", "team", "-p", "Proj"];
    let _ = world.agent.say(&[&launch[..], &place].concat()).expect(0);
    assert_eq!(world.notes(), ["none"]);
    let server = world.state();
    assert!(server.runs.values().all(|(state, _)| state == "finished"));
    assert_eq!((server.runs.len(), server.count("popFromRunQueue")), (1, 0));
    drop(server);
    let submit = ["submit", "-q", "first", project];
    let said = world.agent.say(&[&submit[..], &place].concat()).expect(2);
    let _ = said
        .complains("a run of W&B's has a project")
        .complains("--project");
}
