//! What is in force, and where every value of it came from.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{AgentConfig, INHERITED};
use crate::environment::{Ambient, Block, BlockError, Blocks, Setup};
use crate::load::{Problem, ProblemKind, Report};
use crate::yaml::Spans;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Origin {
    /// Nobody said anything.
    BuiltIn,
    /// The agent file.
    File {
        /// The file.
        file: String,
        /// The line, from 1.
        line: Option<usize>,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// The flag, with its dashes.
        name: String,
    },
    /// The server, which knows whose key it is.
    Server,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File { file, line: None } => f.write_str(file),
            Self::File {
                file,
                line: Some(line),
            } => write!(f, "{file}:{line}"),
            Self::Variable { name } => write!(f, "${name}"),
            Self::Flag { name } => f.write_str(name),
            Self::Server => f.write_str("the server"),
        }
    }
}

/// The settings in force.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resolved {
    /// The settings, typed.
    pub config: AgentConfig,
    /// The settings as the Python agent keeps them: built-in values, the file, the
    /// environment and flags laid over each other, key by key of the top level.
    pub(super) raw: Map<String, Value>,
    /// The keys of the top level that are not from the file.
    layers: BTreeMap<String, Origin>,
    /// The file's name, and where its keys stand.
    file: Option<(String, Spans)>,
}

impl Resolved {
    /// `queue: NAME` becomes one of the queues, so that nobody else has to know the alias.
    pub(super) fn new(
        config: AgentConfig,
        merged: Value,
        mut layers: BTreeMap<String, Origin>,
        file: Option<(String, Spans)>,
    ) -> Self {
        let mut raw = match merged {
            Value::Object(raw) => raw,
            _ => Map::new(),
        };
        if let Some(alias) = raw.remove("queue").filter(Value::is_string)
            && let Some(Value::Array(queues)) = raw.get_mut("queues")
        {
            queues.push(alias);
            layers.remove("queues");
        }
        Self {
            config,
            raw,
            layers,
            file,
        }
    }

    /// The settings as they were written, untyped.
    pub fn raw(&self) -> &Map<String, Value> {
        &self.raw
    }

    /// What an agent registers with a W&B server: its settings as written, ours left out.
    pub fn registration(&self) -> Value {
        let shared = |(key, _): &(&String, &Value)| INHERITED.contains(&key.as_str());
        let config: Map<String, Value> = self
            .raw
            .iter()
            .filter(shared)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        json!({
            "entity": config.get("entity"),
            "project": REGISTRATION_PROJECT,
            "queues": config.get("queues"),
            "config": config,
        })
    }

    /// What `environment`, `registry` and `builder` mean together, which is what an agent
    /// goes by. Whether there are credentials is found out when they are needed.
    ///
    /// # Errors
    /// A [`Report`] of the first thing that is wrong.
    pub fn setup(&self) -> Result<Setup, Report> {
        let mut ambient = Ambient::default();
        ambient
            .gcp_project
            .clone_from(&self.config.environment.project);
        let raw = Value::Object(self.raw.clone());
        Setup::read(&Blocks::of_agent(&raw), &ambient).map_err(|error| self.wrong(&error))
    }

    fn wrong(&self, error: &BlockError) -> Report {
        let source = std::error::Error::source(error);
        let message = match source {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let path = match error.block() {
            Block::Configuration => "",
            block => block.as_str(),
        };
        let problem = Problem::new(ProblemKind::Value, path, message);
        let problem = match error.hint() {
            Some(hint) => problem.with_hint(hint),
            None => problem,
        };
        match &self.file {
            Some((name, spans)) => Report::new(name, "", vec![problem], spans),
            None => Report::new("environment", "", vec![problem], &Spans::default()),
        }
    }

    /// Where the value at a path came from, such as `builder.type`; a value that nobody
    /// gave is built in.
    pub fn origin(&self, path: &str) -> Origin {
        let top = path.split(['.', '[']).next().unwrap_or_default();
        if let Some(origin) = self.layers.get(top) {
            return origin.clone();
        }
        let Some((file, spans)) = &self.file else {
            return Origin::BuiltIn;
        };
        let alias = (top == "queues").then_some("queue");
        let place = |path: &str| spans.key(path).or_else(|| spans.value(path));
        match place(path).or_else(|| place(alias?)) {
            Some(place) => Origin::File {
                file: file.clone(),
                line: Some(place.line),
            },
            None => Origin::BuiltIn,
        }
    }
}

/// The project agents are registered in, whatever their jobs' is.
const REGISTRATION_PROJECT: &str = "model-registry";
