//! Where jobs wait, and what is known there of their ends.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use launch_tests::{Agent, skip};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::server::{Item, Server};

/// What the command line calls them.
pub(crate) const NAMES: [&str; 3] = ["sqlite", "postgres", "wandb"];

/// A key as W&B makes them.
const KEY: &str = "0123456789abcdef0123456789abcdef01234567";

/// A queue that the stand-in has.
const OF_WANDB: &str = "first";

/// A kind of queue that is there.
#[derive(Debug, Clone)]
pub(crate) enum Queue {
    Sqlite,
    /// With the address of the server.
    Postgres(String),
    Wandb,
}

impl Queue {
    /// The one of this name, or a word why there is none.
    pub(crate) fn find(name: &str) -> Option<Self> {
        match name {
            "sqlite" => Some(Self::Sqlite),
            "wandb" => Some(Self::Wandb),
            _ => {
                let url = std::env::var("LAUNCH_TEST_POSTGRES").ok();
                if url.is_none() {
                    skip("LAUNCH_TEST_POSTGRES is not set: no PostgreSQL for tests");
                }
                url.map(Self::Postgres)
            }
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite => NAMES[0],
            Self::Postgres(_) => NAMES[1],
            Self::Wandb => NAMES[2],
        }
    }
}

/// What the queue says became of a job.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It ended, and nobody was told; or nobody has it.
    Lost,
    Right,
    /// It ended as it did not.
    Wrong(String),
}

/// A queue of one world.
#[derive(Debug)]
pub(crate) struct Store {
    /// Its name.
    pub(crate) name: String,
    standin: Option<(Server, Runtime)>,
}

impl Store {
    /// A queue of that kind, which the agent is told of.
    pub(crate) fn open(queue: &Queue, agent: Agent, name: &str) -> (Self, Agent) {
        let mut store = Self {
            name: name.to_owned(),
            standin: None,
        };
        match queue {
            Queue::Sqlite => {}
            Queue::Postgres(url) => {
                agent.configure(&format!("backend: {{type: postgres, url: '{url}'}}\n"));
            }
            Queue::Wandb => {
                let runtime = Runtime::new().expect("a runtime");
                let server = runtime.block_on(Server::start());
                KEY.clone_into(&mut server.state().key);
                agent.configure("backend: {type: wandb, poll-interval: 0.2}\n");
                let agent = agent
                    .env("WANDB_BASE_URL", &server.url)
                    .env("WANDB_API_KEY", KEY)
                    .env("WANDB_ENTITY", "team")
                    .env("WANDB_HTTP_TIMEOUT", "1");
                OF_WANDB.clone_into(&mut store.name);
                store.standin = Some((server, runtime));
                return (store, agent);
            }
        }
        (store, agent)
    }

    /// What `submit` is told beside the job.
    pub(crate) fn place(&self) -> Vec<&str> {
        let mut words = vec!["-q", self.name.as_str()];
        if self.standin.is_some() {
            words.extend(["-e", "team", "-p", "proj"]);
        }
        words
    }

    /// Whether a job may tell the server of itself, as W&B's library does.
    pub(crate) fn is_called(&self) -> bool {
        self.standin.is_some()
    }

    /// What was popped by an agent that is dead, and not claimed, goes back.
    pub(crate) fn expire(&self) {
        if let Some((server, _)) = &self.standin {
            server.state().expire();
        }
    }

    /// What became of a job that ended with this code, and called in if it says so.
    pub(crate) fn fate(&self, agent: &Agent, id: &str, code: usize, calls_in: bool) -> Fate {
        let Some((server, _)) = &self.standin else {
            return of_outcome(&agent.job(&self.name, id)["outcome"], code);
        };
        let server = server.state();
        let item = &server.items[&item_of(id)];
        let run = item.run.as_ref().and_then(|run| server.runs.get(run));
        let run = run.map(|(state, _)| state.as_str());
        if calls_in {
            of_run(item, run)
        } else {
            of_failure(item, code)
        }
    }
}

fn of_outcome(outcome: &Value, code: usize) -> Fate {
    if outcome.is_null() {
        Fate::Lost
    } else if outcome["reason"] == "failed" && outcome["code"] == code {
        Fate::Right
    } else {
        Fate::Wrong(outcome.to_string())
    }
}

/// A run that called in said its end itself; the agent says nothing more.
fn of_run(item: &Item, run: Option<&str>) -> Fate {
    match (item.state, run, &item.failure) {
        ("CLAIMED", Some("failed"), None) => Fate::Right,
        (_, _, Some((stage, message))) => Fate::Wrong(format!("{stage}: {message}")),
        ("CLAIMED", Some("finished"), _) => Fate::Wrong("finished".to_owned()),
        _ => Fate::Lost,
    }
}

/// One that did not is told of by the agent.
fn of_failure(item: &Item, code: usize) -> Fate {
    let Some((stage, message)) = &item.failure else {
        return Fate::Lost;
    };
    let told = message.split("failed with code ").nth(1);
    let told = told.and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next());
    if stage == "run" && told == Some(&code.to_string()) {
        Fate::Right
    } else {
        Fate::Wrong(format!("{stage}: {message}"))
    }
}

/// The server's id of a job.
fn item_of(id: &str) -> String {
    let digits = id.trim_start_matches('w').as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(text, 16).expect("hexadecimal digits")
    });
    String::from_utf8(pairs.collect()).expect("an id")
}

/// What W&B's library does for a job, as commands of a shell: call in, and say how it ended.
pub(crate) fn calling_in(code: usize) -> String {
    let basic = BASE64_STANDARD.encode(format!("api:{KEY}"));
    let post =
        format!("wget -q -O /dev/null --header \"Authorization: Basic {basic}\" --post-data");
    let init = r#"{\"operationName\":\"UpsertBucket\",\"query\":\"mutation UpsertBucket\",\"variables\":{\"name\":\"$WANDB_RUN_ID\"}}"#;
    let end = format!(r#"{{\"complete\":true,\"exitcode\":{code}}}"#);
    format!(
        "{post} \"{init}\" $WANDB_BASE_URL/graphql; sleep 0.2; \
         {post} \"{end}\" $WANDB_BASE_URL/files/team/proj/$WANDB_RUN_ID/file_stream; "
    )
}
